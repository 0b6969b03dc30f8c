"""Bulk reads: all of many requests, nothing of others, however many there are."""

from clients.store import Store
from models.records import ItemState
from models.requests import remark_of
from tests.contracts.builders import (
    CHAIN,
    NOW,
    PLENTY,
    VAULT,
    broker_order,
    claim_draft,
    request_id,
    settlement_item,
)


async def test_review__some_of_many__brings_each_table_and_nobody_elses(store: Store) -> None:
    for n in (1, 2, 3):
        await store.placements.claim(claim_draft(request_id(n)), PLENTY, NOW)
        order = broker_order(order_id=f"F{n}", remark=remark_of(request_id(n), 1))
        await store.book.apply([order], NOW)
        await store.items.enqueue(settlement_item(n))

    found = await store.review.requests(
        CHAIN, VAULT, [request_id(1).upper().replace("0X", "0x"), request_id(3)]
    )

    wanted = [request_id(1), request_id(3)]
    assert sorted(claim.request_id for claim in found.claims) == wanted
    assert sorted(item.request_id for item in found.items) == wanted
    assert sorted(order.order_id for order in found.orders) == ["F1", "F3"]
    assert found.rows == []


async def test_review__more_than_one_statement_holds__brings_all(store: Store) -> None:
    for n in (1, 950):
        await store.items.enqueue(settlement_item(n))
    found = await store.review.requests(CHAIN, VAULT, [request_id(n) for n in range(1, 1001)])
    assert [item.request_number for item in found.items] == [1, 950]


async def test_review__another_vault__is_not_looked_at(store: Store) -> None:
    await store.items.enqueue(settlement_item(1))
    found = await store.review.requests(CHAIN, "0x" + "9" * 40, [request_id(1)])
    assert found.items == []


async def test_items__by_state__are_listed_oldest_first(store: Store) -> None:
    ids = [(await store.items.enqueue(settlement_item(n))).id or 0 for n in (1, 2, 3, 4)]
    await store.items.mark_rejected(ids[2], "BAND", NOW)
    await store.items.mark_rejected(ids[0], "LIMIT", NOW)
    rejected = await store.items.rejected(CHAIN, VAULT, 10)
    assert [(item.id, item.rejection) for item in rejected] == [(ids[0], "LIMIT"), (ids[2], "BAND")]
    waiting = await store.items.waiting(CHAIN, VAULT, 1)
    assert [(item.id, item.state) for item in waiting] == [(ids[1], ItemState.PENDING)]
