"""Levels: what is counted, what is the oldest, in a constant number of statements."""

from datetime import UTC, datetime, timedelta
from typing import Any

from clients.store import Store
from models.columns import naive_utc
from models.order import OrderStatus, Reason, Stage
from models.records import ClaimState, ItemKind, ItemState
from tests.contracts.builders import (
    CHAIN,
    NOW,
    PLENTY,
    VAULT,
    claim_draft,
    later,
    request_id,
    settlement_item,
    vault_request,
)


async def admitted(store: Store, n: int, moment: datetime, **changes: Any) -> None:
    """An order admitted then, and changed since."""
    admission = await store.orders.admit(
        vault_request(n), workflow_id=f"order-{n}", symbol="AAPL", tx_hash="", now=moment
    )
    if changes:
        version = admission.version + 1
        await store.orders.update(CHAIN, VAULT, request_id(n), version, changes, now=later(200))


async def test_levels__of_an_empty_store__are_empty(store: Store) -> None:
    found = await store.levels.read()
    assert (found.failed, found.oldest, found.items) == ({}, {}, {})
    assert (found.unknown, found.book_read, found.house, found.unsealed) == (None, None, 0, 0)


async def test_levels__of_orders__name_the_oldest_open_one_and_why_others_failed(
    store: Store,
) -> None:
    await admitted(store, 1, NOW)
    await admitted(store, 2, later(60))
    await admitted(store, 3, later(120), stage=Stage.HELD)
    await admitted(
        store, 4, NOW, status=OrderStatus.FAILED, stage=Stage.REFUNDED, reason=Reason.TOO_SMALL
    )

    found = await store.levels.read()

    assert found.oldest == {
        Stage.CONFIRMING: naive_utc(NOW),
        Stage.HELD: naive_utc(later(120)),
    }
    assert found.failed == {Reason.TOO_SMALL: 1}
    assert found.unsealed > 0
    assert found.unsealed_since == naive_utc(NOW)


async def test_levels__of_items__are_by_kind_and_state(store: Store) -> None:
    for n in (1, 2):
        await store.items.enqueue(settlement_item(n))
    refused = await store.items.enqueue(settlement_item(3, kind=ItemKind.REFUND))
    await store.items.mark_rejected(refused.id or 0, "RETURN_LIMIT")

    levels = (await store.levels.read()).items

    assert {key: level.number for key, level in levels.items()} == {
        (ItemKind.SETTLE, ItemState.PENDING): 2,
        (ItemKind.REFUND, ItemState.REJECTED): 1,
    }


async def test_levels__of_claims__know_the_oldest_without_an_outcome(store: Store) -> None:
    for n, moment in ((1, NOW), (2, later(60))):
        await store.placements.claim(claim_draft(request_id(n)), PLENTY, moment)
    assert (await store.levels.read()).unknown == naive_utc(NOW)

    await store.placements.mark(
        request_id(1), 1, ClaimState.ABSENT, now=later(90), detail="looked twice"
    )

    assert (await store.levels.read()).unknown == naive_utc(later(60))


async def test_levels__however_much_there_is__take_as_many_statements(store: Store) -> None:
    async def statements() -> int:
        before = store.statements
        await store.levels.read()
        return store.statements - before

    first = await statements()
    for n in range(1, 9):
        await admitted(store, n, NOW)
        await store.items.enqueue(settlement_item(n))
    assert await statements() == first


async def test_clock__of_the_database__is_utc(store: Store) -> None:
    assert abs(await store.levels.clock() - datetime.now(UTC)) < timedelta(seconds=30)
