"""What the line promises, on Redis and on the embedded stack's server, by a clock that is stepped.

The simulated orders do what the workflow does: ask, and ask again when they were told to.
"""

import heapq
import itertools
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from clients.line import PlacingLine
from clients.line_scripts import SHOW_PLACE, TAKE_TURN
from models.line import Turn, Waiter
from models.requests import Side

LIMIT, WINDOW = 15, 30.0
MOST = 1000
_TIME = "redis.call('TIME')"
_CLOCK = "{'0', redis.call('GET', 'clock')}"


class SteppedLine(PlacingLine):
    """Redis's own clock cannot be set, so the scripts are given one; all else is what runs."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis, "slots")
        self._redis = redis
        assert _TIME in TAKE_TURN
        self._take = redis.register_script(TAKE_TURN.replace(_TIME, _CLOCK))
        self._show = redis.register_script(SHOW_PLACE.replace(_TIME, _CLOCK))

    async def at(self, seconds: float) -> None:
        await self._redis.set("clock", int((10**6 + seconds) * 1e6))


@dataclass
class Crowd:
    """Orders in line and when each was served, in seconds."""

    line: SteppedLine
    limit: int = LIMIT
    window: float = WINDOW
    now: float = 0.0
    served: dict[str, float] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    late: float = 0.0
    _asking: list[tuple[float, int, Waiter]] = field(default_factory=list)
    _count: itertools.count = field(default_factory=itertools.count)  # type: ignore[type-arg]

    def comes(self, name: str, at: float, side: Side = Side.BUY, owner: str = "") -> None:
        waiter = Waiter(name, f"slot {name}", side, owner or name)
        heapq.heappush(self._asking, (at, next(self._count), waiter))

    async def until(self, end: float) -> None:
        while self._asking and self._asking[0][0] <= end:
            self.now, _, waiter = heapq.heappop(self._asking)
            if waiter.request_id in self.dead:
                continue
            turn = await self.ask(waiter)
            if turn.mine:
                self.served[waiter.request_id] = self.now
                continue
            again = self.now + (turn.back_in or WINDOW) + self.late
            heapq.heappush(self._asking, (again, next(self._count), waiter))
        self.now = end

    async def ask(self, waiter: Waiter, most: int = MOST) -> Turn:
        await self.line.at(self.now)
        return await self.line.ask(waiter, self.limit, self.window, most)

    @property
    def order(self) -> list[str]:
        return sorted(self.served, key=lambda name: self.served[name])

    def busiest_window(self) -> int:
        times = sorted(self.served.values())
        return max(sum(at <= each <= at + self.window for each in times) for at in times)


@pytest.fixture
async def crowd(flags_url: str) -> Crowd:
    # The embedded server ends a connection with each error, "no such script" too.
    redis = Redis.from_url(flags_url, decode_responses=True, retry=Retry(NoBackoff(), 1))
    await redis.flushall()
    return Crowd(SteppedLine(redis))


async def test_line__those_ahead_died__is_not_held_up_by_them(crowd: Crowd) -> None:
    for each in range(60):
        crowd.comes(f"d{each}", 0.0)
    await crowd.until(1.0)
    crowd.dead = {f"d{each}" for each in range(15, 40)}

    await crowd.until(4 * WINDOW)

    alive = {f"d{each}" for each in (*range(15), *range(40, 60))}
    assert set(crowd.served) == alive


async def test_line__asked_twice__has_one_place_and_one_slot(crowd: Crowd) -> None:
    crowd.limit = 1
    first, second = (Waiter(name, f"slot {name}", Side.BUY, name) for name in "ab")
    assert (await crowd.ask(first)).mine
    assert (await crowd.ask(first)).mine

    places = {(await crowd.ask(second)).place for _ in range(3)}

    assert places == {0}


async def test_line__left__gives_its_place_to_the_next(crowd: Crowd) -> None:
    crowd.limit = 1
    for name in "abc":
        await crowd.ask(Waiter(name, f"slot {name}", Side.BUY, name))
    assert (await crowd.line.place("c", 1, WINDOW)) is not None
    await crowd.line.leave("b")

    place = await crowd.line.place("c", 1, WINDOW)

    assert place is not None
    assert place.place == 0
    assert place.slot_in == pytest.approx(WINDOW, abs=0.01)
    assert await crowd.line.place("b", 1, WINDOW) is None


async def test_line__owner_has_as_many_as_he_may__the_next_is_turned_away(crowd: Crowd) -> None:
    crowd.limit = 1
    for each in range(4):
        await crowd.ask(Waiter(f"d{each}", f"s{each}", Side.BUY, "Whale"), most=3)

    turn = await crowd.ask(Waiter("d5", "s5", Side.BUY, "whale"), most=3)

    assert (turn.mine, turn.turned_away) == (False, 3)
    assert not (await crowd.ask(Waiter("m", "sm", Side.BUY, "minnow"), most=3)).turned_away
