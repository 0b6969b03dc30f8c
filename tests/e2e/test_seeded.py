"""Inconsistencies planted one by one: each is found within two runs, and mended or frozen.

docs/reconcile.md has a row for each; a test compares.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from sqlmodel import col, delete

from activities import observations as kinds
from bronco.devchain import ADMIN, SETTLER
from clients.abi import load_contract
from clients.vault import settle_calldata
from clients.wallet import ERC20, USDT, Requested
from models.chain import RefundItem
from models.control import HoldKind
from models.drafts import OrderFilter
from models.house import HouseVerb
from models.money import SHARE_SCALE
from models.order import Order, OrderStatus, Reason, Stage
from models.records import (
    ClaimState,
    HoldRow,
    ItemKind,
    ItemState,
    Placement,
    SettlementItem,
)
from models.requests import RECONCILE_SCHEDULE_ID, Side, remark_of
from tests.contracts.builders import house_position
from tests.e2e.desk import SYMBOL, Desk
from tests.e2e.seeding import Seed, ticket
from tests.waiting import eventually

FEED, SHARE = load_contract("DevFeed"), load_contract("ShareToken")
AWAKE_IN_BETWEEN = 3
"""Requests tried where the workflow may wake by itself before the test has looked twice."""
POSITION_HOLD = f"mismatch:position:{SYMBOL}"


@pytest_asyncio.fixture
async def seed(embedded_desk: Desk) -> AsyncIterator[Seed]:
    """Everything is well before and after; chain, broker and database agree to the unit."""
    desk = embedded_desk
    await desk.client.get_schedule_handle(RECONCILE_SCHEDULE_ID).pause()
    await desk.holding(2)
    seed = Seed(desk)
    await seed.well()
    yield seed
    await desk.calm()
    await seed.well()
    await desk.prove()


async def held(seed: Seed) -> Requested:
    """A deposit that waits because trading is paused."""
    await seed.desk.play.pause("an inconsistency is planted")
    made = await seed.desk.deposit()
    await seed.desk.at(made, Stage.HELD)
    return made


async def executed(seed: Seed) -> Requested:
    made = await seed.desk.deposit()
    await seed.desk.end(made, OrderStatus.EXECUTED)
    await seed.desk.workflow(made).result()
    return made


async def goes_on(seed: Seed, made: Requested) -> None:
    """Resumed, it ends as if nothing had been: one order, two shares."""
    before = await seed.desk.wallets[0].balance(seed.desk.token)
    await seed.desk.play.resume()
    row = await seed.desk.end(made, OrderStatus.EXECUTED)
    assert row.filled_quantity == 2 * SHARE_SCALE
    await seed.desk.one_order_each([made])
    assert await seed.desk.alice.balance(seed.desk.token) == before + 2 * SHARE_SCALE


# --- rows and workflows ---------------------------------------------------------------------------


async def test_row_missing(seed: Seed) -> None:
    made = await held(seed)
    await seed.remove(Order, made)
    await seed.found(kinds.ROW_MISSING)
    (row,) = await seed.desk.rows([made])
    assert row.stage is Stage.HELD
    await goes_on(seed, made)


async def test_row_stale(seed: Seed) -> None:
    """The vault has settled it, the row says EXECUTING, and no workflow is left to write it."""
    made = await executed(seed)
    stale = {"status": OrderStatus.EXECUTING, "stage": Stage.SETTLING, "settle_tx_hash": ""}
    await seed.change(Order, made, **stale)
    await seed.found(kinds.NO_WORKFLOW)
    row = await seed.desk.end(made, OrderStatus.EXECUTED)
    item = await seed.item(made)
    assert item is not None
    assert row.settle_tx_hash == item.tx_hash


async def test_row_behind(seed: Seed) -> None:
    """Refunded on chain past us; the row is open, and its workflow sleeps for half a minute."""
    for _ in range(AWAKE_IN_BETWEEN):
        made = await held(seed)
        await _refunded_past_us(seed, made)
        seen = kinds.ROW_BEHIND in await seed.twice()
        row = await seed.desk.end(made, OrderStatus.FAILED, seconds=15)
        assert row.stage is Stage.REFUNDED
        if seen:
            break
    assert seen
    await seed.desk.play.resume()
    assert await seed.desk.orders_of(made) == []


async def _refunded_past_us(seed: Seed, made: Requested) -> None:
    before = await seed.desk.alice.balance(seed.desk.alice.usdt)
    refund = RefundItem(n=made.n, request_id=made.request_id, reason=12)
    data = settle_calldata([], [refund])
    await seed.desk.staff(SETTLER).transact("settle", seed.desk.alice.vault, data)
    escrowed = (await seed.desk.terms(made)).amount
    assert await seed.desk.alice.balance(seed.desk.alice.usdt) == before + escrowed


async def test_row_ended_too_early(seed: Seed) -> None:
    """The row calls it done, the vault holds it open: a resume would not find what waits."""
    made = await held(seed)
    done = {"status": OrderStatus.EXECUTED, "stage": Stage.SETTLED}
    await seed.change(Order, made, **done)
    await seed.found(kinds.ROW_EARLY)
    (row,) = await seed.desk.rows([made])
    assert (row.status, row.stage) == (OrderStatus.PENDING, Stage.HELD)
    await goes_on(seed, made)


async def test_workflow_missing(seed: Seed) -> None:
    made = await held(seed)
    await seed.terminate(made)
    await seed.found(kinds.NO_WORKFLOW)
    await eventually(lambda: seed.runs(made))
    await goes_on(seed, made)


async def test_claim_without_order_and_workflow(seed: Seed) -> None:
    """Somebody had the right to send and is gone: looked for, proven absent, given back."""
    made = await held(seed)
    await seed.terminate(made)
    before = datetime.now(UTC) - timedelta(hours=1)
    claim = Placement(
        request_id=made.request_id,
        attempt=1,
        remark=remark_of(made.request_id, 1),
        symbol=SYMBOL,
        side=Side.BUY,
        quantity=2,
        state=ClaimState.CLAIMED,
        send_by=before,
        created_at=before,
    )
    await seed.write(lambda session: session.add(claim))
    await seed.found(kinds.NO_WORKFLOW)
    await seed.desk.play.resume()
    row = await seed.desk.end(made, OrderStatus.FAILED)
    assert row.reason is Reason.PROVEN_ABSENT
    assert await seed.desk.orders_of(made) == []


# --- the broker -----------------------------------------------------------------------------------


@pytest.mark.soak  # waits for the broker's book to be read
async def test_orphan_order(seed: Seed, tmp_path: Path) -> None:
    """Our remark, and no claim allowed it: the house's, and the symbol waits for a person."""
    made = await executed(seed)
    before = await seed.held_shares()
    async with seed.by_hand(tmp_path) as broker:
        placed = await broker.place(ticket(remark_of(made.request_id, 9)), 10.0)
    await _in_our_book(seed, placed.order_id)
    await seed.found(kinds.ORDERS)
    (position,) = await seed.desk.store.house.unresolved()
    assert (position.cause, position.quantity) == ("FOREIGN", 1)
    assert f"house:{SYMBOL}" in await seed.holds()
    await seed.decide(HouseVerb.FLATTEN)
    assert await seed.held_shares() == before


@pytest.mark.soak  # waits for the broker's book to be read
async def test_foreign_order(seed: Seed, tmp_path: Path) -> None:
    """No remark of ours: told by its name, and what it fills holds the symbol until it is gone."""
    before = await seed.held_shares()
    async with seed.by_hand(tmp_path) as broker:
        placed = await broker.place(ticket("by hand"), 10.0)
    await _in_our_book(seed, placed.order_id)
    found = await seed.found(kinds.STRANGER)
    assert placed.order_id in found.detail

    async def frozen() -> bool:
        await seed.run()
        return POSITION_HOLD in await seed.holds()

    await eventually(frozen, timeout=60, interval=1.0)
    assert await seed.desk.store.house.unresolved() == []
    await seed.desk.control.set_position(SYMBOL, before)


@pytest.mark.soak  # waits for the broker's book to be read
async def test_unknown_fill(seed: Seed) -> None:
    """Filled after its refund: nobody may claim it, so it is the house's."""
    desk = seed.desk
    await desk.control.fault("hold_fills", on=True)
    made = await desk.deposit()
    await desk.at(made, Stage.PLACED)
    await desk.alice.request_cancel(made.n)
    row = await desk.end(made, OrderStatus.FAILED)
    await desk.workflow(made).result()
    await desk.control.fault("late_fill", order_id=row.futu_order_id)
    await _in_our_book(seed, row.futu_order_id, filled=2)
    await seed.found(kinds.HOUSE)
    (position,) = await desk.store.house.unresolved()
    assert (position.cause, position.quantity) == ("LATE_FILL", 2)
    await desk.control.clear()
    await seed.decide(HouseVerb.FLATTEN)


async def test_fill_larger_than_order(seed: Seed) -> None:
    desk = seed.desk
    await desk.control.fault("hold_fills", on=True)
    made = await desk.deposit()
    row = await desk.at(made, Stage.PLACED)
    await desk.control.fault("over_fill", order_id=row.futu_order_id)
    row = await desk.end(made, OrderStatus.EXECUTED)
    assert row.filled_quantity == 2 * SHARE_SCALE
    await seed.found(kinds.HOUSE)
    (position,) = await desk.store.house.unresolved()
    assert (position.cause, position.quantity) == ("OVER_FILL", 1)
    await desk.control.clear()
    await seed.decide(HouseVerb.FLATTEN)


# --- the settlement -------------------------------------------------------------------------------


async def test_item_missing(seed: Seed) -> None:
    """Refused for a while, and then its item is lost: written anew, with the same fill."""
    desk = seed.desk
    feed, admin = desk.stack.chain.feeds[SYMBOL], desk.staff(ADMIN)
    await desk.control.fault("hold_fills", on=True)
    made = await desk.deposit()
    await desk.at(made, Stage.PLACED)
    await admin.send(FEED, feed, "setAnswer", 300 * 10**8)
    await desk.control.fault("release_fills")
    await desk.control.clear()

    async def refused() -> bool:
        item = await seed.item(made)
        return item is not None and item.state is ItemState.REJECTED

    await eventually(refused)
    lost = await seed.item(made)
    assert lost is not None
    await seed.remove(SettlementItem, made)
    await seed.run()
    await seed.run()
    await admin.send(FEED, feed, "setAnswer", 190 * 10**8)
    await desk.end(made, OrderStatus.EXECUTED)
    item = await seed.item(made)
    assert item is not None
    assert (item.kind, item.taken, item.out, item.fill_hash) == (
        ItemKind.SETTLE,
        lost.taken,
        lost.out,
        lost.fill_hash,
    )


async def test_item_of_an_ended_request(seed: Seed) -> None:
    """Settled, and its item says it still has to be: the vault decides, nothing is paid twice."""
    made = await executed(seed)
    before = await seed.desk.alice.balance(seed.desk.token)
    old = datetime.now(UTC) - timedelta(minutes=10)
    again = {"state": ItemState.PENDING, "batch": "", "tx_hash": "", "updated_at": old}
    await seed.change(SettlementItem, made, **again)
    await seed.run()
    await seed.run()

    async def mined() -> bool:
        item = await seed.item(made)
        return item is not None and item.state in (ItemState.MINED, ItemState.FINAL)

    await eventually(mined)
    assert await seed.desk.alice.balance(seed.desk.token) == before


async def test_item_against_the_vault(seed: Seed) -> None:
    """Refunded, and an item wants to settle it: refused, told, and waits for a person."""
    made = await held(seed)
    await seed.desk.alice.request_cancel(made.n)
    await seed.desk.end(made, OrderStatus.FAILED)
    await seed.desk.workflow(made).result()
    await seed.desk.play.resume()
    kept = await seed.item(made)
    assert kept is not None
    wrong = {"kind": ItemKind.SETTLE, "taken": 190_000_000, "out": SHARE_SCALE}
    await seed.change(SettlementItem, made, state=ItemState.PENDING, batch="", **wrong)
    await seed.run()

    async def refused() -> bool:
        await seed.settlement.signal("work")
        item = await seed.item(made)
        return item is not None and item.state is ItemState.REJECTED

    await eventually(refused, interval=0.5)
    found = await seed.found(kinds.ITEM_REFUSED)
    assert found.detail == "CONFLICT"
    right = {"kind": ItemKind.REFUND, "taken": 0, "out": 0, "rejection": ""}
    await seed.change(SettlementItem, made, state=ItemState.MINED, **right)


# --- holds, house, reservations, books ------------------------------------------------------------


async def test_hold_only_in_the_table(seed: Seed) -> None:
    """The control workflow decides what holds: the table is written as it says."""
    row = HoldRow(
        key="manual:BUY:AAPL",
        kind=HoldKind.MANUAL.value,
        reason="by nobody",
        who="nobody",
        set_version=1,
        set_at=datetime.now(UTC),
    )
    await seed.write(lambda session: session.add(row))
    await seed.found(kinds.HOLDS)
    assert await seed.desk.store.holds.active() == []
    await executed(seed)


async def test_hold_missing_in_the_table(seed: Seed) -> None:
    await seed.desk.play.pause("planted")

    async def recorded() -> bool:
        return len(await seed.desk.store.holds.active()) == 1

    await eventually(recorded)

    await seed.drop(delete(HoldRow).where(col(HoldRow.lifted_at).is_(None)))
    await seed.found(kinds.HOLDS)
    (row,) = await seed.desk.store.holds.active()
    assert row.reason == "planted"
    await seed.desk.play.resume()


async def test_hold_only_in_redis(seed: Seed) -> None:
    """Nothing is placed by it for half a second: each renewal of the lease writes what holds."""
    redis = Redis.from_url(seed.desk.stack.redis.url)
    name = "bronco:holds"
    await redis.hset(name, "BUY|AAPL", "[]")

    async def gone() -> bool:
        return not await redis.hexists(name, "BUY|AAPL")

    await eventually(gone, timeout=5)
    await redis.aclose()
    await seed.run()
    await executed(seed)


@pytest.mark.soak  # waits for the broker's book to be read
async def test_house_position_without_its_order(seed: Seed) -> None:
    await seed.still()
    (row,) = (await seed.desk.store.orders.page(OrderFilter(OrderStatus.EXECUTED), "", 1)).items
    position = house_position("nobodys", symbol=SYMBOL, quantity=1, request_id=row.request_id)
    await seed.write(lambda session: session.add(position))
    await seed.found(kinds.HOUSE_STALE)
    assert f"house:{SYMBOL}" in await seed.holds()
    await seed.decide(HouseVerb.WRITE_OFF)


async def test_token_out_of_nothing(seed: Seed) -> None:
    """A token that no share backs: its symbol is held until the sum is right again."""
    await seed.still()
    vault = seed.desk.alice.vault
    await seed.as_vault(seed.desk.token, SHARE.calldata("mint", vault, SHARE_SCALE))
    found = await seed.found(kinds.POSITION)
    assert str(-SHARE_SCALE) in found.detail
    assert await seed.holds() == [POSITION_HOLD]
    await seed.as_vault(seed.desk.token, SHARE.calldata("burn", SHARE_SCALE))


async def test_reservation_leaked(seed: Seed) -> None:
    made = await executed(seed)
    await seed.change(Placement, made, released_at=None)
    await seed.found(kinds.RESERVATION)
    (claim,) = await seed.desk.store.placements.of_request(made.request_id)
    assert claim.released_at is not None


async def test_money_missing_in_the_vault(seed: Seed) -> None:
    """Less USDT than is escrowed: all trading is held until it is there again."""
    made = await held(seed)
    vault, usdt = seed.desk.alice.vault, seed.desk.alice.usdt
    thief = seed.desk.staff(ADMIN)
    balance = await seed.desk.alice.read(ERC20, usdt, "balanceOf", vault)
    await seed.as_vault(usdt, USDT.calldata("transfer", thief.address, balance))
    await seed.found(kinds.MONEY)
    assert "mismatch:money" in await seed.holds()
    await thief.send(USDT, usdt, "transfer", vault, balance)
    await seed.run()
    await eventually(lambda: _not_held(seed, "mismatch:money"))
    await goes_on(seed, made)


async def _not_held(seed: Seed, key: str) -> bool:
    return key not in await seed.holds()


async def _in_our_book(seed: Seed, order_id: str, filled: int = 1) -> None:
    async def there() -> bool:
        order = await seed.desk.store.book.by_order_id(order_id)
        return order is not None and order.filled == filled

    await eventually(there)
