"""The user wants out: by signal, by the vault, or by the Cancel button of the Temporal Web UI."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from models.messages import (
    CancelOrderInput,
    PlaceOrderInput,
    PlaceOrderResult,
    PlaceOutcome,
)
from models.order import Reason
from models.records import ItemKind
from models.requests import VaultStatus
from tests.builders import ended, filled, not_placed
from tests.fakes import World
from tests.waiting import eventually
from tests.workflow.desk import Desk, Handle, completed, events

SETTLED = [(ItemKind.SETTLE, Reason.NONE)]
CANCELLED = [(ItemKind.REFUND, Reason.USER_CANCELLED)]
Cancel = Callable[[World, Handle], Awaitable[None]]


async def by_signal(world: World, _: Handle) -> None:
    await world.signal("cancel")


async def by_temporal(_: World, handle: Handle) -> None:
    await handle.cancel()


async def by_vault(world: World, _: Handle) -> None:
    """requestCancel on chain, and the watcher's wake-up."""
    assert world.terms is not None
    world.terms = world.terms.model_copy(update={"cancel_requested": True})
    await world.signal("wake")


@pytest.fixture(params=[by_signal, by_temporal, by_vault])
def cancel(request: pytest.FixtureRequest) -> Cancel:
    chosen: Cancel = request.param
    return chosen


def cancels(world: World, shares: int = 0) -> Callable[[CancelOrderInput], Awaitable[object]]:
    """The broker takes the cancel; so many shares had been filled."""

    async def answer(message: CancelOrderInput) -> object:
        order = world.order(message.attempt)
        await world.push(ended(filled(order, shares)) if shares else ended(order))
        return {"accepted": True}

    return answer


async def test_cancel__while_working__cancels_at_the_broker_then_refunds(
    desk: Desk, cancel: Cancel
) -> None:
    world = await desk.world()
    world.place_default = world.works
    world.cancels = [cancels(world)]
    handle = await desk.start(world)
    await completed(handle, 2)
    await cancel(world, handle)
    outcome = await handle.result()
    assert outcome.status is VaultStatus.REFUNDED
    assert [message.why for message in world.said(CancelOrderInput)] == ["USER_CANCELLED"]
    assert world.item_kinds == CANCELLED


async def test_cancel__while_part_filled__settles_the_part(desk: Desk, cancel: Cancel) -> None:
    world = await desk.world()
    world.place_default = world.works
    world.cancels = [cancels(world, shares=1)]
    handle = await desk.start(world)
    await completed(handle, 2)
    await world.push(filled(world.order(), 1))
    await cancel(world, handle)
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED
    assert world.item_kinds == SETTLED


async def test_cancel__the_fill_wins_the_race__settles_all(desk: Desk, cancel: Cancel) -> None:
    world = await desk.world()
    world.place_default = world.works
    world.cancels = [cancels(world, shares=4)]
    handle = await desk.start(world)
    await completed(handle, 2)
    await cancel(world, handle)
    await handle.result()
    assert world.item_kinds == SETTLED


async def test_cancel__not_taken_by_the_broker__is_asked_again(desk: Desk) -> None:
    world = await desk.world()
    world.place_default = world.works
    refused = {"accepted": False, "detail": "not now"}
    world.cancels = [refused, refused, cancels(world)]
    handle = await desk.start(world)
    await completed(handle, 2)
    await world.signal("cancel")
    await handle.result()
    assert len(world.said(CancelOrderInput)) == 3
    assert world.item_kinds == CANCELLED


async def test_cancel__while_it_is_being_placed__cancels_the_order_and_loses_nothing(
    any_desk: Desk, cancel: Cancel
) -> None:
    world = await any_desk.world()
    world.place_default = world.works
    world.cancels = [cancels(world)]
    gate = world.hold("place_order")
    handle = await any_desk.start(world)
    await eventually(lambda: "place_order" in world.names)
    await cancel(world, handle)
    gate.set()
    outcome = await handle.result()
    assert outcome.status is VaultStatus.REFUNDED
    assert world.attempts == [1]
    assert len(world.said(CancelOrderInput)) == 1
    assert world.item_kinds == CANCELLED
    assert await events(handle, "ACTIVITY_TASK_CANCEL_REQUESTED") == []


@pytest.mark.parametrize("step", ["enqueue_settlement", "close_order"])
async def test_cancel__while_it_is_being_settled__changes_nothing(
    desk: Desk, cancel: Cancel, step: str
) -> None:
    world = await desk.world()
    gate = world.hold(step)
    handle = await desk.start(world)
    await eventually(lambda: step in world.names)
    await cancel(world, handle)
    gate.set()
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED
    assert world.item_kinds == SETTLED


async def test_cancel__while_it_waits_for_the_vault__goes_on_waiting(desk: Desk) -> None:
    world = await desk.world()
    world.settles_at_once = False
    handle = await desk.start(world)
    await completed(handle, 3)
    await handle.cancel()
    await completed(handle, 4)
    await world.end(VaultStatus.SETTLED)
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED


async def test_cancel__while_held__refunds_without_an_order(any_desk: Desk) -> None:
    for cancel in (by_signal, by_temporal):
        world = await any_desk.world()
        world.place_default = not_placed(PlaceOutcome.HELD)
        handle = await any_desk.start(world)
        await completed(handle, 4)
        await cancel(world, handle)
        await handle.result()
        assert world.item_kinds == CANCELLED
        assert world.attempts == [1, 1]


async def test_cancel__before_it_was_sent__is_seen_in_the_vault(desk: Desk) -> None:
    world = await desk.world(cancel_requested=True)
    await desk.carry(world)
    assert world.names == ["admit", "enqueue_settlement", "close_order"]
    assert world.item_kinds == CANCELLED


@pytest.mark.parametrize("step", ["admit", "record_stage"])
async def test_cancel__from_temporal_during_a_step__counts_after_it(desk: Desk, step: str) -> None:
    world = await desk.world()
    world.place_default = not_placed(PlaceOutcome.HELD)
    gate = world.hold(step)
    handle = await desk.start(world)
    await eventually(lambda: step in world.names)
    await handle.cancel()
    gate.set()
    await handle.result()
    assert world.item_kinds == CANCELLED


async def test_cancel__from_temporal_before_the_first_task__counts(desk: Desk) -> None:
    world = await desk.world()
    desk.queue = "bronco-later"
    handle = await desk.start(world)
    await handle.cancel()
    async with desk.worker("bronco-later"):
        outcome = await asyncio.wait_for(handle.result(), 20)
    assert outcome.status is VaultStatus.REFUNDED
    assert world.item_kinds == CANCELLED
    assert world.attempts == []


async def test_cancel__from_temporal_twice_while_placing__is_one_cancel(desk: Desk) -> None:
    world = await desk.world()
    world.place_default = world.works
    world.cancels = [cancels(world)]
    gate = world.hold("place_order")
    handle = await desk.start(world)
    await eventually(lambda: "place_order" in world.names)
    await handle.cancel()
    await handle.cancel()
    gate.set()
    await handle.result()
    assert len(world.said(CancelOrderInput)) == 1


async def test_cancel__known_only_by_signal__survives_a_new_run(desk: Desk) -> None:
    world = await desk.world()
    world.set_policy(run_events=150)
    world.places = [not_placed(PlaceOutcome.RESOLVE)]
    world.resolve_default = {"resolution": "WAIT", "retry_seconds": 30.0}
    handle = await desk.start(world)
    await completed(handle, 4)
    await world.signal("cancel")
    while world.names.count("admit") < 2:
        await desk.pass_time(60)
    world.resolve_default = {"resolution": "NEVER_SENT"}
    await eventually(lambda: "enqueue_settlement" in world.names, timeout=20)
    assert world.item_kinds == CANCELLED
    assert world.attempts == [1]


async def test_order__its_request_left_the_vault__is_cancelled_and_not_refunded(
    desk: Desk,
) -> None:
    world = await desk.world()

    def orphaned(message: PlaceOrderInput) -> PlaceOrderResult:
        world.terms = None
        return world.works(message)

    world.places = [orphaned]
    world.cancels = [cancels(world)]
    outcome = await desk.carry(world)
    assert outcome.status is VaultStatus.NONE
    assert [message.why for message in world.said(CancelOrderInput)] == ["ORPHANED"]
    assert "enqueue_settlement" not in world.names
