"""The house rules no other linter knows: `python -m tools.house_lint` prints each breach.

- models/ is pure: it reads no clock, no randomness and no environment (workflows import it, and
  the sandbox does not police what it passes through).
- models/ and activities/ keep no mutable module state: it would leak between workflow runs.
- rounding happens in models/money.py alone, where its direction is stated.
- the environment is read in bronco/settings.py alone.
- nothing waits with asyncio.wait_for: before Python 3.12 it swallows a cancellation that comes as
  what it waits for ends (https://github.com/python/cpython/issues/86296), so Ctrl-C, a worker's
  shutdown or an activity's cancellation is lost. `async with asyncio.timeout(...)` does not.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = (
    "bronco",
    "models",
    "clients",
    "activities",
    "workflows",
    "workers",
    "api",
    "simulators",
)
STATELESS = ("models", "activities")
MONEY = ("models", "workflows", "activities", "clients", "workers", "api")
ROUNDING_HOME = "models/money.py"
ENVIRONMENT_HOMES = ("bronco/settings.py", "bronco/processes.py", "clients/futu_vendor.py")
"""processes.py hands the environment on to the programs it starts, without reading from it;
futu_vendor.py lends futu-api another HOME while it is imported."""

IMPURE_MODULES = frozenset({"os", "random", "secrets", "socket", "time", "zoneinfo"})
IMPURE_NAMES = frozenset(
    {
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
        "uuid.uuid1",
        "uuid.uuid4",
    }
)
ENVIRONMENT_NAMES = frozenset({"os.environ", "os.environb", "os.getenv", "os.putenv"})
ROUNDING_NAMES = frozenset({"round", "math.floor", "math.ceil", "math.trunc"})
MUTABLE_CALLS = frozenset(
    {
        "list",
        "dict",
        "set",
        "bytearray",
        "collections.defaultdict",
        "collections.deque",
        "collections.Counter",
        "collections.OrderedDict",
    }
)
MUTABLE_LITERALS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
READ_ONLY = frozenset({"Mapping", "Sequence", "Collection", "AbstractSet"})
"""Annotations through which mypy refuses a change."""


@dataclass(frozen=True)
class Breach:
    """One place that breaks a house rule."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def check(path: str, source: str) -> list[Breach]:
    """Check one file, given by its path from the root of the checkout."""
    tree = ast.parse(source, path)
    names = _imported(tree)
    found = [
        *_impure(path, tree, names),
        *_environment(path, tree, names),
        *_swallowing(tree, names),
        *_rounding(path, tree, names),
        *_module_state(path, tree, names),
    ]
    breaches = {Breach(path, node.lineno, text) for node, text in found}
    return sorted(breaches, key=lambda breach: (breach.line, breach.text))


Found = Iterator[tuple[ast.expr | ast.stmt, str]]


def _impure(path: str, tree: ast.Module, names: dict[str, str]) -> Found:
    if not path.startswith("models/"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for module in _modules(node) & IMPURE_MODULES:
                yield node, f"models/ is pure, but this imports {module}: pass the value in"
        elif isinstance(node, ast.Attribute | ast.Name):
            name = _dotted(node, names)
            if name in IMPURE_NAMES:
                yield node, f"models/ is pure, but this uses {name}: pass the value in"


def _environment(path: str, tree: ast.Module, names: dict[str, str]) -> Found:
    if path in ENVIRONMENT_HOMES:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = _dotted(node, names)
            if name in ENVIRONMENT_NAMES:
                yield node, f"{name} outside bronco/settings.py: take the setting as an argument"


def _swallowing(tree: ast.Module, names: dict[str, str]) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = _dotted(node, names)
            if name == "asyncio.wait_for":
                yield node, "asyncio.wait_for can swallow a cancellation: use asyncio.timeout"


def _rounding(path: str, tree: ast.Module, names: dict[str, str]) -> Found:
    if path == ROUNDING_HOME or not _within(path, MONEY):
        return
    for node in ast.walk(tree):
        how = _rounds(node, names) or (_floors(node) if path.startswith("models/") else None)
        if how is not None and isinstance(node, ast.expr):
            yield (
                node,
                f"{how} outside {ROUNDING_HOME}: add a function there that names its direction",
            )


def _rounds(node: ast.AST, names: dict[str, str]) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    name = _dotted(node.func, names)
    if name in ROUNDING_NAMES:
        return f"{name}()"
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    return f".{method}()" if method in ("quantize", "to_integral_value") else None


def _floors(node: ast.AST) -> str | None:
    floors = isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv)
    return "//" if floors else None


def _module_state(path: str, tree: ast.Module, names: dict[str, str]) -> Found:
    if not _within(path, STATELESS):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield node, f"global {', '.join(node.names)}: pass it as an argument or keep it on self"
    for statement in tree.body:
        value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        if value is not None and _mutable(value, names) and not _declared(statement):
            yield (
                statement,
                "mutable module state: use a tuple or frozenset, or annotate it Mapping",
            )


def _mutable(value: ast.expr, names: dict[str, str]) -> bool:
    if isinstance(value, MUTABLE_LITERALS):
        return True
    return isinstance(value, ast.Call) and _dotted(value.func, names) in MUTABLE_CALLS


def _declared(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        return [ast.unparse(target) for target in statement.targets] == ["__all__"]
    if not isinstance(statement, ast.AnnAssign):
        return False
    annotation = statement.annotation
    while isinstance(annotation, ast.Subscript):
        outer = ast.unparse(annotation.value).rpartition(".")[2]
        if outer != "Final":
            return outer in READ_ONLY
        annotation = annotation.slice
    return False


def _imported(tree: ast.Module) -> dict[str, str]:
    """Map each imported name to what it stands for: `dt` to `datetime.datetime`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                names[alias.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _modules(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    return {(node.module or "").partition(".")[0]}


def _dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        left = _dotted(node.value, names)
        return None if left is None else f"{left}.{node.attr}"
    return None


def _within(path: str, packages: tuple[str, ...]) -> bool:
    return path.partition("/")[0] in packages


def check_tree(root: Path) -> list[Breach]:
    """Check every module of the product."""
    files = [file for package in PACKAGES for file in sorted((root / package).rglob("*.py"))]
    return [
        breach
        for file in files
        for breach in check(file.relative_to(root).as_posix(), file.read_text(encoding="utf-8"))
    ]


def main() -> int:
    """Print each breach; 1 when there is one."""
    breaches = check_tree(Path(__file__).resolve().parents[1])
    for breach in breaches:
        sys.stdout.write(f"{breach}\n")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
