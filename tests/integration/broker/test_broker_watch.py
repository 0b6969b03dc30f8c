"""The watch: book and workflows learn what became of orders, whatever gets lost on the way."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from activities.clock import utc_now
from clients.flags import Flags
from models.broker import BookSnapshot, BrokerStatus
from models.watch import WatchBrokerInput
from tests.integration.broker.desk import raises, ticket
from tests.integration.broker.office import Customer, Office, open_office
from tests.waiting import eventually

SEND_SECONDS = 2.0
SELDOM = WatchBrokerInput(list_seconds=60.0, snapshot_seconds=60.0)


@pytest.fixture
async def office(tmp_path: Path, log_home: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path, log_home) as opened:
        yield opened


async def first_read(office: Office) -> None:
    await eventually(lambda: office.beats and office.beats[-1]["reads"] > 0)


async def told_filled(office: Office, customer: Customer) -> bool:
    told = [order.status for order in office.inbox.of(customer.workflow_id)]
    return BrokerStatus.FILLED in told


async def test_watch__a_push__reaches_book_and_workflow_before_any_read(office: Office) -> None:
    customer = await office.admit()
    async with office.watching(pace=SELDOM):
        await first_read(office)
        began = time.monotonic()
        order = await office.desk.client.place(customer.ticket(), SEND_SECONDS)
        await eventually(lambda: told_filled(office, customer))
        assert time.monotonic() - began < 1.0
        booked = await office.store.book.by_remark(order.remark)
        assert booked is not None
        assert (booked.order_id, booked.filled, booked.dead) == (order.order_id, 3, True)
        assert office.inbox.of(customer.workflow_id)[-1] == booked


async def test_watch__pushes_are_lost__the_list_finds_the_fill(office: Office) -> None:
    customer = await office.admit()
    await office.desk.control.fault("no_push", on=True)
    async with office.watching():
        await office.desk.client.place(customer.ticket(), SEND_SECONDS)
        await eventually(lambda: told_filled(office, customer))
    assert office.desk.pushes == []


async def test_watch__list_is_stale_too__the_bulk_read_finds_the_fill(office: Office) -> None:
    customer = await office.admit()
    await office.desk.control.fault("no_push", on=True)
    await office.desk.control.fault("stale_list", on=True)
    async with office.watching():
        await office.desk.client.place(customer.ticket(), SEND_SECONDS)
        await eventually(lambda: told_filled(office, customer))


async def test_watch__nobodys_order__is_booked_and_told_to_nobody(office: Office) -> None:
    foreign = ticket().model_copy(update={"remark": "by hand"})
    async with office.watching():
        order = await office.desk.client.place(foreign, SEND_SECONDS)

        async def booked() -> bool:
            found = await office.store.book.by_order_id(order.order_id)
            return found is not None and found.dead

        await eventually(booked)
    assert office.inbox.orders == []


async def test_watch__request_has_ended__its_late_fill_is_only_booked(office: Office) -> None:
    customer = await office.admit()
    office.inbox.ended = {customer.workflow_id}
    async with office.watching() as (_, running):
        order = await office.desk.client.place(customer.ticket("150"), SEND_SECONDS)
        await office.desk.client.cancel(order.order_id)
        await eventually(lambda: any(push.dead for push in office.desk.pushes))
        await office.desk.control.fault("late_fill", order_id=order.order_id)

        async def filled() -> bool:
            found = await office.store.book.by_order_id(order.order_id)
            return found is not None and found.filled == 3

        await eventually(filled)
        await eventually(lambda: office.beats[-1]["problem"] == "")
        assert not running.done()


async def test_watch__temporal_is_down__tells_when_it_is_back(office: Office) -> None:
    customer = await office.admit()
    async with office.watching(pace=SELDOM):
        await first_read(office)
        office.inbox.down = True
        await office.desk.client.place(customer.ticket(), SEND_SECONDS)
        await eventually(lambda: office.beats[-1]["problem"])
        office.inbox.down = False
        await eventually(lambda: told_filled(office, customer))
        await eventually(lambda: office.beats[-1]["problem"] == "")


async def test_watch__broker_goes_and_comes__says_so_and_finds_what_it_missed(
    office: Office,
) -> None:
    customer = await office.admit()
    async with office.watching():
        await first_read(office)
        await office.desk.control.fault("hold_fills", on=True)
        await office.desk.client.place(customer.ticket(), SEND_SECONDS)
        await office.desk.control.outage()
        await eventually(lambda: "OpenD" in office.beats[-1]["problem"])
        await office.desk.control.fault("release_fills")
        await office.desk.control.outage(on=False)
        await eventually(lambda: told_filled(office, customer))
        await eventually(lambda: office.inbox.links and office.inbox.links[-1] == "")
    assert any("OpenD" in problem for problem in office.inbox.links)
    assert any("OpenD" in problem for problem in office.problems)


async def test_watch__an_earlier_watcher_died_before_telling__tells_again(office: Office) -> None:
    customer = await office.admit()
    order = await office.desk.client.place(customer.ticket(), SEND_SECONDS)
    await eventually(lambda: any(push.dead for push in office.desk.pushes))
    await office.store.book.apply(await office.desk.client.orders(), utc_now())
    async with office.watching():
        await eventually(lambda: told_filled(office, customer))
    assert office.inbox.of(customer.workflow_id)[0].order_id == order.order_id


async def test_watch__placement_was_lost__proves_absence_on_a_connection_made_later(
    office: Office,
) -> None:
    customer = await office.admit()
    before = office.desk.client.connection
    async with office.watching():
        await first_read(office)
        await office.claim(customer, timedelta(seconds=0.2))
        claimed = await office.store.placements.by_remark(customer.ticket().remark)
        assert claimed is not None

        async def two_reads() -> bool:
            found = await office.store.book.complete_snapshots_after(
                claimed.send_by, claimed.send_by
            )
            return len(found) >= 2

        await eventually(two_reads)
    assert office.desk.client.connection > before
    # Once is enough: later reads of the same claim stay on that connection.
    snapshots = await office.store.book.complete_snapshots_after(claimed.send_by, claimed.send_by)
    assert len({row.connection for row in snapshots}) == 1


async def told_cancelled(office: Office, customer: Customer) -> bool:
    told = [order.status for order in office.inbox.of(customer.workflow_id)]
    return BrokerStatus.CANCELLED in told


@pytest.mark.parametrize("booked", [True, False])
async def test_watch__order_filled_during_a_long_outage__is_found_in_history(
    office: Office, booked: bool
) -> None:
    customer = await office.admit()
    order_id = await office.placed_days_ago(customer, 5, booked=booked)
    await office.desk.control.set_price("AAPL", Decimal(149))
    await eventually(lambda: any(push.dead for push in office.desk.pushes))
    await office.desk.control.day_roll()
    async with office.watching():
        await eventually(lambda: told_filled(office, customer))
    known = await office.store.book.by_order_id(order_id)
    assert known is not None
    assert (known.status, known.filled) == (BrokerStatus.FILLED, 3)


async def test_watch__order_expired_during_a_long_outage__is_found_in_history(
    office: Office,
) -> None:
    customer = await office.admit()
    await office.placed_days_ago(customer, 5, booked=True)
    await office.desk.control.day_roll()
    await eventually(lambda: any(push.dead for push in office.desk.pushes))
    async with office.watching():
        await eventually(lambda: told_cancelled(office, customer))


async def test_watch__order_ends_while_we_cannot_ask__is_found_by_the_same_watch(
    office: Office,
) -> None:
    customer = await office.admit()
    await office.placed_days_ago(customer, 5, booked=True)
    async with office.watching():
        await first_read(office)
        await office.desk.control.outage()
        await eventually(lambda: "OpenD" in office.beats[-1]["problem"])
        await office.desk.control.day_roll()
        await office.desk.control.outage(on=False)
        await eventually(lambda: told_cancelled(office, customer))


class Reads:
    """How many days back each bulk read asked for."""

    def __init__(self, office: Office) -> None:
        self.days: list[float] = []
        self._snapshot = office.desk.client.snapshot
        office.desk.client.snapshot = self._noted  # type: ignore[method-assign]

    async def _noted(self, since: datetime | None = None) -> BookSnapshot:
        assert since is not None
        self.days.append((datetime.now(UTC) - since) / timedelta(days=1))
        return await self._snapshot(since)


async def test_watch__history__goes_back_no_further_than_an_end_is_missing(office: Office) -> None:
    reads, customer = Reads(office), await office.admit()
    async with office.watching():
        await eventually(lambda: reads.days)
        await office.placed_days_ago(customer, 5, booked=True)
        await eventually(lambda: len(reads.days) > 3)
        # The order is still in the list: it may cost one deep read, not one after the other.
        assert max(reads.days[-2:]) < 1.1


async def test_watch__history__is_never_read_without_end(office: Office) -> None:
    reads, customer = Reads(office), await office.admit()
    await office.claim(customer, timedelta(seconds=15), timedelta(days=400))
    async with office.watching():
        await eventually(lambda: reads.days)
    assert 89.9 < reads.days[0] < 90.1


async def test_watch__claim_of_long_ago__is_absent_only_by_reads_that_reach_it(
    office: Office,
) -> None:
    reads, customer = Reads(office), await office.admit()
    await office.claim(customer, timedelta(seconds=15), timedelta(days=5))
    claim = await office.store.placements.by_remark(customer.ticket().remark)
    assert claim is not None
    async with office.watching():

        async def two_reads() -> bool:
            found = await office.store.book.complete_snapshots_after(claim.send_by, claim.send_by)
            return len(found) >= 2

        await eventually(two_reads)
    assert min(reads.days[:2]) > 6


async def test_watch__window_shared_with_others__is_never_overdrawn(office: Office) -> None:
    async with office.watching(window=(3, 30.0, 0.0)):
        customer = await office.admit()
        await eventually(lambda: office.beats and office.beats[-1]["reads"] > 12)
        assert (await office.desk.control.count("GetHistoryOrderList")).received == 3
        await office.desk.client.place(customer.ticket(), SEND_SECONDS)
        await eventually(lambda: told_filled(office, customer))


async def test_watch__redis_is_gone__still_follows_orders(office: Office) -> None:
    customer = await office.admit()
    office.flags = Flags("redis://127.0.0.1:1/0")
    async with office.watching():
        await office.desk.client.place(customer.ticket(), SEND_SECONDS)
        await eventually(lambda: told_filled(office, customer))


async def test_watch__worker_shuts_down__ends_at_once_for_the_next_worker(office: Office) -> None:
    async with office.watching() as (environment, running):
        await first_read(office)
        environment.worker_shutdown()
        error, took = await raises(ApplicationError, running)
        assert (error.type, error.non_retryable) == ("WorkerShutdown", False)
        assert took < 1.0


async def test_watch__cancelled__ends_and_hears_no_more(office: Office) -> None:
    async with office.watching() as (environment, running):
        await first_read(office)
        environment.cancel()
        await raises(asyncio.CancelledError, running)
    assert office.desk.client._listeners == [office.desk.pushes.append]
