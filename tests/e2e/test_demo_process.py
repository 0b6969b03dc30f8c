"""`bronco demo` and `bronco stack` as a user meets them: processes that start, say, and end."""

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from dotenv import dotenv_values

from bronco.processes import ManagedProcess, Program
from bronco.proof import NAMES
from bronco.scenes import SCENES
from bronco.settings import Settings
from simulators.opend.control import SimulatorControl
from tests.waiting import eventually

SLOW = 120.0
Command = Callable[..., Awaitable[ManagedProcess]]


@pytest_asyncio.fixture
async def command(tmp_path: Path) -> AsyncIterator[Command]:
    """`bronco <words>` in a process of its own, and its output in a file."""
    started: list[ManagedProcess] = []

    async def start(*words: str) -> ManagedProcess:
        argv = (sys.executable, "-m", "bronco", *words)
        process = ManagedProcess(
            Program("bronco", argv, tmp_path / "out", cwd=tmp_path, grace_seconds=60)
        )
        started.append(process)
        await process.start()
        return process

    yield start
    for process in started:
        await process.kill()


def below(process: ManagedProcess) -> list[psutil.Process]:
    """Everything it started, and what those started."""
    return psutil.Process(process.pid).children(recursive=True)


def broker_of(demo: ManagedProcess) -> SimulatorControl:
    """The broker's own side of a running demo; its control port stands in its command line."""
    words = next(line for one in below(demo) if "--control-port" in (line := one.cmdline()))
    return SimulatorControl(int(words[words.index("--control-port") + 1]))


def alive(processes: list[psutil.Process]) -> list[str]:
    return [
        f"{one.pid} {one.status()}"
        for one in processes
        if one.is_running() and one.status() != psutil.STATUS_ZOMBIE
    ]


async def all_gone(processes: list[psutil.Process]) -> None:
    await eventually(lambda: not alive(processes), timeout=15)


def all_as_it_should_be(seen: dict[str, Any]) -> None:
    assert [(one["name"], one["ok"]) for one in seen["scenes"]] == [(s.name, True) for s in SCENES]
    assert seen["invariants"] == dict.fromkeys(NAMES.values(), True)
    assert seen["ok"] is True


def _exists(path: str) -> bool:
    return Path(path).exists()


async def said(tmp_path: Path, words: str) -> None:
    await eventually(lambda: words in (tmp_path / "out").read_text(), timeout=SLOW)


async def test_demo__once__plays_all_proves_all_and_leaves_nothing(
    tmp_path: Path, command: Command
) -> None:
    demo = await command("demo", "--once", "--json", "seen/demo.json")
    await said(tmp_path, SCENES[0].title)
    parts = below(demo)
    assert len(parts) >= 8
    code = await asyncio.wait_for(demo.wait(), SLOW)

    seen = json.loads((tmp_path / "seen" / "demo.json").read_text())
    assert code == 0, seen
    all_as_it_should_be(seen)
    assert seen["parts"]["database"] == "MariaDB"
    assert alive(parts) == []
    assert not _exists(seen["directory"])


async def test_demo__killed_while_it_plays__leaves_no_process(
    tmp_path: Path, command: Command
) -> None:
    demo = await command("demo", "--embedded", "--keep", str(tmp_path / "kept"))
    await said(tmp_path, SCENES[0].title)
    parts = below(demo)
    assert len(parts) >= 8
    psutil.Process(demo.pid).kill()
    await all_gone(parts)


async def test_demo__ctrl_c_while_it_plays__ends_all_and_is_no_success(
    tmp_path: Path, command: Command
) -> None:
    demo = await command("demo", "--embedded", "--json", "demo.json")
    await said(tmp_path, SCENES[0].title)
    parts = below(demo)
    psutil.Process(demo.pid).send_signal(signal.SIGINT)
    assert await asyncio.wait_for(demo.wait(), SLOW) == 130
    assert alive(parts) == []
    assert json.loads((tmp_path / "demo.json").read_text())["ok"] is False


@pytest.mark.soak  # a whole demo each; the one above is played every time
async def test_demo__ctrl_c_after_the_scenes__ends_all_and_is_a_success(
    tmp_path: Path, command: Command
) -> None:
    demo = await command("demo", "--embedded", "--json", "demo.json")
    await said(tmp_path, "Ctrl-C ends everything")
    parts = below(demo)
    assert len(parts) >= 8
    assert len(alive(parts)) == len(parts)  # it stays up until it is told
    seen = json.loads((tmp_path / "demo.json").read_text())
    psutil.Process(demo.pid).send_signal(signal.SIGINT)
    assert await asyncio.wait_for(demo.wait(), SLOW) == 0
    assert alive(parts) == []
    all_as_it_should_be(seen)
    assert seen["parts"]["database"] == "SQLite"
    assert not _exists(seen["directory"])


@pytest.mark.soak  # a whole demo each; the one above is played every time
async def test_demo__a_scene_does_not_end_as_it_should__exits_1_and_says_which(
    tmp_path: Path, command: Command
) -> None:
    demo = await command("demo", "--once", "--embedded", "--json", "demo.json")
    await said(tmp_path, "OpenD simulator")
    # The first deposit's order is to be the only one; now it fails and another one follows.
    await broker_of(demo).fault("reject_after_accept", message="no buying power")
    parts = below(demo)
    assert await asyncio.wait_for(demo.wait(), SLOW) == 1
    seen = json.loads((tmp_path / "demo.json").read_text())
    assert seen["ok"] is False
    assert [one["name"] for one in seen["scenes"] if not one["ok"]] == [SCENES[0].name]
    assert seen["scenes"][0]["detail"] == "orders at the broker: 2, should be 1"
    assert seen["invariants"] == dict.fromkeys(NAMES.values(), True)
    said_last = (tmp_path / "out").read_text()
    assert f"FAILED {SCENES[0].title}" in said_last
    assert "NOT as it should be" in said_last
    assert alive(parts) == []
    assert _exists(seen["directory"])  # kept, for whoever looks for the reason
    shutil.rmtree(seen["directory"])


async def test_stack__told_to_end__hands_out_settings_and_leaves_nothing(
    tmp_path: Path, command: Command
) -> None:
    stack = await command("stack", "--embedded", "--env", ".env")
    await said(tmp_path, "Ctrl-C ends it")
    file = tmp_path / ".env"
    assert file.stat().st_mode & 0o077 == 0
    settings = Settings.load({k: v for k, v in dotenv_values(file).items() if v is not None})
    assert settings.chain.asset_book.assets[0].symbol == "AAPL"
    parts = below(stack)
    psutil.Process(stack.pid).terminate()
    await asyncio.wait_for(stack.wait(), SLOW)
    assert alive(parts) == []


async def test_stack__told_to_end_while_it_starts__leaves_nothing(
    tmp_path: Path, command: Command
) -> None:
    stack = await command("stack", "--embedded")
    await said(tmp_path, "contracts")
    parts = below(stack)
    assert parts
    psutil.Process(stack.pid).terminate()
    await asyncio.wait_for(stack.wait(), SLOW)
    await all_gone(parts)
