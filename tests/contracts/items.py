"""Settlement items: one per request, taken once, moved only where their state allows."""

import asyncio
from decimal import Decimal

import pytest

from clients.store import Store
from models.broker import BrokerStatus
from models.errors import Conflict
from models.records import ApprovalRow, ClaimState, ItemKind, ItemState
from models.requests import remark_of
from tests.contracts.builders import (
    CHAIN,
    NOW,
    PLENTY,
    VAULT,
    broker_order,
    claim_draft,
    later,
    request_id,
    settlement_item,
)


async def enqueue(store: Store, n: int) -> int:
    return (await store.items.enqueue(settlement_item(n))).id or 0


async def state_of(store: Store, n: int) -> ItemState:
    item = await store.items.of_request(CHAIN, VAULT, request_id(n))
    assert item is not None
    return item.state


async def test_enqueue__twice__the_first_stays(store: Store) -> None:
    first = await store.items.enqueue(settlement_item(1))
    second = await store.items.enqueue(settlement_item(1, taken=1, kind=ItemKind.REFUND))

    assert (second.id, second.taken, second.kind) == (first.id, 950_000_000, ItemKind.SETTLE)
    actions = [entry.action for entry in await store.audit.of_request(request_id(1))]
    assert actions == ["settlement.settle"]


async def test_enqueue__at_once_by_many__one_item(store: Store, other_store: Store) -> None:
    items = await asyncio.gather(
        *(
            each.items.enqueue(settlement_item(1, taken=taken))
            for taken, each in enumerate([store, other_store] * 3)
        )
    )

    assert len({(item.id, item.taken) for item in items}) == 1


async def test_enqueue__large_amounts__are_kept_exactly(store: Store) -> None:
    await store.items.enqueue(
        settlement_item(1, taken=2**128, out=100 * 10**18, filled=100 * 10**18)
    )

    item = await store.items.of_request(CHAIN, VAULT, request_id(1))
    assert item is not None
    assert (item.taken, item.out, item.filled) == (2**128, 10**20, 10**20)
    assert item.average_price == Decimal("190.01")


@pytest.mark.parametrize("filled", [0, 2])
async def test_enqueue__refund_while_an_order_may_fill_or_has__conflicts(
    store: Store, filled: int
) -> None:
    request = request_id(1)
    await store.placements.claim(claim_draft(request), PLENTY, NOW)
    status = BrokerStatus.CANCELLED if filled else BrokerStatus.WORKING
    order = broker_order(remark=remark_of(request, 1), status=status, filled=filled)
    await store.book.apply([order], NOW)

    with pytest.raises(Conflict, match="attempt 1"):
        await store.items.enqueue(settlement_item(1, kind=ItemKind.REFUND))

    assert await store.items.of_request(CHAIN, VAULT, request) is None


async def test_enqueue__refund_and_claim_at_once__never_both(
    store: Store, other_store: Store
) -> None:
    for n in range(1, 9):
        refund = settlement_item(n, kind=ItemKind.REFUND)
        results = await asyncio.gather(
            store.items.enqueue(refund),
            other_store.placements.claim(claim_draft(request_id(n)), PLENTY, NOW),
            return_exceptions=True,
        )
        assert [isinstance(result, Conflict) for result in results].count(True) == 1


async def test_enqueue__refund_after_proven_absence__is_written(store: Store) -> None:
    request = request_id(1)
    await store.placements.claim(claim_draft(request), PLENTY, NOW)
    await store.placements.mark(request, 1, ClaimState.ABSENT, now=NOW)

    item = await store.items.enqueue(settlement_item(1, kind=ItemKind.REFUND))

    assert item.kind is ItemKind.REFUND


async def test_take_batch__oldest_first_and_no_more_than_asked(store: Store) -> None:
    for n in (3, 1, 2):
        await enqueue(store, n)

    taken = await store.items.take_batch(CHAIN, VAULT, "batch-1", 2, NOW)

    assert [item.request_number for item in taken] == [3, 1]
    assert {item.state for item in taken} == {ItemState.SENT}
    assert await state_of(store, 2) is ItemState.PENDING


async def test_take_batch__same_batch_again__same_items(store: Store) -> None:
    for n in (1, 2, 3):
        await enqueue(store, n)
    first = await store.items.take_batch(CHAIN, VAULT, "batch-1", 2, NOW)
    await store.items.mark_mined([first[0].id or 0], "0xAA", 5, NOW)

    again = await store.items.take_batch(CHAIN, VAULT, "batch-1", 2, later(1))

    assert [item.id for item in again] == [first[1].id]
    assert await state_of(store, 3) is ItemState.PENDING
    both = await store.items.of_batch("batch-1")
    assert [item.id for item in both] == [item.id for item in first]


async def test_take_batch__at_once_by_two__no_item_in_both(
    store: Store, other_store: Store
) -> None:
    for n in range(1, 13):
        await enqueue(store, n)

    batches = await asyncio.gather(
        *(
            each.items.take_batch(CHAIN, VAULT, f"batch-{number}", 4, NOW)
            for number, each in enumerate([store, other_store, store])
        )
    )

    ids = [item.id for batch in batches for item in batch]
    assert len(ids) == len(set(ids))
    assert len(ids) + (await store.items.counts()).get(ItemState.PENDING, 0) == 12


async def test_take_batch__other_vault__is_left_alone(store: Store) -> None:
    await enqueue(store, 1)

    assert await store.items.take_batch(CHAIN, "0x" + "11" * 20, "b", 5, NOW) == []
    assert await store.items.take_batch(CHAIN + 1, VAULT, "b", 5, NOW) == []


async def test_marks__through_a_life__each_step_once(store: Store) -> None:
    number = await enqueue(store, 1)
    await store.items.take_batch(CHAIN, VAULT, "batch-1", 1, NOW)

    assert await store.items.mark_final([number], NOW) == 0
    assert await store.items.mark_mined([number], "0xAA", 5, NOW) == 1
    assert await store.items.mark_mined([number], "0xAA", 5, NOW) == 0
    assert await store.items.mark_mined([number], "0xBB", 6, NOW) == 1
    assert [item.tx_hash for item in await store.items.unfinal(CHAIN, VAULT, 9)] == ["0xbb"]
    assert await store.items.mark_final([number], NOW) == 1
    assert await store.items.mark_mined([number], "0xCC", 7, NOW) == 0
    assert await store.items.to_pending([number], NOW) == 0
    assert not await store.items.mark_lost(number, NOW)
    assert await store.items.counts() == {ItemState.FINAL: 1}
    entries = [entry.action for entry in await store.audit.of_request(request_id(1))]
    assert entries == [
        "settlement.settle",
        "settlement.sent",
        "settlement.mined",
        "settlement.mined",
        "settlement.final",
    ]


async def test_to_pending__vanished__is_taken_again_by_a_new_batch(store: Store) -> None:
    number = await enqueue(store, 1)
    await store.items.take_batch(CHAIN, VAULT, "batch-1", 1, NOW)
    await store.items.mark_mined([number], "0xAA", 5, NOW)

    assert await store.items.to_pending([number], NOW) == 1
    again = await store.items.take_batch(CHAIN, VAULT, "batch-2", 1, NOW)

    assert [(item.id, item.tries, item.tx_hash) for item in again] == [(number, 1, "")]
    actions = [entry.action for entry in await store.audit.of_request(request_id(1))]
    assert actions.count("settlement.sent") == 2


async def test_mark_rejected__keeps_the_code_until_it_is_tried_again(store: Store) -> None:
    number = await enqueue(store, 1)

    assert await store.items.mark_rejected(number, "CAP", NOW)
    item = await store.items.of_request(CHAIN, VAULT, request_id(1))
    assert item is not None
    assert (item.state, item.rejection) == (ItemState.REJECTED, "CAP")
    assert await store.items.take_batch(CHAIN, VAULT, "batch-1", 5, NOW) == []
    assert await store.items.to_pending([number], NOW) == 1
    assert [item.rejection for item in await store.items.take_batch(CHAIN, VAULT, "b", 5, NOW)] == [
        ""
    ]


async def test_mark_rejected__mined_already__is_refused(store: Store) -> None:
    number = await enqueue(store, 1)
    await store.items.mark_mined([number], "0xAA", 5, NOW)

    assert not await store.items.mark_rejected(number, "CAP", NOW)
    assert await state_of(store, 1) is ItemState.MINED


async def test_mark_lost__reclaimed__ends_it(store: Store) -> None:
    number = await enqueue(store, 1)

    assert await store.items.mark_lost(number)
    assert await store.items.to_pending([number]) == 0
    assert await state_of(store, 1) is ItemState.LOST


async def test_take__an_item_with_approvals__is_a_batch_of_its_own(store: Store) -> None:
    """One transaction carries the approvals of one item, and nothing beside it."""
    ids = [await enqueue(store, n) for n in (1, 2, 3, 4)]
    assert await store.items.approve(ids[2], "0x" + "AB" * 32, NOW)
    first = await store.items.take_batch(CHAIN, VAULT, "b1", 10, NOW)
    assert [item.id for item in first] == [ids[0], ids[1], ids[3]]
    second = await store.items.take_batch(CHAIN, VAULT, "b2", 10, NOW)
    assert [(item.id, item.approval) for item in second] == [(ids[2], "0x" + "ab" * 32)]
    again = await store.items.take_batch(CHAIN, VAULT, "b2", 10, NOW)
    assert [item.id for item in again] == [ids[2]]


async def test_approved__vanishes_or_is_refused__keeps_its_approvals(store: Store) -> None:
    item_id = await enqueue(store, 1)
    await store.items.approve(item_id, "0x" + "ab" * 32, NOW)
    assert not await store.items.approve(item_id, "0x" + "ab" * 32, NOW), "it is so already"
    await store.items.take_batch(CHAIN, VAULT, "b1", 10, NOW)
    assert not await store.items.approve(item_id, "0x" + "cd" * 32, NOW), "it is on its way"
    await store.items.mark_mined([item_id], "0x" + "11" * 32, 7, NOW)
    await store.items.to_pending([item_id], NOW)
    await store.items.mark_rejected(item_id, "UNAPPROVED", NOW)
    item = await store.items.of_request(CHAIN, VAULT, request_id(1))
    assert item is not None
    assert (item.state, item.approval) == (ItemState.REJECTED, "0x" + "ab" * 32)
    assert await store.items.approve(item_id, "0x" + "cd" * 32, NOW)


async def test_approvals__one_signer_twice__is_kept_once_and_told_once(store: Store) -> None:
    for who in ("ada", "bea"):
        await store.approvals.add(approval_row("0xAA", "0x01"), who)
    await store.approvals.add(approval_row("0xBB", "0x02"), "")
    rows = await store.approvals.of_request(CHAIN, VAULT, request_id(1))
    assert [(row.signer, row.signature) for row in rows] == [("0xaa", "0x01"), ("0xbb", "0x02")]
    assert [row.signer for row in await store.approvals.of_digest("0x" + "AB" * 32)] == [
        "0xaa",
        "0xbb",
    ]
    told = [(e.action, e.actor) for e in await store.audit.of_request(request_id(1))]
    assert told == [("approval.signed", "ada"), ("approval.signed", "0xbb")]


def approval_row(signer: str, signature: str) -> ApprovalRow:
    return ApprovalRow(
        chain_id=CHAIN,
        vault=VAULT,
        request_id=request_id(1),
        digest="0x" + "AB" * 32,
        epoch=1,
        deadline=4_000_000_000,
        signer=signer,
        signature=signature,
        created_at=NOW,
    )
