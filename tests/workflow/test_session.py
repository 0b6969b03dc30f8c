"""A closed exchange, by the server's clock: the wait is one timer to the next open."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from activities.session import OpenLimits, session_stop
from clients.calendar import load
from models.messages import PlaceOrderInput, PlaceOrderResult, PlaceOutcome
from models.order import Reason, Stage
from models.records import ItemKind
from models.requests import VaultStatus
from models.sessions import Sessions
from tests.builders import not_placed
from tests.fakes import World
from tests.skipping import new_environment
from tests.workflow.desk import DAY, Desk, events, moments, open_desk

LIMITS = OpenLimits(margin=120, spread=20)
_TOO_OFTEN = 20
"""A weekend asked through every 30 s would take minutes to be seen failing."""


@pytest_asyncio.fixture(scope="module")
async def own_desk() -> AsyncIterator[Desk]:
    """A server of their own: days pass here, and what another test left running wakes in each."""
    async with (
        await new_environment() as environment,
        open_desk(environment) as made,
    ):
        yield made


@pytest.fixture
def desk(own_desk: Desk) -> Desk:
    own_desk.queue = "bronco"
    return own_desk


class Exchange:
    """Places while its calendar says so, by the time that the test server has skipped to."""

    def __init__(self, desk: Desk, world: World, sessions: Sessions) -> None:
        self._desk, self._world, self._sessions = desk, world, sessions
        self.placed_at = 0.0
        self.broker_is_late = 0

    async def place(self, message: PlaceOrderInput) -> PlaceOrderResult:
        now = await self._desk.now()
        assert self._world.terms is not None
        stop = session_stop(self._world.terms, "AAPL", self._sessions, now, LIMITS)
        if stop is not None and len(self._world.attempts) < _TOO_OFTEN:
            return stop
        if self.broker_is_late:
            self.broker_is_late -= 1
            return not_placed(PlaceOutcome.WAITING_SESSION, retry_seconds=30.0)
        self.placed_at = now
        return await self._world.fill_at_once(message)


async def weekend(desk: Desk, lifetime: int) -> tuple[World, Exchange, int]:
    """A deposit made on a Saturday at noon in New York, and the next open after it."""
    now = datetime.fromtimestamp(await desk.now(), ZoneInfo("America/New_York"))
    to_saturday = (5 - now.weekday()) % 7 or 7
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
    await desk.pass_time(noon.timestamp() - now.timestamp() + to_saturday * DAY)
    started = await desk.now()
    sessions = load("XNAS", datetime.fromtimestamp(started, UTC))
    world = await desk.world(deadline=int(started) + lifetime)
    exchange = Exchange(desk, world, sessions)
    world.place_default = exchange.place
    return world, exchange, sessions.next_open(started)


async def test_deposit__on_a_weekend__waits_in_one_timer_and_trades_at_the_open(
    desk: Desk,
) -> None:
    world, exchange, opens = await weekend(desk, 6 * DAY)
    handle = await desk.start(world)
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED
    assert opens <= exchange.placed_at < opens + 60
    assert world.shown[0][0] is Stage.WAITING_SESSION
    assert len(world.attempts) == 3, "asked, asked again once registered, and at the open"
    assert len(await events(handle, "TIMER_STARTED")) <= 2


async def test_broker__still_closed_when_the_calendar_says_open__is_waited_for(
    desk: Desk,
) -> None:
    world, exchange, opens = await weekend(desk, 6 * DAY)
    exchange.broker_is_late = 3
    outcome = await (await desk.start(world)).result()
    assert outcome.status is VaultStatus.SETTLED
    assert opens + 60 <= exchange.placed_at < opens + 300


async def test_deposit__deadline_before_the_next_session__is_refunded_at_once(
    desk: Desk,
) -> None:
    world, exchange, _ = await weekend(desk, DAY)
    handle = await desk.start(world)
    outcome = await handle.result()
    assert outcome.status is VaultStatus.REFUNDED
    assert world.item_kinds == [(ItemKind.REFUND, Reason.NO_SESSION)]
    assert "next session opens" in outcome.detail
    assert exchange.placed_at == 0
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert ended_at < 10
