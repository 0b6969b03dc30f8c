"""Statements of the reserves, and what redeems were paid."""

from datetime import timedelta

from clients.store import Store
from models.control import ControlState, Hold, HoldKind
from models.order import OrderStatus, Stage
from models.records import ItemKind
from models.requests import Side
from tests import builders
from tests.contracts.builders import CHAIN, NOW, VAULT, later, settlement_item, vault_request

AT = NOW.replace(tzinfo=None)


async def test_reserves__several__the_newest_is_given_back_whole(store: Store) -> None:
    assert await store.reserves.latest() is None
    new = builders.statement(taken_at=AT, problems=("one",))
    old = builders.statement(taken_at=AT - timedelta(minutes=1))
    for made in (new, old, new):
        await store.reserves.record(made)
    assert await store.reserves.latest() == new


async def test_reserves__older_than_eight_days__are_dropped(store: Store) -> None:
    await store.reserves.record(builders.statement(taken_at=AT - timedelta(days=9)))
    await store.reserves.record(builders.statement(taken_at=AT - timedelta(days=7)))
    before = store.statements
    await store.reserves.record(builders.statement(taken_at=AT))
    assert store.statements - before <= 3
    newest = await store.reserves.latest()
    assert newest is not None
    assert newest.taken_at == AT


async def paid(store: Store, n: int, side: Side, kind: ItemKind, seconds: float) -> None:
    await store.orders.admit(
        vault_request(n, side=side), workflow_id=f"w{n}", symbol="AAPL", tx_hash="", now=NOW
    )
    item = settlement_item(n, kind=kind, out=n, created_at=later(seconds))
    await store.items.enqueue(item)


async def test_paid_out__redeems_of_the_time__are_listed_and_nothing_else(store: Store) -> None:
    await paid(store, 1, Side.SELL, ItemKind.SETTLE, 0)
    await paid(store, 2, Side.SELL, ItemKind.SETTLE, 9)
    await paid(store, 3, Side.SELL, ItemKind.SETTLE, 10)
    await paid(store, 4, Side.BUY, ItemKind.SETTLE, 5)
    await paid(store, 5, Side.SELL, ItemKind.REFUND, 5)
    found = await store.reserves.paid_out(CHAIN, VAULT, NOW, later(10))
    assert sorted(units for _, units in found) == [1, 2]
    assert await store.reserves.paid_out(CHAIN, "0x" + "9" * 40, NOW, later(10)) == []


async def test_reopen__an_end_the_vault_does_not_know__is_taken_back_once(store: Store) -> None:
    terms = vault_request(1)
    about = (terms.chain_id, terms.vault, terms.request_id)
    made = await store.orders.admit(terms, workflow_id="w1", symbol="AAPL", tx_hash="", now=NOW)
    assert not await store.orders.reopen(*about, "it goes on", NOW)
    end = {"status": OrderStatus.EXECUTED, "stage": Stage.SETTLED}
    await store.orders.update(*about, made.version, end, now=NOW)
    assert await store.orders.reopen(*about, "it goes on", NOW)
    row = await store.orders.get(*about)
    assert (row.status, row.stage, row.waiting_for) == (
        OrderStatus.PENDING,
        Stage.HELD,
        "it goes on",
    )
    placed = {"status": OrderStatus.EXECUTING, "stage": Stage.PLACED}
    assert await store.orders.update(*about, made.version + 1, placed, now=NOW)


async def test_repair__rows_of_holds_that_somebody_changed__are_as_the_state_says(
    store: Store,
) -> None:
    hold = Hold(key="manual", kind=HoldKind.MANUAL, reason="lunch", who="ann", at=NOW.isoformat())
    state = ControlState(paused=True, version=5, holds=(hold,))
    await store.holds.record(state, NOW)
    nothing = state.model_copy(update={"holds": (), "paused": False})
    assert not await store.holds.repair(nothing.model_copy(update={"version": 6}), NOW)
    assert await store.holds.repair(nothing, NOW)
    assert await store.holds.active() == []
    assert await store.holds.repair(state, NOW)
    assert [row.key for row in await store.holds.active()] == ["manual"]
