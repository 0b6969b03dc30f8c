"""Changes of orders and holds: complete, in order, and without gaps for who reads late."""

import asyncio
from datetime import timedelta

from sqlmodel import select

from clients.store import Store
from models.changes import Change, ChangeKind
from models.control import ControlState, Hold, HoldKind
from models.order import OrderStatus, Stage
from tests.contracts.builders import CHAIN, NOW, VAULT, later, request_id, vault_request


async def admit(store: Store, n: int = 1, waiting_for: str = "") -> int:
    admission = await store.orders.admit(
        vault_request(n),
        workflow_id=f"order-{n}",
        symbol="AAPL",
        tx_hash=f"0x{n:064x}",
        now=NOW,
        waiting_for=waiting_for,
    )
    return admission.version


async def update(store: Store, n: int, version: int, **changes: object) -> bool:
    return await store.orders.update(CHAIN, VAULT, request_id(n), version, changes, now=later(1))


async def stages(store: Store, after: int = 0) -> list[tuple[int | None, str, bool]]:
    changes = await store.changes.after(after)
    return [(each.seq, each.data["stage"], each.moved) for each in changes]


def pause(version: int) -> ControlState:
    hold = Hold(key="manual", kind=HoldKind.MANUAL, reason="x", who="ada", at=NOW.isoformat())
    return ControlState(paused=True, version=version, holds=(hold,))


async def test_changes__of_an_order__are_told_in_order_with_the_row_of_then(store: Store) -> None:
    version = await admit(store)
    await update(store, 1, version, stage=Stage.HELD, waiting_for="trading is paused")
    await update(store, 1, version + 1, waiting_for="the open")
    await update(store, 1, version + 2, status=OrderStatus.EXECUTING, stage=Stage.PLACED)

    assert await stages(store) == [
        (1, "CONFIRMING", True),
        (2, "HELD", True),
        (3, "HELD", False),
        (4, "PLACED", True),
    ]
    assert await stages(store, 3) == [(4, "PLACED", True)]
    held = (await store.changes.after(1))[0]
    assert (held.kind, held.request_id) == (ChangeKind.ORDER, request_id(1))
    assert held.data["waiting_for"] == "trading is paused"
    assert held.data["usdt_amount"] == 1_000_000_000


async def test_changes__nothing_shows__nothing_is_stages(store: Store) -> None:
    version = await admit(store)
    await update(store, 1, version, stage=Stage.HELD, waiting_for="a price")
    await update(store, 1, version + 1, stage=Stage.HELD, waiting_for="a price")
    assert not await update(store, 1, version, stage=Stage.QUEUED)
    await admit(store)
    assert len(await stages(store)) == 2


async def test_changes__of_control__hold_all_that_is_held(store: Store) -> None:
    await store.holds.record(pause(7), NOW)
    await store.holds.record(pause(7), NOW)
    await store.holds.record(pause(6), NOW)
    (change,) = await store.changes.after(0)
    assert (change.kind, ControlState.model_validate(change.data)) == (
        ChangeKind.CONTROL,
        pause(7),
    )
    state = await store.holds.state()
    assert (state.paused, state.version, state.holds[0].who) == (True, 7, "ada")


async def test_changes__many_readers_and_writers__each_sees_all_in_one_order(
    store: Store, other_store: Store
) -> None:
    async def write() -> None:
        for n in range(1, 11):
            version = await admit(store, n)
            await update(store, n, version, stage=Stage.HELD, waiting_for="x")

    async def follow(reader: Store) -> list[int]:
        seen: list[int] = []
        while len(seen) < 20:
            page = await reader.changes.after(seen[-1] if seen else 0, 3)
            seen += [each.seq or 0 for each in page]
            await asyncio.sleep(0)
        return seen

    _, *seen = await asyncio.gather(write(), follow(store), follow(other_store))
    assert seen == [list(range(1, 21))] * 2


async def test_prune__older_than_is_kept__span_says_what_is_left(store: Store) -> None:
    assert await store.changes.span() == (1, 0)
    version = await admit(store)
    await update(store, 1, version, stage=Stage.HELD)
    assert await store.changes.span() == (1, 2)
    assert await store.changes.first_since(NOW) == 0
    assert await store.changes.first_since(later(1)) == 1
    assert await store.changes.first_since(later(2)) == 2

    assert await store.changes.prune(NOW + timedelta(milliseconds=1)) == 1
    assert await store.changes.span() == (2, 2)
    assert await store.changes.prune(later(9)) == 1
    assert await store.changes.span() == (3, 2)


async def test_prune__has_no_place_yet__is_kept(store: Store) -> None:
    await admit(store)
    assert await store.changes.prune(later(9)) == 0
    kept = await store._database.read("looking", lambda s: list(s.exec(select(Change))))
    assert [each.seq for each in kept] == [None]
