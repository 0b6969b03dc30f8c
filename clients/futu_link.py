"""A supervised link to OpenD: builds lanes, watches the one in use, replaces it when it dies."""

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from clients.futu_lane import Lane, Opener
from clients.futu_maps import BROKER
from models.errors import ConfigurationError, RetryableError, SourceUnavailable

_log = structlog.get_logger(__name__)
# Unlocking is limited to 10 tries in 30 s, so a broken OpenD is not asked more often than this.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_THREAD_END_SECONDS = 5.0
Listener = Callable[[bool, datetime], None]


class Refused(SourceUnavailable):
    """Nobody listens there: whatever did is gone, and all that was sent to it."""


def _nobody(_heard: bool, _at: datetime) -> None:
    return


@dataclass(frozen=True)
class LinkOptions:
    """Where OpenD is and how long it may take; seconds."""

    host: str
    port: int
    connect_timeout: float
    call_timeout: float
    probe_interval: float
    # No new connection before the last one's thread is at its end.
    exclusive: bool = False
    # What dies younger is waited for longer each time: it may well die again.
    sound_after: float = 10.0


class Link:
    """Keeps one lane open for as long as it runs; whoever needs it while it is down is told so.

    on_look: told of every look at OpenD, whether it answered (or refused the connection) and when
    that look began.
    """

    def __init__(
        self,
        name: str,
        options: LinkOptions,
        opener: Callable[[str], Opener],
        probe: Callable[[Any], None],
        on_change: Callable[[str, bool], None],
        on_look: Listener = _nobody,
    ) -> None:
        self.name = name
        self.number = 0
        self.connected_at = datetime.fromtimestamp(0, UTC)
        self._options = options
        self._opener = opener
        self._probe = probe
        self._on_change = on_change
        self._on_look = on_look
        self._lane: Lane | None = None
        self._newest: Lane | None = None
        self._up = asyncio.Event()
        self._problem = "not started"
        self._replaced = False
        self._task: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether OpenD has logged the link in and answered the last probe."""
        return self._up.is_set()

    @property
    def gave_up(self) -> bool:
        """Whether it connects no more, since a setting is wrong."""
        return self._task is not None and self._task.done()

    def start(self) -> None:
        """Begin to connect; this goes on until `close`."""
        if self._task is None:
            self._task = asyncio.create_task(self._supervise(), name=f"futu-{self.name}")

    async def wait_up(self, seconds: float) -> bool:
        """Whether the link is up within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._up.wait()
        except TimeoutError:
            return False
        return True

    async def move(self, host: str, port: int) -> None:
        """Go on at another OpenD, once nothing is sent to this one any more."""
        await self.close()
        await self._buried()
        self._options = replace(self._options, host=host, port=port)
        self.start()

    async def _buried(self) -> None:
        """The last lane's thread is at its end: only a live one can still hand something over."""
        if self._newest is None:
            return
        try:
            async with asyncio.timeout(_THREAD_END_SECONDS):
                await self._newest.ended.wait()
        except TimeoutError:
            # Its context is closed all the same, and sends nothing.
            _log.warning("broker_thread_stuck", link=self.name)

    async def close(self) -> None:
        """Stop connecting, close what is open."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._abandon("closed")

    def lane(self, doing: str) -> Lane:
        """The lane in use.

        Raises:
            SourceUnavailable: the link is down; nothing was sent.
        """
        if self._lane is None or self._lane.lost.is_set():
            raise SourceUnavailable(BROKER, doing, f"OpenD's {self.name} link: {self._problem}")
        return self._lane

    def replace(self) -> None:
        """Give up this connection, so that the next one begins after now."""
        if self._lane is not None:
            self._up.clear()
            self._replaced = True
            self._lane.retire()

    async def _supervise(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            lived = 0.0
            try:
                lived = await self._live()
            except RetryableError as error:
                self._note(str(error))
            except ConfigurationError as error:
                # Asking again with a wrong password would lock the account.
                self._note(str(error))
                return
            if lived > self._options.sound_after:
                pause = _FIRST_PAUSE
            if not self._take_replaced():
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _live(self) -> float:
        """One connection, from its log-in to its end; for how many seconds it was up."""
        lane = await self._connect()
        began = time.monotonic()
        await self._guard(lane)
        await self._abandon("the connection was lost")
        return time.monotonic() - began

    def _take_replaced(self) -> bool:
        """Whether the connection ended because we gave it up: nothing is wrong then."""
        replaced, self._replaced = self._replaced, False
        return replaced

    async def _connect(self) -> Lane:
        began = datetime.now(UTC)
        try:
            lane = await self._log_in()
        except RetryableError as error:
            self._on_look(isinstance(error, Refused), began)
            raise
        self._on_look(True, began)
        self._lane, self.connected_at = lane, began
        self.number = max(self.number + 1, time.time_ns() // 1000)
        self._problem = ""
        self._up.set()
        self._on_change(self.name, True)
        _log.info("broker_link_up", link=self.name, connection=self.number)
        return lane

    async def _log_in(self) -> Lane:
        options = self._options
        if options.exclusive:
            await self._buried()
        lane = self._newest = Lane(self.name, self._opener(await self._reach()))
        # Past this point whatever goes wrong must also close the lane.
        await lane.open(options.connect_timeout)
        try:
            await lane.call("asking for its state", self._probe, options.call_timeout)
        except BaseException:
            lane.retire()
            raise
        return lane

    async def _reach(self) -> str:
        """An address that takes connections: the vendor hangs for ever on one that does not.

        It knows IPv4 alone, and a name that does not resolve wedges it.
        """
        options = self._options
        try:
            async with asyncio.timeout(options.connect_timeout):
                return await _reach_one(options.host, options.port)
        except (OSError, TimeoutError) as error:
            where = f"{options.host}:{options.port}"
            problem = f"nothing answers at {where} ({error or 'timeout'})"
            kind = Refused if isinstance(error, ConnectionRefusedError) else SourceUnavailable
            raise kind(BROKER, "connecting", problem) from error

    async def _guard(self, lane: Lane) -> None:
        while not lane.lost.is_set():
            try:
                # Not wait_for: on Python 3.11 it may swallow the cancellation that ends us.
                async with asyncio.timeout(self._options.probe_interval):
                    await lane.lost.wait()
            except TimeoutError:
                if lane.idle:
                    await self._check(lane)

    async def _check(self, lane: Lane) -> None:
        began = datetime.now(UTC)
        try:
            await lane.call("asking for its state", self._probe, self._options.call_timeout)
        except RetryableError as error:
            self._note(str(error))
            lane.retire()
        else:
            self._on_look(True, began)

    async def _abandon(self, problem: str) -> None:
        lane, self._lane = self._lane, None
        self._up.clear()
        if lane is None:
            return
        self._on_look(False, datetime.now(UTC))
        self._on_change(self.name, False)
        self._note(problem)
        lane.retire()

    def _note(self, problem: str) -> None:
        if problem != self._problem:
            _log.warning("broker_link_down", link=self.name, problem=problem)
        self._problem = problem


async def _reach_one(host: str, port: int) -> str:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
    address = str(found[0][4][0])
    _, writer = await asyncio.open_connection(address, port)
    writer.close()
    return address
