"""Pauses at random moments while orders stream in, and what goes wrong around them."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from redis.asyncio import Redis

from bronco.processes import ManagedProcess
from bronco.proof import SeenPause
from clients.flags import Flags
from clients.wallet import Requested
from models.control import InFlight
from models.errors import SourceUnavailable
from simulators.opend.control import VenuePlacement
from tests.e2e.desk import ONE_SHARE, Desk
from tests.waiting import eventually

_A_MOMENT = 0.1
_STREAM = 1
"""Deposits that arrive between two pauses; what is held meanwhile goes on with each resume."""
_SLOW_SECONDS = 1.0
_THAWED_SECONDS, _SENT_SECONDS = 0.3, 3.0


class Trouble(StrEnum):
    """What goes wrong around one pause."""

    NONE = "nothing"
    FROZEN = "the placing process stands still between permit and send"
    FORGOTTEN = "it stands still, and Redis is restarted empty"
    EMPTIED = "Redis is restarted empty"
    RESTORED = "Redis is restored from a dump of the open desk"


_MIX = {
    Trouble.NONE: 68,
    Trouble.FROZEN: 16,
    Trouble.FORGOTTEN: 4,
    Trouble.EMPTIED: 6,
    Trouble.RESTORED: 6,
}
HURTS_REDIS = frozenset({Trouble.FORGOTTEN, Trouble.EMPTIED, Trouble.RESTORED})


def troubles(count: int, dice: random.Random) -> list[Trouble]:
    """In random order, each as often as its share, and at least once."""
    each = [t for t, share in _MIX.items() for _ in range(max(1, count * share // 100))]
    each += [Trouble.NONE] * (count - len(each))
    dice.shuffle(each)
    return each[:count]


@dataclass
class Pausing:
    """Plays pauses and remembers how long each took. caught: permits held by a frozen process.

    slow: what was said of those that took more than a second.
    """

    desk: Desk
    flags: Flags
    dice: random.Random
    made: list[Requested] = field(default_factory=list)
    took: dict[Trouble, list[float]] = field(default_factory=dict)
    caught: set[str] = field(default_factory=set)
    slow: Counter[str] = field(default_factory=Counter)
    begun_inside: list[tuple[SeenPause, InFlight]] = field(default_factory=list)
    _frozen: bool = False

    async def one(self, trouble: Trouble) -> None:
        """Orders stream in, something goes wrong, trading is paused and opened again."""
        streaming = asyncio.create_task(self.desk.deposits(_STREAM, ONE_SHARE))
        await self._a_moment()
        if trouble in (Trouble.FROZEN, Trouble.FORGOTTEN):
            await self._freeze()
        if trouble is Trouble.RESTORED:
            await self._dump()
        try:
            await self._pause(trouble)
        finally:
            if self._frozen:
                self._placer.thaw()
                self._frozen = False
                await self._until_sent()
        await self._a_moment()
        await self._look_inside()
        await self.desk.play.resume()
        self.made += await streaming

    async def _pause(self, trouble: Trouble) -> None:
        if trouble is Trouble.FORGOTTEN:
            await self._restart_redis()
        began = time.monotonic()
        hurting = None
        if trouble is Trouble.EMPTIED:
            hurting = asyncio.create_task(self._restart_redis())
        answer = await self.desk.play.pause(f"a drill: {trouble.value}")
        took = time.monotonic() - began
        self.took.setdefault(trouble, []).append(took)
        if took > _SLOW_SECONDS:
            self.slow[f"{trouble.name}: {answer.note or 'no note'}"] += 1
        if trouble is Trouble.RESTORED:
            await self._restart_redis(restored=True)
        if hurting is not None:
            await hurting

    async def _look_inside(self) -> None:
        """What the placing scripts have registered since the pause returned."""
        pause = self.desk.play.pauses[-1]
        with suppress(SourceUnavailable):
            for flight in await self.flags.in_flight():
                late = datetime.fromisoformat(flight.since) > pause.since
                if late and flight.remark not in pause.in_flight:
                    self.begun_inside.append((pause, flight))

    async def _freeze(self) -> None:
        """SIGSTOP as soon as a placement is registered, which is before it is sent."""
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            if flights := await self.flags.in_flight():
                self._placer.freeze()
                self.caught |= {flight.remark for flight in flights}
                self._frozen = True
                return
            await asyncio.sleep(0)

    async def _until_sent(self) -> None:
        """What the thawed process had in hand goes out now, if ever: inside the pause."""
        await asyncio.sleep(_THAWED_SECONDS)

        async def sent() -> bool:
            return not await self.flags.in_flight()

        with suppress(AssertionError):  # unknown: it is named, and looked for
            await eventually(sent, timeout=_SENT_SECONDS)

    async def _restart_redis(self, *, restored: bool = False) -> None:
        server = self.desk.stack.redis.process
        await server.kill()
        if not restored:
            self._dump_file.unlink(missing_ok=True)
        await server.start()
        self._dump_file.unlink(missing_ok=True)

    async def _dump(self) -> None:
        async with Redis.from_url(self.desk.stack.redis.url) as redis:
            await redis.save()

    async def _a_moment(self) -> None:
        """A random one is what is tested."""
        await asyncio.sleep(self.dice.uniform(0, _A_MOMENT))

    @property
    def _placer(self) -> ManagedProcess:
        return self.desk.stack.processes["placer"]

    @property
    def _dump_file(self) -> Path:
        return self.desk.stack.options.directory / "redis" / "dump.rdb"

    def quantile(self, part: float) -> float:
        """Of the seconds a pause took, of those that found Redis well."""
        seen = [each for trouble, each in self.took.items() if trouble not in HURTS_REDIS]
        well = [took for each in seen for took in each]
        return sorted(well)[min(len(well) - 1, int(len(well) * part))]


def unnamed(pauses: Sequence[SeenPause], arrived: Sequence[VenuePlacement]) -> Iterator[str]:
    """What reached the broker between the return of a pause and the resume, and was not named."""
    for pause in pauses:
        until = pause.until or datetime.max.replace(tzinfo=UTC)
        for one in arrived:
            at = datetime.fromtimestamp(one.received_at, UTC)
            if pause.since < at < until and one.remark not in pause.in_flight:
                yield f"{one.remark} arrived at {at}, paused from {pause.since} to {until}"


def inside(pauses: Sequence[SeenPause], arrived: Sequence[VenuePlacement]) -> set[str]:
    """Remarks that reached the broker inside a pause, named or not."""
    nameless = [SeenPause(pause.since, pause.until) for pause in pauses]
    return {line.split()[0] for line in unnamed(nameless, arrived)}
