"""Claims: one per attempt, never more than there is room for, never two live orders."""

import asyncio
import random
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bronco.proof import begun_of
from clients.store import Store
from models.broker import BrokerStatus
from models.drafts import ClaimKind, Headroom
from models.errors import Conflict, NotFound
from models.records import ClaimState, ItemKind
from models.requests import Side, remark_of
from models.splits import SharesPerToken
from tests.contracts.builders import (
    NOW,
    PLENTY,
    broker_order,
    claim_draft,
    later,
    new_request_id,
    settlement_item,
    snapshot,
)


async def void(store: Store, request: str, attempt: int = 1) -> ClaimState:
    remark = remark_of(request, attempt)
    row = await store.placements.void(request, attempt, remark, "AAPL", Side.BUY, NOW)
    return row.state


async def test_claim__twice__only_the_first_may_send(store: Store) -> None:
    draft = claim_draft(new_request_id())

    first = await store.placements.claim(draft, PLENTY, NOW)
    second = await store.placements.claim(draft, PLENTY, NOW)

    assert (first.kind, second.kind) == (ClaimKind.CLAIMED, ClaimKind.EXISTS)
    assert first.row is not None
    assert second.row is not None
    assert second.row.id == first.row.id
    assert first.row.send_by == later(15).replace(tzinfo=None)


async def test_in_hand__claim_whose_holder_may_still_send__is_there_until_then(
    store: Store,
) -> None:
    sending, over = claim_draft(new_request_id()), claim_draft(new_request_id())
    for draft in (sending, over):
        await store.placements.claim(draft, PLENTY, NOW)
    await store.placements.mark(over.request_id, 1, ClaimState.VOID, now=NOW)

    ours = {sending.remark, over.remark}
    now = {row.remark for row in await store.placements.in_hand(later(14))}
    after = {row.remark for row in await store.placements.in_hand(later(15))}

    assert now & ours == {sending.remark}
    assert after & ours == set()


async def test_claim__by_two_workers_at_once__exactly_one_wins(
    store: Store, other_store: Store
) -> None:
    for _ in range(5):
        draft = claim_draft(new_request_id())
        results = await asyncio.gather(
            *(each.placements.claim(draft, PLENTY, NOW) for each in [store, other_store] * 3)
        )
        kinds = sorted(result.kind for result in results)
        assert kinds == [ClaimKind.CLAIMED, *[ClaimKind.EXISTS] * 5]


async def test_void_and_claim__at_once__exactly_one_wins(store: Store, other_store: Store) -> None:
    for turn in range(8):
        request = new_request_id()
        racers = [
            store.placements.claim(claim_draft(request), PLENTY, NOW),
            void(other_store, request),
        ]
        if turn % 2:
            racers.reverse()
        await asyncio.gather(*racers)
        states = [row.state for row in await store.placements.of_request(request)]
        late = await store.placements.claim(claim_draft(request), PLENTY, NOW)
        assert states in ([ClaimState.CLAIMED], [ClaimState.VOID])
        assert late.kind is ClaimKind.EXISTS


async def test_void__then_claim__cannot_be_sent(store: Store) -> None:
    request = new_request_id()

    assert await void(store, request) is ClaimState.VOID
    result = await store.placements.claim(claim_draft(request), PLENTY, NOW)

    assert result.kind is ClaimKind.EXISTS
    assert result.row is not None
    assert result.row.state is ClaimState.VOID


async def test_void__of_a_claimed_attempt__returns_the_claim(store: Store) -> None:
    request = new_request_id()
    await store.placements.claim(claim_draft(request), PLENTY, NOW)

    assert await void(store, request) is ClaimState.CLAIMED


async def test_claim__beyond_headroom__is_refused_in_words_and_leaves_no_row(store: Store) -> None:
    room = Headroom(payout=100, cash=Decimal("1000.5"), shares=10)
    await store.placements.claim(
        claim_draft(new_request_id(), reserved_cash=Decimal("900.5")), room, NOW
    )
    request = new_request_id()

    result = await store.placements.claim(
        claim_draft(request, reserved_cash=Decimal("100.01")), room, NOW
    )

    assert result.kind is ClaimKind.NO_HEADROOM
    assert result.detail == "cash: 100.01 wanted, 900.5 of 1000.5 taken"
    assert await store.placements.of_request(request) == []


async def test_claim__last_bit_of_headroom__fits_exactly(store: Store) -> None:
    room = Headroom(payout=10**20, cash=Decimal(0), shares=10)
    for part in (10**20 - 1, 1):
        draft = claim_draft(
            new_request_id(), side=Side.SELL, reserved_payout=part, reserved_shares=5
        )
        assert (await store.placements.claim(draft, room, NOW)).kind is ClaimKind.CLAIMED

    over = claim_draft(new_request_id(), side=Side.SELL, reserved_payout=1)
    assert (await store.placements.claim(over, room, NOW)).kind is ClaimKind.NO_HEADROOM


async def test_claim__shares_are_counted_per_symbol(store: Store) -> None:
    room = Headroom(payout=0, cash=Decimal(0), shares=5)
    for symbol in ("AAPL", "MSFT"):
        draft = claim_draft(new_request_id(), symbol=symbol, side=Side.SELL, reserved_shares=5)
        assert (await store.placements.claim(draft, room, NOW)).kind is ClaimKind.CLAIMED

    assert await store.placements.reserved("MSFT") == Headroom(0, Decimal(0), 5)


@pytest.mark.parametrize(("asked", "kind"), [(9, "NO_HEADROOM"), (13, "CLAIMED")])
async def test_claim__released_after_the_broker_was_asked__still_counts(
    store: Store, asked: float, kind: str
) -> None:
    sold = new_request_id()
    draft = claim_draft(sold, side=Side.SELL, reserved_shares=10)
    await store.placements.claim(draft, PLENTY, NOW)
    await store.placements.release(sold, later(10))
    # Asked at 9 s, the broker still had the ten shares that were sold before the release.
    room = Headroom(payout=0, cash=Decimal(0), shares=10, as_of=later(asked))
    again = claim_draft(new_request_id(), side=Side.SELL, reserved_shares=10)

    assert (await store.placements.claim(again, room, later(14))).kind == kind


@given(
    wanted=st.lists(st.integers(1, 40), min_size=2, max_size=12),
    room=st.integers(1, 120),
    seed=st.integers(0, 2**16),
)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_claims__from_many_threads__never_exceed_headroom(
    store: Store, other_store: Store, wanted: list[int], room: int, seed: int
) -> None:
    workers = random.Random(seed).choices([store, other_store], k=len(wanted))
    limit = Headroom(payout=0, cash=Decimal(room), shares=0)
    drafts = [claim_draft(new_request_id(), reserved_cash=Decimal(amount)) for amount in wanted]
    results = await asyncio.gather(
        *(w.placements.claim(d, limit, NOW) for w, d in zip(workers, drafts, strict=True))
    )

    taken = sum(
        d.reserved_cash for d, r in zip(drafts, results, strict=True) if r.kind is ClaimKind.CLAIMED
    )
    assert taken <= room
    assert taken == (await store.placements.reserved("AAPL")).cash
    for draft, result in zip(drafts, results, strict=True):
        if result.kind is ClaimKind.NO_HEADROOM:
            assert taken + draft.reserved_cash > room
        await store.placements.release(draft.request_id, NOW)
    assert (await store.placements.reserved("AAPL")).cash == 0


@pytest.mark.parametrize("state", [ClaimState.REJECTED, ClaimState.ABSENT])
async def test_mark__nothing_at_the_broker__gives_back_what_was_reserved(
    store: Store, state: ClaimState
) -> None:
    request = new_request_id()
    await store.placements.claim(claim_draft(request, reserved_cash=Decimal(5)), PLENTY, NOW)

    await store.placements.mark(request, 1, state, detail="why", now=NOW)

    assert (await store.placements.reserved("AAPL")).cash == 0
    assert await store.placements.open_claims() == []


async def test_mark__absent_turns_up__is_placed_and_reserved_again(store: Store) -> None:
    request = new_request_id()
    await store.placements.claim(claim_draft(request, reserved_cash=Decimal(5)), PLENTY, NOW)
    await store.placements.mark(request, 1, ClaimState.ABSENT, now=NOW)

    row = await store.placements.mark(
        request, 1, ClaimState.PLACED, broker_order_id="B7", now=later(1)
    )

    assert (row.state, row.broker_order_id) == (ClaimState.PLACED, "B7")
    assert (await store.placements.reserved("AAPL")).cash == 5
    assert [claim.request_id for claim in await store.placements.open_claims()] == [request]


async def test_mark__placed_after_release__stays_released(store: Store) -> None:
    request = new_request_id()
    await store.placements.claim(claim_draft(request, reserved_cash=Decimal(5)), PLENTY, NOW)
    assert await store.placements.release(request, NOW) == 1
    assert await store.placements.release(request, NOW) == 0

    await store.placements.mark(request, 1, ClaimState.PLACED, broker_order_id="B7", now=NOW)

    assert (await store.placements.reserved("AAPL")).cash == 0


async def test_mark__same_again__is_harmless_and_learns_the_order_id(store: Store) -> None:
    request = new_request_id()
    await store.placements.claim(claim_draft(request), PLENTY, NOW)
    await store.placements.mark(request, 1, ClaimState.PLACED, now=NOW)

    row = await store.placements.mark(request, 1, ClaimState.PLACED, broker_order_id="B7", now=NOW)

    assert row.broker_order_id == "B7"
    actions = [entry.action for entry in await store.audit.of_request(request)]
    assert actions == ["placement.claimed", "placement.placed"]


async def test_mark__placed__audit_names_the_broker_order(store: Store) -> None:
    request = new_request_id()
    await store.placements.claim(claim_draft(request), PLENTY, NOW)
    await store.placements.mark(request, 1, ClaimState.PLACED, broker_order_id="B7", now=NOW)

    (entry,) = [e for e in await store.audit.of_request(request) if e.action == "placement.placed"]
    assert '"broker_order_id":"B7"' in entry.data
    assert '"price":"190.01"' in entry.data


async def test_mark__another_broker_order__conflicts(store: Store) -> None:
    request = new_request_id()
    await store.placements.claim(claim_draft(request), PLENTY, NOW)
    await store.placements.mark(request, 1, ClaimState.PLACED, broker_order_id="B7", now=NOW)

    with pytest.raises(Conflict, match="B7 is on record, not B8"):
        await store.placements.mark(request, 1, ClaimState.PLACED, broker_order_id="B8", now=NOW)


@pytest.mark.parametrize("state", [ClaimState.REJECTED, ClaimState.ABSENT, ClaimState.CLAIMED])
async def test_mark__back_from_placed__conflicts(store: Store, state: ClaimState) -> None:
    request = new_request_id()
    await store.placements.claim(claim_draft(request), PLENTY, NOW)
    await store.placements.mark(request, 1, ClaimState.PLACED, broker_order_id="B7", now=NOW)

    with pytest.raises(Conflict, match="PLACED cannot become"):
        await store.placements.mark(request, 1, state, now=NOW)


async def test_mark__void_attempt__conflicts(store: Store) -> None:
    request = new_request_id()
    await void(store, request)

    with pytest.raises(Conflict, match="VOID cannot become PLACED"):
        await store.placements.mark(request, 1, ClaimState.PLACED, now=NOW)


async def test_mark__no_claim__is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.placements.mark(new_request_id(), 1, ClaimState.PLACED, now=NOW)


async def test_claim__remark_of_another_attempt__conflicts(store: Store) -> None:
    first, second = claim_draft(new_request_id()), new_request_id()
    await store.placements.claim(first, PLENTY, NOW)

    with pytest.raises(Conflict, match="claiming a placement"):
        await store.placements.claim(claim_draft(second, remark=first.remark), PLENTY, NOW)


async def test_remarks__that_differ_by_case__are_two(store: Store) -> None:
    for remark in ("b1:Ab:1", "b1:aB:1"):
        draft = claim_draft(new_request_id(), remark=remark)
        assert (await store.placements.claim(draft, PLENTY, NOW)).kind is ClaimKind.CLAIMED

    found = await store.placements.by_remark("b1:aB:1")
    assert found is not None
    assert found.remark == "b1:aB:1"
    assert await store.placements.by_remark("b1:AB:1") is None


@pytest.mark.parametrize(
    ("state", "order"),
    [
        (ClaimState.CLAIMED, None),
        (ClaimState.PLACED, None),
        (ClaimState.PLACED, BrokerStatus.WORKING),
        (ClaimState.PLACED, BrokerStatus.CANCELLING),
        (ClaimState.ABSENT, BrokerStatus.UNKNOWN),
    ],
)
async def test_claim__while_another_attempt_may_fill__conflicts(
    store: Store, state: ClaimState, order: BrokerStatus | None
) -> None:
    request = new_request_id()
    await first_attempt(store, request, state, order)

    with pytest.raises(Conflict, match="attempt 1"):
        await store.placements.claim(claim_draft(request, 2), PLENTY, NOW)


@pytest.mark.parametrize(
    ("state", "order"),
    [
        (ClaimState.REJECTED, None),
        (ClaimState.ABSENT, None),
        (ClaimState.VOID, None),
        (ClaimState.PLACED, BrokerStatus.CANCELLED),
        (ClaimState.CLAIMED, BrokerStatus.REJECTED),
    ],
)
async def test_claim__after_an_attempt_that_ended_empty__is_granted(
    store: Store, state: ClaimState, order: BrokerStatus | None
) -> None:
    request = new_request_id()
    await first_attempt(store, request, state, order)

    result = await store.placements.claim(claim_draft(request, 2), PLENTY, NOW)

    assert result.kind is ClaimKind.CLAIMED
    latest = await store.placements.latest([request, new_request_id()])
    assert {key: row.attempt for key, row in latest.items()} == {request: 2}


async def test_claim__after_an_attempt_that_filled__conflicts(store: Store) -> None:
    request = new_request_id()
    await first_attempt(store, request, ClaimState.PLACED, BrokerStatus.CANCELLED, filled=1)

    with pytest.raises(Conflict, match="attempt 1 has filled 1"):
        await store.placements.claim(claim_draft(request, 2), PLENTY, NOW)


@pytest.mark.parametrize("kind", list(ItemKind))
async def test_claim__after_a_settlement_item__conflicts(store: Store, kind: ItemKind) -> None:
    request = new_request_id()
    await store.items.enqueue(settlement_item(request_id=request, kind=kind))

    with pytest.raises(Conflict, match=f"already has its {kind} item"):
        await store.placements.claim(claim_draft(request), PLENTY, NOW)


async def test_claim__only_the_broker_remembers__is_not_sent_again(store: Store) -> None:
    request = new_request_id()
    order = broker_order("B9", remark=remark_of(request, 1), quantity=4)
    await store.book.apply([order], NOW)

    result = await store.placements.claim(claim_draft(request), PLENTY, NOW)

    assert result.kind is ClaimKind.EXISTS
    assert result.row is not None
    assert (result.row.state, result.row.broker_order_id) == (ClaimState.PLACED, "B9")
    assert result.row.quantity == 4
    assert await void(store, request) is ClaimState.PLACED


async def test_void__only_the_broker_remembers__is_placed(store: Store) -> None:
    request = new_request_id()
    await store.book.apply([broker_order("B9", remark=remark_of(request, 1))], NOW)

    assert await void(store, request) is ClaimState.PLACED


async def test_claim__burnt_by_a_store_that_forgot_it__is_placed_once_the_book_tells(
    store: Store,
) -> None:
    """The book was not read yet when a restored store took the attempt for never sent."""
    request = new_request_id()
    assert await void(store, request) is ClaimState.VOID
    order = broker_order("B9", remark=remark_of(request, 1), quantity=4)
    await store.book.apply([order], NOW)

    assert await void(store, request) is ClaimState.PLACED
    (row,) = await store.placements.of_request(request)
    assert (row.broker_order_id, row.quantity, row.released_at) == ("B9", 4, None)


async def test_granted__burnt_before_anybody_claimed_it__never_was(store: Store) -> None:
    """A pause forbids giving the right to send; that a lost attempt is burnt meanwhile is none."""
    lost, unsent = new_request_id(), new_request_id()
    await void(store, lost)
    await store.placements.claim(claim_draft(unsent), PLENTY, NOW)
    await store.placements.mark(unsent, 1, ClaimState.VOID, detail="no link", now=NOW)

    rows = [*await store.placements.of_request(lost), *await store.placements.of_request(unsent)]
    assert [(row.state, row.granted) for row in rows] == [
        (ClaimState.VOID, False),
        (ClaimState.VOID, True),
    ]
    assert [one.remark for one in begun_of(rows)] == [remark_of(unsent, 1)]


async def test_claim__unsent__is_burnt_and_gives_back_what_it_reserved(store: Store) -> None:
    request = new_request_id()
    await store.placements.claim(claim_draft(request, reserved_shares=5), PLENTY, NOW)
    row = await store.placements.mark(request, 1, ClaimState.VOID, detail="no link", now=NOW)

    assert (row.state, row.detail) == (ClaimState.VOID, "no link")
    assert (await store.placements.reserved("AAPL")).shares == 0


@pytest.mark.parametrize(("filled", "kept"), [(0, 0), (2, 900)])
async def test_reservation__of_an_order_that_ended__is_kept_only_for_a_fill(
    store: Store, filled: int, kept: int
) -> None:
    """Else the next attempt of a large request would wait for what the one before set aside."""
    request = new_request_id()
    room = Headroom(payout=0, cash=Decimal(1000), shares=0)
    cash = Decimal(900)
    await store.placements.claim(claim_draft(request, reserved_cash=cash), room, NOW)
    await store.placements.mark(request, 1, ClaimState.PLACED, broker_order_id="B1", now=NOW)
    status = BrokerStatus.CANCELLED
    changes = {"remark": remark_of(request, 1), "status": status, "filled": filled}
    await store.book.apply([broker_order("B1", **changes)], NOW)

    assert (await store.placements.reserved("AAPL")).cash == kept
    if not filled:
        again = claim_draft(request, 2, reserved_cash=cash)
        assert (await store.placements.claim(again, room, NOW)).kind is ClaimKind.CLAIMED


async def test_claim__only_the_broker_remembers_another_attempt__conflicts(store: Store) -> None:
    request = new_request_id()
    await store.book.apply([broker_order("B9", remark=remark_of(request, 2))], NOW)

    with pytest.raises(Conflict, match="attempt 2, whose claim was lost, is WORKING"):
        await store.placements.claim(claim_draft(request), PLENTY, NOW)
    with pytest.raises(Conflict, match="attempt 2"):
        await store.items.enqueue(settlement_item(request_id=request, kind=ItemKind.REFUND))


async def test_claim__book_not_read_since__waits_until_it_is(store: Store) -> None:
    draft = claim_draft(new_request_id(), book_since=later(100))
    early = snapshot(begun=later(99))
    partial = snapshot(begun=later(101), complete=False)
    for read in (early, partial):
        await store.book.record_snapshot(read)
    result = await store.placements.claim(draft, PLENTY, NOW)
    assert (result.kind, result.row) == (ClaimKind.STALE_BOOK, None)

    await store.book.record_snapshot(snapshot(begun=later(102)))

    assert (await store.placements.claim(draft, PLENTY, NOW)).kind is ClaimKind.CLAIMED


@pytest.mark.parametrize(
    ("side", "price", "crosses"),
    [
        (Side.SELL, "190.01", True),
        (Side.SELL, "190.00", True),
        (Side.SELL, "190.02", False),
        (Side.BUY, "200", False),
    ],
)
async def test_claim__price_that_meets_an_own_order__waits(
    store: Store, side: Side, price: str, crosses: bool
) -> None:
    standing = new_request_id()
    await first_attempt(store, standing, ClaimState.PLACED, BrokerStatus.WORKING)
    draft = claim_draft(new_request_id(), side=side, price=Decimal(price), may_cross=False)

    kind = (await store.placements.claim(draft, PLENTY, NOW)).kind

    assert kind is (ClaimKind.CROSSES if crosses else ClaimKind.CLAIMED)


async def test_claim__own_order_has_ended__does_not_cross(store: Store) -> None:
    await first_attempt(store, new_request_id(), ClaimState.PLACED, BrokerStatus.FILLED, filled=5)
    draft = claim_draft(new_request_id(), side=Side.SELL, may_cross=False)

    assert (await store.placements.claim(draft, PLENTY, NOW)).kind is ClaimKind.CLAIMED


async def first_attempt(
    store: Store,
    request: str,
    state: ClaimState,
    order: BrokerStatus | None,
    *,
    filled: int = 0,
) -> None:
    """Attempt 1 in this state, and its order in the broker's book."""
    if state is ClaimState.VOID:
        await void(store, request)
    else:
        await store.placements.claim(claim_draft(request), PLENTY, NOW)
    if state not in (ClaimState.VOID, ClaimState.CLAIMED):
        await store.placements.mark(request, 1, state, now=NOW)
    if order is not None:
        remark = remark_of(request, 1)
        report = broker_order(f"B{request[-9:]}", remark=remark, status=order, filled=filled)
        await store.book.apply([report], NOW)


async def test_tell_ratio__of_a_fill__is_written_with_who_and_why(store: Store) -> None:
    request = new_request_id()
    await store.placements.claim(claim_draft(request), PLENTY, NOW)
    ratio = SharesPerToken(numerator=11, denominator=10, epoch=1)
    told = {"who": "ada", "reason": "the broker's statement of Friday"}
    await store.placements.tell_ratio(request, 1, ratio, **told)
    (kept,) = await store.placements.of_request(request)
    assert (kept.ratio, kept.ratio_by) == (ratio, "ada")
    entries = await store.audit.of_request(request)
    (entry,) = [entry for entry in entries if entry.action == "claim.ratio"]
    assert entry.actor == "ada"
    assert '"shares_per_token":"11/10"' in entry.data
    assert "statement of Friday" in entry.data
    with pytest.raises(NotFound):
        await store.placements.tell_ratio(request, 2, ratio, **told)


async def test_tell_ratio__settlement_is_written__conflicts(store: Store) -> None:
    request = new_request_id()
    await store.placements.claim(claim_draft(request), PLENTY, NOW)
    await store.items.enqueue(settlement_item(request_id=request))
    four = SharesPerToken(numerator=4)
    with pytest.raises(Conflict, match="written already"):
        await store.placements.tell_ratio(request, 1, four, who="ada", reason="x")
