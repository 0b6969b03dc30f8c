"""After another OpenD was taken, what is open is looked for before anything new is sent."""

from datetime import UTC, timedelta
from decimal import Decimal

import pytest

from activities.after_move import AfterMove
from activities.clock import utc_now
from clients.store import Store
from models.drafts import ClaimDraft, Headroom
from models.records import ClaimState
from models.requests import Side, remark_of
from tests.builders import read_at, request_id_of, vault_request
from tests.unit.trading import FakeBroker

FENCE = timedelta(seconds=60)
OTHER = remark_of(request_id_of(2), 1)


class Moved:
    """One claim whose answer is unknown, and the move; times are minutes before now."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.broker = FakeBroker([])
        self.after = AfterMove(self.broker, store, FENCE)  # type: ignore[arg-type]
        self.remark = remark_of(request_id_of(1), 1)

    async def claimed(self, minutes: float) -> None:
        now = utc_now() - timedelta(minutes=minutes)
        await self.store.orders.admit(
            vault_request(), workflow_id="w", symbol="AAPL", tx_hash="", now=now
        )
        draft = ClaimDraft(
            request_id=request_id_of(1),
            attempt=1,
            remark=self.remark,
            symbol="AAPL",
            side=Side.BUY,
            quantity=1,
            price=Decimal(200),
            send_by=now + timedelta(seconds=20),
        )
        await self.store.placements.claim(
            draft, Headroom(payout=0, cash=Decimal(10**6), shares=0), now
        )

    def moved(self, minutes: float) -> None:
        self.broker.moved_at = (utc_now() - timedelta(minutes=minutes)).replace(tzinfo=UTC)

    async def read(self, minutes: float) -> None:
        await self.store.book.record_snapshot(read_at(utc_now() - timedelta(minutes=minutes)))


@pytest.fixture
async def desk(sqlite_store: Store) -> Moved:
    return Moved(sqlite_store)


async def test_unresolved__never_moved__nothing_is_asked(desk: Moved) -> None:
    await desk.claimed(1)
    assert await desk.after.unresolved(OTHER) == ""


async def test_unresolved__moved_with_nothing_open__goes_on(desk: Moved) -> None:
    desk.moved(0)
    assert await desk.after.unresolved(OTHER) == ""


async def test_unresolved__moved_with_an_unknown_one__waits_and_names_it(desk: Moved) -> None:
    await desk.claimed(5)
    desk.moved(4)
    said = await desk.after.unresolved(OTHER)
    assert desk.remark in said
    assert desk.broker.endpoint in said


async def test_unresolved__its_own_claim__does_not_wait_for_itself(desk: Moved) -> None:
    await desk.claimed(5)
    desk.moved(4)
    assert await desk.after.unresolved(desk.remark) == ""


@pytest.mark.parametrize(("read", "waits"), [(3.5, True), (2.5, False)])
async def test_unresolved__whole_read__counts_from_the_fence_after_the_move(
    desk: Moved, read: float, waits: bool
) -> None:
    await desk.claimed(5)
    desk.moved(4)
    await desk.read(read)
    assert bool(await desk.after.unresolved(OTHER)) is waits


async def test_unresolved__it_was_found__goes_on(desk: Moved) -> None:
    await desk.claimed(5)
    desk.moved(4)
    await desk.store.placements.mark(
        request_id_of(1), 1, ClaimState.PLACED, broker_order_id="1", now=utc_now()
    )
    assert await desk.after.unresolved(OTHER) == ""


async def test_unresolved__claimed_after_the_move__is_no_reason(desk: Moved) -> None:
    desk.moved(4)
    await desk.claimed(3)
    assert await desk.after.unresolved(OTHER) == ""


async def test_unresolved__moved_once_more__waits_once_more(desk: Moved) -> None:
    await desk.claimed(5)
    desk.moved(4)
    await desk.read(2)
    assert await desk.after.unresolved(OTHER) == ""
    desk.moved(0)
    assert await desk.after.unresolved(OTHER) != ""
