"""The broker's book: reports in any order come to the same end; absence needs two reads."""

import asyncio
import itertools
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients.store import Store
from models.broker import BrokerOrder, BrokerStatus
from models.records import ClaimState, Placement
from models.requests import remark_of
from tests.contracts.builders import (
    NOW,
    PLENTY,
    broker_order,
    claim_draft,
    later,
    new_request_id,
    request_id,
    snapshot,
)

_order_ids = (f"P{number}" for number in itertools.count(1))


def report(order_id: str, status: BrokerStatus, filled: int = 0) -> BrokerOrder:
    price = Decimal("190.01") if filled else Decimal(0)
    return broker_order(order_id, status=status, filled=filled, average_price=price)


async def stored(store: Store, order_id: str = "B1") -> BrokerOrder:
    order = await store.book.by_order_id(order_id)
    assert order is not None
    return order


async def test_apply__new_then_same_then_changed__returns_only_changes(store: Store) -> None:
    order = broker_order(remark="b1:x:1", price=Decimal("190.010000000"))

    assert await store.book.apply([order], NOW) == [order]
    assert await store.book.apply([order], later(1)) == []
    filled = order.model_copy(update={"filled": 3, "status": BrokerStatus.PART_FILLED})
    assert await store.book.apply([filled], later(2)) == [filled]
    assert await stored(store) == filled
    assert await store.book.changed_since(later(2)) == [filled]
    assert await store.book.changed_since(later(3)) == []


async def test_apply__fewer_filled__is_old_news(store: Store) -> None:
    await store.book.apply([report("B1", BrokerStatus.PART_FILLED, 5)], NOW)

    assert await store.book.apply([report("B1", BrokerStatus.PART_FILLED, 3)], NOW) == []
    assert (await stored(store)).filled == 5


async def test_apply__death_told_with_fewer_filled__keeps_the_fill(store: Store) -> None:
    await store.book.apply([report("B1", BrokerStatus.PART_FILLED, 5)], NOW)

    await store.book.apply([report("B1", BrokerStatus.CANCELLED, 3)], NOW)

    order = await stored(store)
    assert (order.status, order.filled) == (BrokerStatus.CANCELLED, 5)
    assert order.average_price == Decimal("190.01")


@pytest.mark.parametrize(
    "status", [BrokerStatus.WORKING, BrokerStatus.CANCELLING, BrokerStatus.SUBMITTING]
)
async def test_apply__dead_order__does_not_come_alive(store: Store, status: BrokerStatus) -> None:
    await store.book.apply([report("B1", BrokerStatus.CANCELLED)], NOW)

    assert await store.book.apply([report("B1", status)], NOW) == []
    assert (await stored(store)).status is BrokerStatus.CANCELLED
    assert await store.book.live() == []


async def test_apply__late_fill_of_a_dead_order__is_taken(store: Store) -> None:
    await store.book.apply([report("B1", BrokerStatus.CANCELLED)], NOW)

    await store.book.apply([report("B1", BrokerStatus.PART_FILLED, 2)], NOW)

    assert (await stored(store)).filled == 2
    assert [order.order_id for order in await store.book.live()] == ["B1"]


async def test_apply__cancel_refused__order_works_again(store: Store) -> None:
    await store.book.apply([report("B1", BrokerStatus.CANCELLING)], NOW)

    await store.book.apply([report("B1", BrokerStatus.WORKING)], NOW)

    assert (await stored(store)).status is BrokerStatus.WORKING


async def test_apply__fill_cancelled__shrinks_and_is_for_ever(store: Store) -> None:
    await store.book.apply([report("B1", BrokerStatus.FILLED, 10)], NOW)

    await store.book.apply([report("B1", BrokerStatus.FILL_CANCELLED, 0)], NOW)
    await store.book.apply([report("B1", BrokerStatus.FILLED, 10)], NOW)

    order = await stored(store)
    assert (order.status, order.filled) == (BrokerStatus.FILL_CANCELLED, 0)


async def test_apply__push_without_remark__keeps_the_known_one(store: Store) -> None:
    await store.book.apply([broker_order(remark="b1:x:1")], NOW)

    await store.book.apply([report("B1", BrokerStatus.PART_FILLED, 1)], NOW)

    assert (await stored(store)).remark == "b1:x:1"


LIVES = st.sampled_from(
    [
        [(BrokerStatus.FILLED, 10)],
        [(BrokerStatus.CANCELLING, 4), (BrokerStatus.CANCELLED, 4)],
        [(BrokerStatus.CANCELLED, 0)],
        [(BrokerStatus.REJECTED, 0)],
        [(BrokerStatus.FILLED, 10), (BrokerStatus.FILL_CANCELLED, 0)],
    ]
).flatmap(
    lambda end: st.integers(0, end[0][1]).map(
        lambda part: [
            (BrokerStatus.SUBMITTING, 0),
            (BrokerStatus.WORKING, 0),
            *([(BrokerStatus.PART_FILLED, part)] if part else []),
            *end,
        ]
    )
)


@given(life=LIVES, data=st.data())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_apply__reports_of_one_life_in_any_order__same_end(
    store: Store, life: list[tuple[BrokerStatus, int]], data: st.DataObject
) -> None:
    order_id = next(_order_ids)
    told = data.draw(st.permutations(life + data.draw(st.lists(st.sampled_from(life)))))
    highest = 0
    for status, filled in told:
        await store.book.apply([report(order_id, status, filled)], NOW)
        known = await stored(store, order_id)
        assert known.filled >= highest or known.status is BrokerStatus.FILL_CANCELLED
        highest = known.filled

    assert (known.status, known.filled) == life[-1]


async def test_apply__two_pollers_at_once__both_reports_count(
    store: Store, other_store: Store
) -> None:
    ids = [f"B{number}" for number in range(30)]
    await asyncio.gather(
        store.book.apply([report(each, BrokerStatus.PART_FILLED, 2) for each in ids], NOW),
        other_store.book.apply(
            [report(each, BrokerStatus.PART_FILLED, 3) for each in reversed(ids)], NOW
        ),
        store.book.apply([report(each, BrokerStatus.WORKING) for each in ids], NOW),
    )

    assert {order.filled for order in await store.book.live()} == {3}
    assert len(await store.book.live()) == 30


async def test_apply__thousands_of_unchanged_orders__few_statements(store: Store) -> None:
    orders = [report(f"B{number}", BrokerStatus.WORKING) for number in range(1200)]
    await store.book.apply(orders, NOW)
    before = store.statements

    assert await store.book.apply(orders, later(1)) == []

    assert store.statements - before == 3


async def test_apply__same_fill_told_without_its_price__keeps_the_known_price(
    store: Store,
) -> None:
    done = broker_order(status=BrokerStatus.FILLED, filled=5, average_price=Decimal("190.5"))
    await store.book.apply([done], NOW)

    unpriced = done.model_copy(update={"average_price": Decimal(0)})
    assert await store.book.apply([unpriced], NOW) == []
    assert (await stored(store)).average_price == Decimal("190.5")


async def test_by_remark__held_twice__is_the_one_the_claim_names(store: Store) -> None:
    """The other one is an alarm of reconcile's; the request's own order must still end."""
    request = new_request_id()
    remark = remark_of(request, 1)
    await store.placements.claim(claim_draft(request), PLENTY, NOW)
    await store.book.apply([broker_order(f"B{n}", remark=remark) for n in (1, 2)], NOW)

    before = await store.book.by_remark(remark)
    await store.placements.mark(request, 1, ClaimState.PLACED, broker_order_id="B2", now=NOW)
    after = await store.book.by_remark(remark)

    assert before is not None
    assert after is not None
    assert (before.order_id, after.order_id) == ("B1", "B2")
    assert await store.book.by_remark("other") is None


async def test_of_request__every_attempt_and_nobody_elses(store: Store) -> None:
    mine, other = request_id(5), new_request_id()
    remarks = [remark_of(mine, 1), remark_of(mine, 12), remark_of(other, 1), "by hand"]
    await store.book.apply(
        [broker_order(f"B{number}", remark=remark) for number, remark in enumerate(remarks)], NOW
    )

    assert {order.order_id for order in await store.book.of_request(mine)} == {"B0", "B1"}
    assert await store.book.of_request(new_request_id()) == []


async def test_record_snapshot__twice__is_one_read(store: Store) -> None:
    read = snapshot(broker_order(), begun=later(10))

    assert await store.book.record_snapshot(read) == await store.book.record_snapshot(read)
    assert len(await store.book.complete_snapshots_after(NOW, later(-60))) == 1


async def test_record_snapshot__merges_its_orders(store: Store) -> None:
    changed = await store.book.apply_snapshot(snapshot(broker_order("B1"), broker_order("B2")))

    assert {order.order_id for order in changed} == {"B1", "B2"}
    assert await store.book.apply_snapshot(snapshot(broker_order("B1"), begun=later(5))) == []
    newest = await store.book.latest_snapshot()
    assert newest is not None
    assert (newest.begun_at, newest.order_count) == (later(5).replace(tzinfo=None), 1)


async def test_complete_snapshots_after__only_what_proves_absence(store: Store) -> None:
    fence, connected = later(100), later(50)
    reads = {
        "too early": snapshot(begun=fence, connected_at=later(60)),
        "incomplete": snapshot(begun=later(101), connected_at=later(60), complete=False),
        "old connection": snapshot(begun=later(102), connected_at=connected),
        "first": snapshot(begun=later(104), connected_at=later(60)),
        "second": snapshot(begun=later(103), connected_at=later(60)),
    }
    ids = {name: await store.book.record_snapshot(read) for name, read in reads.items()}

    found = await store.book.complete_snapshots_after(fence, connected)

    assert [row.id for row in found] == [ids["second"], ids["first"]]


async def test_complete_snapshots_after__read_at_the_same_time__count_as_one(store: Store) -> None:
    fence = later(100)
    for begun, connection in ((101, 1), (101.5, 2), (101.9, 1)):
        await store.book.record_snapshot(
            snapshot(begun=later(begun), connected_at=later(60), connection=connection)
        )
    assert len(await store.book.complete_snapshots_after(fence, later(50))) == 1

    await store.book.record_snapshot(snapshot(begun=later(102), connected_at=later(60)))
    assert len(await store.book.complete_snapshots_after(fence, later(50))) == 2


DAY = 86_400


async def claimed(store: Store, days: float = 0.0) -> Placement:
    """A claim of that many days ago whose outcome is not known."""
    draft = claim_draft(new_request_id(), send_by=later(15 - days * DAY))
    result = await store.placements.claim(draft, PLENTY, later(-days * DAY))
    assert result.row is not None
    return result.row


@pytest.mark.parametrize(
    ("reaches", "proofs"), [(None, 0), (-2.9, 0), (-3.0, 1), (-3.1, 1), (-90.0, 1)]
)
async def test_complete_snapshots_after__only_reads_that_reach_the_claim(
    store: Store, reaches: float | None, proofs: int
) -> None:
    claim = await claimed(store, days=3)
    since = None if reaches is None else later(reaches * DAY)

    await store.book.record_snapshot(snapshot(since=since))

    found = await store.book.complete_snapshots_after(claim.send_by, claim.send_by)
    assert len(found) == proofs
    assert await store.book.latest_snapshot() == (found[0] if found else None)


async def test_complete_snapshots_after__claim_older_than_any_read__has_no_proof(
    store: Store,
) -> None:
    claim = await claimed(store, days=91)

    await store.book.record_snapshot(snapshot(since=later(-90 * DAY)))

    # For everybody else it is a complete read.
    assert await store.book.latest_snapshot() is not None
    assert await store.book.complete_snapshots_after(claim.send_by, claim.send_by) == []


async def test_oldest_unended__claims_without_an_outcome_and_live_orders(store: Store) -> None:
    async def oldest(*besides: str) -> datetime | None:
        return await store.book.oldest_unended(besides)

    assert await oldest() is None
    await store.book.apply([report("B1", BrokerStatus.WORKING)], later(-DAY))
    assert await oldest() == later(-DAY).replace(tzinfo=None)
    assert await oldest("B1") is None

    lost = await claimed(store, days=4)
    assert await oldest("B1") == lost.created_at
    await store.placements.mark(lost.request_id, 1, ClaimState.ABSENT, now=NOW)
    assert await oldest("B1") is None


async def test_oldest_unended__placed__asks_until_the_book_holds_its_end(store: Store) -> None:
    placed = await claimed(store, days=4)
    await store.placements.mark(
        placed.request_id, 1, ClaimState.PLACED, broker_order_id="B2", now=NOW
    )
    assert await store.book.oldest_unended(()) == placed.created_at

    order = broker_order("B2", remark=placed.remark)
    await store.book.apply([order], NOW)
    assert await store.book.oldest_unended(()) == placed.created_at
    assert await store.book.oldest_unended({"B2"}) is None

    await store.placements.release(placed.request_id, NOW)
    assert await store.book.oldest_unended(()) == placed.created_at
    await store.book.apply([order.model_copy(update={"status": BrokerStatus.CANCELLED})], NOW)
    assert await store.book.oldest_unended(()) is None


async def test_record_snapshot__reads_a_week_old__are_forgotten(store: Store) -> None:
    week = 7 * 86_400
    for second in (0, 10, week + 5):
        await store.book.record_snapshot(snapshot(begun=later(second)))

    kept = await store.book.complete_snapshots_after(later(-1), later(-99))
    assert [row.begun_at for row in kept] == [
        later(second).replace(tzinfo=None) for second in (10, week + 5)
    ]


async def test_fill_times__move_with_the_fill_alone(store: Store) -> None:
    """A status that is told later must not make a fill look younger than it is."""
    request = new_request_id()
    first, second = (remark_of(request, attempt) for attempt in (1, 2))
    part = broker_order("F1", remark=first, status=BrokerStatus.PART_FILLED, filled=2)
    idle = broker_order("F2", remark=second)
    await store.book.apply([part, idle], NOW)
    ended = part.model_copy(update={"status": BrokerStatus.CANCELLED})
    await store.book.apply([ended], later(60))
    assert await store.book.fill_times(request) == {first: NOW.replace(tzinfo=None)}

    late = ended.model_copy(update={"filled": 3})
    await store.book.apply([late], later(90))
    assert await store.book.fill_times(request) == {first: later(90).replace(tzinfo=None)}
