"""Programs we start, and end: none outlives us, and none is ready before it answers.

Each runs in a session of its own, so Ctrl-C reaches us alone and we end it in order. On Linux the
kernel kills it when we die, kill -9 included.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from models.errors import BroncoError, ConfigurationError

TOOLS = Path(__file__).resolve().parents[1] / ".tools" / "bin"
"""Where `make setup` puts programs; absent when Bronco is installed from its wheel."""
SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin:/usr/libexec"
"""Where distributions keep servers; not on every user's PATH."""

# Below every system's ephemeral range (Linux: 32768, /proc/sys/net/ipv4/ip_local_port_range), so
# that no outgoing connection takes the port of a program that is down for a moment.
PORTS = range(20_000, 32_000)
# The ports we chose last: more than a few stacks take, and few of what a process may hold open.
_MARKS_KEPT = 128
# https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
PR_SET_PDEATHSIG = 1
LOG_TAIL_LINES = 20

Ready = Callable[[], Awaitable[bool]]


class ProcessFailed(BroncoError):
    """A program ended before it was ready, or was not ready in time."""

    def __init__(self, name: str, what: str, log: Path) -> None:
        super().__init__(f"{name} {what}; the end of {log}:\n{tail(log)}")
        self.name = name


def tail(log: Path, lines: int = LOG_TAIL_LINES) -> str:
    """Return the last lines of a log, or a word that there are none."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:]) or "(nothing was logged)"


def find_program(name: str) -> Path | None:
    """Find a program in `.tools/bin`, on PATH, or where the system keeps servers."""
    found = shutil.which(name, path=str(TOOLS)) or shutil.which(name)
    found = found or shutil.which(name, path=SYSTEM)
    return Path(found) if found else None


def require_program(name: str, remedy: str) -> Path:
    """Find a program.

    Raises:
        ConfigurationError: it is not there; the sentence carries the remedy.
    """
    found = find_program(name)
    if found is None:
        raise ConfigurationError(name, f"program not found; {remedy}")
    return found


_marks: deque[socket.socket] = deque()
# Not the seeded one: two processes that seeded alike would choose alike.
_random = random.SystemRandom()


def free_port() -> int:
    """Choose a loopback port that nobody listens on, was given by us, or will get by chance.

    A program takes seconds to listen on its port, and until then nothing of it is to be seen. So
    the UDP port of the same number is held as the mark that it is given away: by this process, for
    all others, and no longer than it lives.

    Raises:
        ConfigurationError: nothing is free.
    """
    for port in _random.sample(PORTS, k=min(len(PORTS), 200)):
        mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            mark.bind(("127.0.0.1", port))
            _try_listening(port)
        except OSError:
            mark.close()
        else:
            _keep(mark)
            return port
    raise ConfigurationError("port", f"none of 200 between {PORTS.start} and {PORTS.stop} is free")


def _keep(mark: socket.socket) -> None:
    _marks.append(mark)
    while len(_marks) > _MARKS_KEPT:
        _marks.popleft().close()


def _try_listening(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def open_home(directory: Path) -> Path:
    """Return a program's directory, made when absent, as an absolute path."""
    directory.mkdir(parents=True, exist_ok=True)
    return directory.resolve()


async def answers(host: str, port: int) -> bool:
    """Tell whether something accepts connections there."""
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


@dataclass(frozen=True)
class Program:
    """How one program is run.

    Attributes:
        env: added to the inherited environment; secrets go here or in files, never in argv.
        ready: asked again and again after the start until it says yes; must say no before.
        stop_signal: asks it to end; SIGKILL follows after `grace_seconds`.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    ready: Ready | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    ready_seconds: float = 60
    grace_seconds: float = 10


class ManagedProcess:
    """One run after another of one program, at most one at a time.

    Start it from the main thread: Linux kills it when the thread that started it ends.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: asyncio.subprocess.Process | None = None
        self._frozen = False

    @property
    def name(self) -> str:
        """The program's name."""
        return self.program.name

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The running program's process id, which is its group's too."""
        return self._alive().pid

    @property
    def returncode(self) -> int | None:
        """How the last run ended; negative for a signal, None while it runs."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> None:
        """Start it and wait until it is ready; again after it ended, on the same ports and data.

        Raises:
            ProcessFailed: it ended, or was not ready in time; nothing of it is left running.
        """
        if self.running:
            raise ConfigurationError(self.name, "is already running")
        if self.program.ready is not None and await self.program.ready():
            raise ConfigurationError(self.name, "something else already answers on its port")
        self._frozen = False
        await self._spawn()
        try:
            await self._until_ready()
        except BaseException:
            await self.kill()
            raise

    async def stop(self) -> int | None:
        """Ask it to end, insist after the grace time, and return how it ended."""
        if self.running:
            if self._frozen:
                self.thaw()
            self.send(self.program.stop_signal)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.program.grace_seconds):
                    await self.wait()
        await self.kill()
        return self.returncode

    async def kill(self) -> None:
        """End it and all it started at once, as kill -9 does."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def wait(self) -> int:
        """Wait until it ends by itself."""
        return await self._alive_or_ended().wait()

    def freeze(self) -> None:
        """Stop it in its tracks (SIGSTOP): connections stay open and nobody answers."""
        self.send(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let a frozen one go on (SIGCONT)."""
        self.send(signal.SIGCONT)
        self._frozen = False

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it and all it started."""
        os.killpg(self._alive().pid, number)

    async def _spawn(self) -> None:
        program = self.program
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *program.argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=program.cwd,
                    env={**os.environ, **program.env},
                    start_new_session=True,
                    preexec_fn=_die_with(os.getpid()),
                )
            except OSError as error:
                raise ConfigurationError(program.name, f"cannot be started: {error}") from error

    async def _until_ready(self) -> None:
        process = self._alive_or_ended()
        deadline = time.monotonic() + self.program.ready_seconds
        pause = 0.01
        while not await self._is_ready(deadline):
            if process.returncode is not None:
                self.fail(f"ended with {process.returncode} before it was ready")
            if time.monotonic() > deadline:
                self.fail(f"was not ready after {self.program.ready_seconds:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        if process.returncode is not None:  # what answered was not ours
            self.fail(f"ended with {process.returncode}, and something else answers on its port")

    async def _is_ready(self, deadline: float) -> bool:
        if self.program.ready is None:
            return True
        try:
            async with asyncio.timeout(max(deadline - time.monotonic(), 0.1)):
                return await self.program.ready()
        except TimeoutError:
            return False

    def _alive(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            raise ConfigurationError(self.name, "is not running")
        return self._process

    def _alive_or_ended(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise ConfigurationError(self.name, "was never started")
        return self._process

    def fail(self, what: str) -> NoReturn:
        """Raise ProcessFailed for it, with the end of its log."""
        raise ProcessFailed(self.name, what, self.program.log)


def _die_with(parent: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    # Loaded before the fork: the child may do next to nothing between fork and exec.
    prctl = ctypes.CDLL(None).prctl

    def in_child() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return in_child


async def stop_all(processes: Sequence[ManagedProcess]) -> None:
    """Stop programs one after another, the last one first."""
    for process in reversed(processes):
        await process.stop()
