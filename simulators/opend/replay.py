"""Runs a scenario's commands, each at its moment."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from simulators.opend import log
from simulators.opend.errors import OpenDError
from simulators.opend.scenario import Line, Scenario

Perform = Callable[..., Awaitable[Any]]
_REFUSALS = (OpenDError, ArithmeticError, TypeError, ValueError, KeyError, OSError)


class Replay:
    """One run of a scenario; counts events from its start, and its seconds times `speed`."""

    def __init__(
        self,
        scenario: Scenario,
        perform: Perform,
        speed: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lines, self._ordered = scenario.lines, scenario.ordered
        self._perform, self._speed, self._now = perform, speed, now
        self._began = now()
        self._counts: Counter[str] = Counter()
        self._seen: dict[tuple[str, int], float] = {}
        self._hurry, self._position = 0, 0
        self._news, self._moved = asyncio.Event(), asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.done, self.refused = 0, list[str]()

    @property
    def left(self) -> int:
        """Lines that have not run."""
        return len(self._lines) - self.done

    def start(self) -> None:
        """Begins: `at` counts from here."""
        self._began = self._now()
        if self._ordered:
            self._spawn(self._run_in_order())
            return
        for line in self._lines:
            if line.at is not None:
                self._spawn(self._run_later(line, line.at))

    async def close(self) -> None:
        """Ends what still waits."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def arrived(self, protocol: str) -> None:
        """A request is about to be executed: what comes before it runs before this returns."""
        event = self._count(protocol)
        if not self._ordered:
            for line in self._at_once(event):
                await self._run(line)
            return
        reach = self._reach(event)
        self._hurry = max(self._hurry, reach)
        self._news.set()
        async with self._moved:
            await self._moved.wait_for(lambda: self._position >= reach)

    def changed(self, status: str) -> None:
        """An order was updated to that status."""
        event = self._count(status)
        self._news.set()
        if not self._ordered:
            for line in self._at_once(event):
                self._spawn(self._run(line))

    def _count(self, name: str) -> tuple[str, int]:
        self._counts[name] += 1
        event = name, self._counts[name]
        self._seen[event] = self._now()
        return event

    def _at_once(self, event: tuple[str, int]) -> list[Line]:
        """Lines of an event that wait no longer; those that do are planned."""
        due = [line for line in self._lines if line.at is None and line.event == event]
        for line in due:
            if line.after:
                self._spawn(self._run_later(line, line.after))
        return [line for line in due if not line.after]

    def _reach(self, event: tuple[str, int]) -> int:
        """How many lines have run before this request: those above its own, and its immediate."""
        own = (i for i, line in enumerate(self._lines) if line.at is None and line.event == event)
        reach = next(own, 0)
        lines = self._lines[reach:]
        for line in lines:
            if line.at is not None or line.event != event or line.after:
                break
            reach += 1
        return reach

    async def _run_in_order(self) -> None:
        for index, line in enumerate(self._lines):
            await self._is_due(index, line)
            await self._run(line)
            async with self._moved:
                self._position = index + 1
                self._moved.notify_all()

    async def _is_due(self, index: int, line: Line) -> None:
        while index >= self._hurry:
            seconds = self._seconds_until(line)
            if seconds is not None and seconds <= 0:
                return
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()

    def _seconds_until(self, line: Line) -> float | None:
        """Real seconds; None while its event has not come."""
        since, wait = (self._began, line.at) if line.at is not None else (None, line.after)
        since = self._seen.get(line.event) if since is None else since
        return None if since is None else since + wait / self._speed - self._now()

    async def _run_later(self, line: Line, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)
        await self._run(line)

    async def _run(self, line: Line) -> None:
        self.done += 1
        if not line.verb:
            return
        log.event("scenario", line=line.number, verb=line.verb, params=line.params)
        try:
            await self._perform(line.verb, **line.params)
        except _REFUSALS as error:
            log.warning("scenario_refused", line=line.number, verb=line.verb, error=str(error))
            self.refused.append(f"line {line.number}: {line.verb}: {error}")

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
