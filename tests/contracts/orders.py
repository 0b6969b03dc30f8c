"""Orders: admission, versions, transitions, lists."""

import asyncio
from decimal import Decimal

import pytest

from clients.store import Store
from models.drafts import AuditDraft, OrderFilter
from models.errors import Conflict, InvalidInput, NotFound
from models.order import OrderStatus, Reason, Stage
from models.requests import Side
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

EPOCH = 1 << 20


async def admit(store: Store, n: int = 1, waiting_for: str = "", **changes: object) -> int:
    terms = vault_request(n, **changes)
    admission = await store.orders.admit(
        terms,
        workflow_id=f"order-{n}",
        symbol="AAPL",
        tx_hash=f"0x{n:064X}",
        now=NOW,
        waiting_for=waiting_for,
    )
    return admission.version


async def update(store: Store, n: int, version: int, **changes: object) -> bool:
    return await store.orders.update(CHAIN, VAULT, request_id(n), version, changes, now=later(1))


async def test_admit__new_request__writes_row_event_and_audit(store: Store) -> None:
    await admit(store)

    row = await store.orders.get(CHAIN, VAULT, request_id(1))
    assert (row.status, row.stage, row.usdt_amount) == (
        OrderStatus.PENDING,
        Stage.CONFIRMING,
        1_000_000_000,
    )
    assert row.created_at == NOW.replace(tzinfo=None)
    event = await store.events.of_request(CHAIN, VAULT, request_id(1))
    assert event is not None
    assert event.block_number == 7
    entries = await store.audit.of_request(request_id(1))
    assert [entry.action for entry in entries] == ["order.admitted"]


async def test_admit__redeem__amount_is_share_units(store: Store) -> None:
    await admit(store, side=Side.SELL, amount=100 * 10**18)

    row = await store.orders.get(CHAIN, VAULT, request_id(1))
    assert (row.quantity, row.usdt_amount) == (10**20, 0)


async def test_admit__again__begins_an_epoch_above_all_earlier_versions(store: Store) -> None:
    first = await admit(store)
    await update(store, 1, first + 5, retry_count=1)

    second = await admit(store)

    assert second > first + EPOCH - 2
    assert not await update(store, 1, first + 6, retry_count=9)
    assert await update(store, 1, second, retry_count=2)
    assert (await store.orders.get(CHAIN, VAULT, request_id(1))).retry_count == 2
    assert len(await store.audit.of_request(request_id(1))) == 1


async def test_admit__at_once_by_many__one_row_and_distinct_epochs(
    store: Store, other_store: Store
) -> None:
    versions = await asyncio.gather(*(admit(each) for each in [store, other_store] * 4))

    assert len({version >> 20 for version in versions}) == 8
    assert len((await store.orders.page(OrderFilter())).items) == 1


async def test_admit__orphaned__is_reopened(store: Store) -> None:
    version = await admit(store)
    ended = {"status": OrderStatus.FAILED, "stage": Stage.ORPHANED, "reason": Reason.ORPHANED}
    await update(store, 1, version, **ended)

    await admit(store)

    row = await store.orders.get(CHAIN, VAULT, request_id(1))
    assert (row.status, row.stage, row.reason) == (
        OrderStatus.PENDING,
        Stage.CONFIRMING,
        Reason.NONE,
    )


async def test_admit__ended_otherwise__stays_ended(store: Store) -> None:
    version = await admit(store)
    await update(store, 1, version, status=OrderStatus.FAILED, stage=Stage.REFUNDED)

    await admit(store)

    assert (await store.orders.get(CHAIN, VAULT, request_id(1))).stage is Stage.REFUNDED


async def test_admit__with_claims_and_item__returns_what_was_done(store: Store) -> None:
    await store.placements.claim(claim_draft(request_id(1)), PLENTY, NOW)
    await store.items.enqueue(settlement_item(1))
    terms = vault_request(1)

    admission = await store.orders.admit(terms, workflow_id="w", symbol="AAPL", tx_hash="", now=NOW)

    assert [claim.attempt for claim in admission.claims] == [1]
    assert admission.item is not None
    assert admission.item.out == 5 * 10**18


async def test_update__late_writer__changes_nothing(store: Store) -> None:
    version = await admit(store)
    filled = {"status": OrderStatus.EXECUTING, "stage": Stage.PART_FILLED}

    assert await update(store, 1, version + 6, **filled)
    assert not await update(store, 1, version + 5, stage=Stage.PLACED)

    row = await store.orders.get(CHAIN, VAULT, request_id(1))
    assert (row.stage, row.version) == (Stage.PART_FILLED, version + 6)


async def test_update__same_version_again__is_a_no_op(store: Store) -> None:
    version = await admit(store)

    assert await update(store, 1, version, stage=Stage.HELD)
    assert not await update(store, 1, version, stage=Stage.HELD)


async def test_update__late_writer__still_leaves_its_audit_entry_once(store: Store) -> None:
    version = await admit(store)
    await update(store, 1, version + 2, retry_count=1)
    draft = AuditDraft("placed:1", "order.placed", request_id(1), data={"price": Decimal("1.50")})

    for _ in range(2):
        await store.orders.update(
            CHAIN, VAULT, request_id(1), version + 1, {"attempt": 1}, audit=draft, now=NOW
        )

    entries = await store.audit.of_request(request_id(1))
    assert [entry.data for entry in entries if entry.action == "order.placed"] == [
        '{"price":"1.5"}'
    ]


async def test_update__illegal_transition__conflicts_and_writes_nothing(store: Store) -> None:
    version = await admit(store)
    await update(store, 1, version, status=OrderStatus.EXECUTED, stage=Stage.SETTLED)
    draft = AuditDraft("failed:1", "order.failed", request_id(1))
    changes = {"status": OrderStatus.FAILED}

    with pytest.raises(Conflict, match="EXECUTED cannot become FAILED"):
        await store.orders.update(
            CHAIN, VAULT, request_id(1), version + 1, changes, audit=draft, now=NOW
        )

    row = await store.orders.get(CHAIN, VAULT, request_id(1))
    assert (row.status, row.version) == (OrderStatus.EXECUTED, version)
    assert len(await store.audit.of_request(request_id(1))) == 1


async def test_update__orphaned__may_follow_any_end(store: Store) -> None:
    version = await admit(store)
    await update(store, 1, version, status=OrderStatus.EXECUTED, stage=Stage.SETTLED)
    await update(store, 1, version + 1, status=OrderStatus.FAILED, stage=Stage.ORPHANED)

    row = await store.orders.get(CHAIN, VAULT, request_id(1))
    assert (row.status, row.stage) == (OrderStatus.FAILED, Stage.ORPHANED)


async def test_admit__new_or_reopened__says_what_it_waits_for(store: Store) -> None:
    await admit(store, waiting_for="0 of 12 blocks")
    row = await store.orders.get(CHAIN, VAULT, request_id(1))
    assert row.waiting_for == "0 of 12 blocks"
    await update(store, 1, row.version + 1, status=OrderStatus.FAILED, stage=Stage.ORPHANED)
    await admit(store, waiting_for="3 of 12 blocks")
    row = await store.orders.get(CHAIN, VAULT, request_id(1))
    assert (row.stage, row.waiting_for) == (Stage.CONFIRMING, "3 of 12 blocks")


async def test_update__missing_row__is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match=request_id(9)):
        await update(store, 9, 1, stage=Stage.HELD)


@pytest.mark.parametrize("column", ["version", "internal_id", "nonsense"])
async def test_update__column_that_is_not_the_callers__is_named(store: Store, column: str) -> None:
    version = await admit(store)

    with pytest.raises(InvalidInput, match=column):
        await store.orders.update(CHAIN, VAULT, request_id(1), version, {column: 1}, now=NOW)


async def test_update__long_waiting_text__is_cut_to_its_column(store: Store) -> None:
    version = await admit(store)

    await update(store, 1, version, waiting_for="x" * 400)

    assert (await store.orders.get(CHAIN, VAULT, request_id(1))).waiting_for == "x" * 255


@pytest.mark.parametrize("amount", [2**128, 100 * 10**18, 10**64 + 1, 0])
async def test_amounts__of_any_size__come_back_exact(store: Store, amount: int) -> None:
    version = await admit(store, amount=amount)
    await update(store, 1, version, filled_quantity=amount, spent=amount)

    row = await store.orders.get(CHAIN, VAULT, request_id(1))
    assert (row.usdt_amount, row.filled_quantity, row.spent) == (amount, amount, amount)


async def test_prices__come_back_with_one_text(store: Store) -> None:
    version = await admit(store)
    await update(store, 1, version, average_price=Decimal("1.9E+2"))
    assert str((await store.orders.get(CHAIN, VAULT, request_id(1))).average_price) == "190"

    # An average over several fills has more decimals than the column.
    await update(store, 1, version + 1, average_price=Decimal("190.12345678951"))
    row = await store.orders.get(CHAIN, VAULT, request_id(1))
    assert str(row.average_price) == "190.12345679"


async def test_by_id__any_kind_of_key__finds_the_row(store: Store) -> None:
    await admit(store, 1)
    await admit(store, 2)
    row = await store.orders.get(CHAIN, VAULT.lower(), request_id(2))

    for key in (row.internal_id, str(row.internal_id), request_id(2), "order-2", f"0x{2:064x}"):
        assert key is not None
        assert [found.request_number for found in await store.orders.by_id(key)] == [2], key
    for key in ("order-3", 2**64, "9" * 30, "9" * 5_000, request_id(3)):
        assert await store.orders.by_id(key) == [], key


async def test_get__missing__is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.orders.get(CHAIN, VAULT, request_id(1))


async def test_page__walked_to_the_end__shows_each_order_once_newest_first(store: Store) -> None:
    for n in range(1, 8):
        await admit(store, n)
    seen: list[int] = []
    cursor = ""
    while True:
        page = await store.orders.page(OrderFilter(symbol="AAPL"), cursor, limit=3)
        seen += [row.request_number for row in page.items]
        cursor = page.next_cursor
        if not cursor:
            break

    assert seen == [7, 6, 5, 4, 3, 2, 1]


async def test_page__filters__narrow(store: Store) -> None:
    await admit(store, 1)
    await admit(store, 2, side=Side.SELL, owner="0xDD00000000000000000000000000000000000004")
    version = await admit(store, 3)
    await update(store, 3, version, stage=Stage.HELD)
    wanted = {
        OrderFilter(side=Side.SELL): [2],
        OrderFilter(user="0xdd00000000000000000000000000000000000004"): [2],
        OrderFilter(stage=Stage.HELD): [3],
        OrderFilter(status=OrderStatus.PENDING, side=Side.BUY): [3, 1],
        OrderFilter(symbol="TSLA"): [],
    }

    for chosen, numbers in wanted.items():
        page = await store.orders.page(chosen)
        assert [row.request_number for row in page.items] == numbers, chosen


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", "../../etc", "A" * 200])
async def test_page__malformed_cursor__is_named(store: Store, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor="):
        await store.orders.page(OrderFilter(), cursor)


async def test_page__cursor_of_another_filter__is_refused(store: Store) -> None:
    await admit(store, 1)
    await admit(store, 2)
    cursor = (await store.orders.page(OrderFilter(), limit=1)).next_cursor

    with pytest.raises(InvalidInput, match="cursor="):
        await store.orders.page(OrderFilter(side=Side.SELL), cursor)


@pytest.mark.parametrize("limit", [0, -1, 501])
async def test_page__limit_out_of_bounds__is_named(store: Store, limit: int) -> None:
    with pytest.raises(InvalidInput, match="limit="):
        await store.orders.page(OrderFilter(), limit=limit)


async def test_held__pages_waiting_orders_oldest_first(store: Store) -> None:
    for n, stage in enumerate([Stage.HELD, Stage.PLACED, Stage.WAITING_SESSION, Stage.QUEUED], 1):
        await update(store, n, await admit(store, n), stage=stage)

    first = await store.orders.held(0, 2)
    rest = await store.orders.held(first[-1][0], 2)

    assert [name for _, name in first + rest] == ["order-1", "order-3", "order-4"]


async def test_working__of_a_scope__pages_what_is_at_the_broker(store: Store) -> None:
    at_broker = [Stage.PLACED, Stage.PART_FILLED, Stage.UNKNOWN, Stage.CANCELLING]
    for n, stage in enumerate([*at_broker, Stage.HELD, Stage.SETTLING], 1):
        await update(store, n, await admit(store, n), stage=stage)

    first = await store.orders.working(None, "", 0, 3)
    rest = await store.orders.working(None, "AAPL", first[-1][0], 3)

    assert [name for _, name in first + rest] == ["order-1", "order-2", "order-3", "order-4"]
    assert await store.orders.working(None, "MSFT", 0, 3) == []
    sides = [len(await store.orders.working(side, "", 0, 9)) for side in (Side.BUY, Side.SELL)]
    assert sorted(sides) == [0, 4]


async def test_lists__ended_and_unfinished__are_told_apart(store: Store) -> None:
    await admit(store, 1)
    version = await admit(store, 2)
    await update(store, 2, version, status=OrderStatus.FAILED, stage=Stage.REFUNDED)

    unfinished = await store.orders.unfinished(CHAIN, VAULT)
    ended = await store.orders.ended_since(CHAIN, VAULT, NOW)

    assert [row.request_number for row in unfinished] == [1]
    assert [row.request_number for row in ended] == [2]
    assert await store.orders.ended_since(CHAIN, VAULT, later(2)) == []
    counts = await store.orders.counts()
    assert counts.by_status == {OrderStatus.PENDING: 1, OrderStatus.FAILED: 1}
    assert counts.by_stage == {Stage.CONFIRMING: 1, Stage.REFUNDED: 1}


async def test_workflow_ids__known_and_unknown__only_known_come_back(store: Store) -> None:
    await admit(store, 1)

    found = await store.orders.workflow_ids([request_id(1), request_id(2)])

    assert found == {request_id(1): "order-1"}
    assert await store.orders.workflow_ids([]) == {}
