"""The image's build steps, run from its Dockerfile into a clean venv, and its entry commands."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from bronco.processes import ManagedProcess, Program
from tests.compose import ROOT
from tools.bootstrap import toolchains
from tools.bootstrap.setup import Setup

BUILD_STAGE = (ROOT / "deploy" / "Dockerfile").read_text().split("\nFROM ")[2]
# Of the build stage's variables, those that would only cost time here.
SLOW = {"UV_LINK_MODE", "UV_COMPILE_BYTECODE"}
SECRET = "0x" + "ab" * 32


@dataclass(frozen=True)
class Ran:
    code: int | None
    out: str
    error: str


@dataclass(frozen=True)
class Image:
    """What the image would hold: a venv, and a directory that is not the checkout."""

    venv: Path
    home: Path

    async def __call__(self, *arguments: str, **settings: str) -> Ran:
        return await run((str(self.venv / "bin" / "bronco"), *arguments), self.home, settings)


async def run(argv: tuple[str, ...], cwd: Path, extra: Mapping[str, str]) -> Ran:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BRONCO_", "PYTHON", "VIRTUAL_ENV"))
    }
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        env={**clean, **extra},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return Ran(process.returncode, out.decode(), error.decode())


def copy_context(source: Path) -> None:
    """What the Dockerfile copies, and nothing else."""
    for names in re.findall(r"^COPY (?!--)(.+) \S+$", BUILD_STAGE, re.MULTILINE):
        for name in names.split():
            origin = ROOT / name
            if origin.is_dir():
                shutil.copytree(origin, source / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(origin, source / name)


@pytest_asyncio.fixture(scope="module")
async def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    base = tmp_path_factory.mktemp("image")
    source, venv, home = base / "src", base / "venv", base / "home"
    source.mkdir()
    home.mkdir()
    copy_context(source)
    variables = dict(re.findall(r"\b(UV_\w+)=(\S+)", BUILD_STAGE))
    kept = {name: value for name, value in variables.items() if name not in SLOW}
    environment = kept | {
        "UV_PROJECT_ENVIRONMENT": str(venv),
        "UV_PYTHON": getattr(sys, "_base_executable", sys.executable),
        "UV_SYSTEM_CERTS": "true",
    }
    uv = await asyncio.to_thread(toolchains.uv, Setup(), "python")
    commands = re.findall(r"^RUN (?:--mount=\S+ )?uv (.+)$", BUILD_STAGE, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        ran = await run((str(uv), *command.split()), source, environment)
        assert ran.code == 0, ran.error
    shutil.rmtree(source)  # the image's last stage has it no more
    return Image(venv, home)


async def test_image__help__lists_every_command(image: Image) -> None:
    ran = await image("--help", COLUMNS="120")
    assert ran.code == 0, ran.error
    for command in (
        "worker",
        "signer",
        "api",
        "opend",
        "migrate",
        "devchain",
        "check",
        "pause",
        "order",
    ):
        assert re.search(rf"^│ {command}\b", ran.out, re.MULTILINE), command


async def test_image__check_without_settings__names_the_first_that_is_missing(image: Image) -> None:
    ran = await image("check")
    assert ran.code == 1
    assert ran.error.startswith("bronco: setting BRONCO_CHAIN_RPC_URLS: is missing")
    assert len(ran.error.splitlines()) == 1


@pytest.mark.parametrize("command", ["worker", "api", "migrate", "devchain"])
async def test_image__process_without_settings__says_what_is_missing(
    image: Image, command: str
) -> None:
    ran = await image(command, BRONCO_KEY_DEV_KEY=SECRET)
    assert ran.code == 1
    assert re.match(r"bronco: setting BRONCO_(CHAIN|DATABASE)_\w*URLS?: is missing", ran.error)
    assert "Traceback" not in ran.error
    assert SECRET not in ran.error


async def test_image__settings__are_the_example_of_the_checkout(image: Image) -> None:
    ran = await image("settings")
    assert ran.code == 0, ran.error
    assert ran.out == (ROOT / ".env.example").read_text()


async def test_image__migrate_twice__makes_the_tables_once(image: Image) -> None:
    database = f"sqlite:///{image.home / 'bronco.db'}"
    first = await image("migrate", BRONCO_DATABASE_URL=database)
    again = await image("migrate", BRONCO_DATABASE_URL=database)
    assert (first.code, again.code) == (0, 0), first.error + again.error
    assert first.out == again.out == "the database is up to date\n"
    empty = await image("orders", "--json", BRONCO_DATABASE_URL=database)
    assert empty.code == 0, empty.error
    assert '"orders": []' in empty.out


async def test_image__opend__answers_and_ends_when_told(image: Image) -> None:
    log = image.home / "opend.log"

    async def ready() -> bool:
        said = log.read_text() if log.exists() else ""
        return re.search(r"^ready port=\d+ control=\d+$", said, re.MULTILINE) is not None

    argv = (str(image.venv / "bin" / "bronco"), "opend", "--port", "0")
    process = ManagedProcess(Program("opend", argv, log, ready=ready, cwd=image.home))
    await process.start()
    assert await process.stop() == 0


async def test_image__what_tests_and_tools_are__is_not_in_it(image: Image) -> None:
    (packages,) = image.venv.glob("lib/python*/site-packages")
    names = {path.name for path in packages.iterdir()}
    assert names >= {"bronco", "models", "clients", "activities", "workflows", "workers", "api"}
    assert names.isdisjoint({"tests", "tools", "bench", "pytest", "mypy", "check_jsonschema"})
    assert not (packages / "bronco" / ".env").exists()
