"""Programs start, end, crash and come back as the stack relies on."""

import asyncio
import signal
import sys
from pathlib import Path

import psutil
import pytest

from bronco import processes
from bronco.processes import ManagedProcess, ProcessFailed, Program, answers, free_port
from models.errors import ConfigurationError
from tests.waiting import eventually

LISTEN = (
    "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1])));"
    "print('up', flush=True); time.sleep(600)"
)
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)"
PARENT = """
import asyncio, os, sys
from pathlib import Path
from bronco.processes import ManagedProcess, Program

async def main():
    child = ManagedProcess(Program("child", ("sleep", "600"), Path(sys.argv[1])))
    await child.start()
    print(child.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""

CHOOSER = """
import time
from bronco.processes import free_port

print(free_port(), flush=True)
time.sleep(600)
"""


def python(tmp_path: Path, code: str, *args: str, **options: object) -> ManagedProcess:
    argv = (sys.executable, "-c", code, *args)
    return ManagedProcess(Program("sample", argv, tmp_path / "sample.log", **options))  # type: ignore[arg-type]


def listener(tmp_path: Path) -> tuple[ManagedProcess, int]:
    port = free_port()
    return python(tmp_path, LISTEN, str(port), ready=lambda: answers("127.0.0.1", port)), port


async def test_process__start__is_ready_when_it_answers(tmp_path: Path) -> None:
    process, port = listener(tmp_path)
    await process.start()
    assert await answers("127.0.0.1", port)
    assert await process.stop() == -signal.SIGTERM
    assert not await answers("127.0.0.1", port)


async def test_process__killed__comes_back_on_its_port(tmp_path: Path) -> None:
    process, port = listener(tmp_path)
    await process.start()
    first = process.pid
    await process.kill()
    assert (process.running, process.returncode) == (False, -signal.SIGKILL)
    await process.start()
    assert process.pid != first
    assert await answers("127.0.0.1", port)
    await process.stop()


async def test_process__ends_before_ready__shows_its_log(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    process = python(tmp_path, "print('no such table'); raise SystemExit(3)", ready=never)
    with pytest.raises(ProcessFailed, match=r"(?s)ended with 3 .*no such table"):
        await process.start()


async def test_process__never_ready__is_ended_and_named(tmp_path: Path) -> None:
    asked = 0

    async def never() -> bool:
        nonlocal asked
        asked += 1
        if asked > 1:  # the first time is before the start
            await asyncio.Event().wait()
        return False

    process = python(tmp_path, LISTEN, str(free_port()), ready=never, ready_seconds=0.3)
    with pytest.raises(ProcessFailed, match=r"sample was not ready after 0.3 s"):
        await process.start()
    assert not process.running


async def test_process__somebody_elses_program_answers__is_refused(tmp_path: Path) -> None:
    first, port = listener(tmp_path)
    await first.start()
    second = python(tmp_path, LISTEN, str(port), ready=first.program.ready)
    with pytest.raises(ConfigurationError, match="something else already answers"):
        await second.start()
    await first.stop()


async def test_process__ended_while_another_answers__is_not_taken_for_it(tmp_path: Path) -> None:
    """Both were started at once on one port, and the other was first to listen."""
    asked = 0

    async def other_answers() -> bool:
        nonlocal asked
        asked += 1
        if asked > 1:  # the first time is before the start
            await process.wait()
        return asked > 1

    process = python(tmp_path, "raise SystemExit(48)", ready=other_answers)
    with pytest.raises(ProcessFailed, match="ended with 48, and something else answers"):
        await process.start()


async def test_process__ignores_sigterm__is_killed_after_its_grace(tmp_path: Path) -> None:
    process = python(tmp_path, f"{DEAF}; time.sleep(600)", grace_seconds=0.2)
    await process.start()
    await eventually(lambda: "up" in process.program.log.read_text())
    assert await process.stop() == -signal.SIGKILL


async def test_process__stopped__takes_its_children_along(tmp_path: Path) -> None:
    code = "import subprocess; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True);"
    process = python(tmp_path, f"{code} p.wait()")
    await process.start()
    await eventually(lambda: process.program.log.read_text().strip())
    child = int(process.program.log.read_text())
    await process.stop()
    await eventually(lambda: not running(child))


async def test_process__frozen__accepts_nothing_until_thawed(tmp_path: Path) -> None:
    process, _ = listener(tmp_path)
    await process.start()
    process.freeze()
    await eventually(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    process.thaw()
    await eventually(lambda: psutil.Process(process.pid).status() != psutil.STATUS_STOPPED)
    process.freeze()
    assert await process.stop() == -signal.SIGTERM  # a stop thaws it first


async def test_process__started_twice__is_refused(tmp_path: Path) -> None:
    process, _ = listener(tmp_path)
    await process.start()
    with pytest.raises(ConfigurationError, match="already running"):
        await process.start()
    await process.stop()


async def test_process__program_is_missing__names_it(tmp_path: Path) -> None:
    process = ManagedProcess(Program("ghost", ("/no/such/ghost",), tmp_path / "ghost.log"))
    with pytest.raises(ConfigurationError, match="ghost: cannot be started"):
        await process.start()


async def test_process__we_are_killed__dies_with_us(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", PARENT, str(tmp_path / "child.log"))
    parent = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert running(child)
    parent.kill()
    await parent.wait()
    await eventually(lambda: not running(child))


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_free_port__asked_for__is_below_the_ephemeral_range() -> None:
    with Path("/proc/sys/net/ipv4/ip_local_port_range").open() as ranges:
        lowest = int(ranges.read().split()[0])
    assert free_port() < lowest


async def test_free_port__given_by_another_process__is_not_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens there yet: two stacks that start at once must not meet."""
    chooser = python(tmp_path, CHOOSER)
    await chooser.start()
    await eventually(lambda: chooser.program.log.read_text().strip())
    port = int(chooser.program.log.read_text())
    monkeypatch.setattr(processes, "PORTS", range(port, port + 1))
    with pytest.raises(ConfigurationError, match="is free"):
        free_port()
    await chooser.kill()
    assert free_port() == port
    with pytest.raises(ConfigurationError, match="is free"):  # nor twice by one
        free_port()
