"""A deposit from its first look to its end: fills by push, by backstop, in part, and none."""

import asyncio

from models.broker import BrokerStatus
from models.messages import CancelOrderInput, PlaceOrderInput, PlaceOutcome
from models.order import Reason, Stage
from models.records import ItemKind
from models.requests import VaultStatus
from tests.builders import ended, filled, not_placed
from tests.waiting import eventually
from tests.workflow.desk import Desk, completed, moments, scheduled

FOUR = ["admit", "place_order", "enqueue_settlement", "close_order"]
SETTLED = [(ItemKind.SETTLE, Reason.NONE)]


async def test_deposit__push_overtakes_the_placement__takes_four_activities(
    any_desk: Desk,
) -> None:
    world = await any_desk.world()
    handle = await any_desk.start(world)
    outcome = await handle.result()
    assert (outcome.status, outcome.stage) == (VaultStatus.SETTLED, Stage.SETTLED)
    assert await scheduled(handle) == FOUR
    assert world.item_kinds == SETTLED


async def test_deposit__filled_by_a_later_push__takes_four_activities(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.place_default = world.works
    handle = await any_desk.start(world)
    await completed(handle, 2)
    await world.push(filled(world.order()))
    await handle.result()
    assert await scheduled(handle) == FOUR
    assert world.item_kinds == SETTLED


async def test_deposit__pushes_of_each_step__cost_no_read_of_the_book(desk: Desk) -> None:
    world = await desk.world()

    async def lively(message: PlaceOrderInput) -> object:
        placed = world.works(message)
        await world.push(world.order(status=BrokerStatus.SUBMITTING))
        return placed

    world.places = [lively]
    handle = await desk.start(world)
    await completed(handle, 2)
    for shares in (1, 3, 4):
        await world.push(filled(world.order(), shares))
    await handle.result()
    assert await scheduled(handle) == FOUR


async def test_deposit__versions_of_its_writes__only_grow(desk: Desk) -> None:
    world = await desk.world()
    world.places = [not_placed(PlaceOutcome.HELD, retry_seconds=1.0)]
    await desk.carry(world)
    versions = [v for _, m in world.calls if (v := getattr(m, "version", None)) is not None]
    assert versions == sorted(set(versions))
    assert versions[0] > 1 << 20


async def test_fill__its_push_was_lost__is_found_by_the_backstop(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.place_default = world.works
    handle = await any_desk.start(world)
    await completed(handle, 2)
    world.book[1] = filled(world.order())
    await handle.result()
    assert await scheduled(handle) == [*FOUR[:2], "read_order", *FOUR[2:]]
    assert world.item_kinds == SETTLED


async def test_fill__older_push_after_a_newer_one__is_not_believed(desk: Desk) -> None:
    world = await desk.world()
    world.place_default = world.works
    handle = await desk.start(world)
    await completed(handle, 2)
    await world.push(filled(world.order(), 3))
    await world.signal("order_update", filled(world.order(), 1))
    await world.signal("order_update", world.order())
    world.book[1] = ended(filled(world.order(), 3))
    await handle.result()
    assert world.item_kinds == SETTLED
    assert world.said(CancelOrderInput) == []


async def test_fill__part_of_it_when_the_order_times_out__is_settled(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.place_default = world.works
    world.set_policy(order_timeout=300.0)

    async def cancelled(_: object) -> object:
        world.book[1] = ended(filled(world.order(), 1))
        return {"accepted": True}

    world.cancels = [cancelled]
    outcome = await any_desk.carry(world)
    assert outcome.status is VaultStatus.SETTLED
    assert world.item_kinds == SETTLED
    assert [message.why for message in world.said(CancelOrderInput)] == ["NOT_FILLED"]


async def test_order__not_filled_in_its_time__is_cancelled_and_refunded(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.place_default = world.works

    async def cancelled(_: object) -> object:
        await world.push(ended(world.order()))
        return {"accepted": True}

    world.cancels = [cancelled]
    handle = await any_desk.start(world)
    outcome = await handle.result()
    assert outcome.status is VaultStatus.REFUNDED
    assert world.item_kinds == [(ItemKind.REFUND, Reason.NOT_FILLED)]
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert 300 <= ended_at < 310
    assert world.attempts == [1]


async def test_order__ended_by_nobody_here__goes_back_to_the_gate(any_desk: Desk) -> None:
    world = await any_desk.world()

    async def day_end(message: PlaceOrderInput) -> object:
        placed = world.works(message)
        await world.push(ended(world.order(message.attempt)))
        return placed

    world.places = [day_end, not_placed(PlaceOutcome.WAITING_SESSION, retry_seconds=30.0)]
    await any_desk.carry(world)
    assert world.attempts == [1, 2, 2]
    assert world.item_kinds == SETTLED
    assert [stage for stage, _, _ in world.shown] == [Stage.WAITING_SESSION]


async def test_order__working_at_the_deadline__is_cancelled_before_it(any_desk: Desk) -> None:
    world = await any_desk.world(deadline=int(await any_desk.now()) + 200)
    world.place_default = world.works
    world.set_policy(deadline_margin=120.0)

    async def cancelled(_: object) -> object:
        await world.push(ended(world.order()))
        return {"accepted": True}

    world.cancels = [cancelled]
    handle = await any_desk.start(world)
    await handle.result()
    assert world.item_kinds == [(ItemKind.REFUND, Reason.DEADLINE)]
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert 75 <= ended_at <= 90


async def test_order__of_shares_from_before_a_split__is_cancelled_and_placed_again(
    any_desk: Desk,
) -> None:
    world = await any_desk.world()
    world.outdated = {1}

    async def cancelled(_: object) -> object:
        await world.push(ended(world.order(1)))
        return {"accepted": True}

    world.places, world.cancels = [world.works], [cancelled]
    await any_desk.carry(world)
    assert [message.why for message in world.said(CancelOrderInput)] == ["SPLIT"]
    assert world.attempts == [1, 2]
    assert world.item_kinds == SETTLED


async def test_order__placed_again_after_a_split__is_not_cancelled_for_it(desk: Desk) -> None:
    """Nothing else is asked about it before its fill."""
    world = await desk.world()
    world.outdated = {1}

    async def cancelled(_: object) -> object:
        await world.push(ended(world.order(1)))
        return {"accepted": True}

    world.places, world.cancels = [world.works, world.works], [cancelled]
    handle = await desk.start(world)
    await completed(handle, 2)
    await desk.pass_time(world.policy.backstop)
    await eventually(lambda: world.attempts == [1, 2])
    await completed(handle, 5)
    await world.push(filled(world.order(2)))
    await handle.result()
    assert [message.attempt for message in world.said(CancelOrderInput)] == [1]
    assert world.item_kinds == SETTLED


async def test_order__part_filled_when_a_split_comes__settles_the_part(desk: Desk) -> None:
    world = await desk.world()
    world.outdated = {1}

    async def cancelled(_: object) -> object:
        await world.push(ended(filled(world.order(1), 1)))
        return {"accepted": True}

    world.places, world.cancels = [world.works], [cancelled]
    await desk.carry(world)
    assert world.attempts == [1]
    assert world.item_kinds == SETTLED


async def test_order__its_fill_was_taken_back__is_placed_again(desk: Desk) -> None:
    world = await desk.world()

    async def taken_back(message: PlaceOrderInput) -> object:
        placed = world.works(message)
        order = world.order(message.attempt, status=BrokerStatus.FILL_CANCELLED)
        await world.push(order)
        return placed

    world.places = [taken_back]
    await desk.carry(world)
    assert world.attempts == [1, 2]
    assert world.item_kinds == SETTLED


async def test_cancel__the_broker_does_not_answer__the_fill_is_seen_meanwhile(
    desk: Desk,
) -> None:
    world = await desk.world()
    world.place_default = world.works
    world.cancels = [ValueError("no link")] * 50

    handle = await desk.start(world)
    await completed(handle, 2)
    await world.signal("cancel")
    await desk.pass_time(10)
    world.book[1] = filled(world.order())
    await asyncio.wait_for(handle.result(), 20)
    assert world.item_kinds == SETTLED
    assert len(world.said(CancelOrderInput)) < 20


async def test_confirmations__missing__are_waited_for_before_placing(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.confirmations = [3, 2, 1, 0]
    handle = await any_desk.start(world)
    await handle.result()
    assert await scheduled(handle) == ["admit", *["read_request"] * 3, *FOUR[1:]]


async def test_confirmations__chain_stands_still__costs_little_history(desk: Desk) -> None:
    world = await desk.world()
    world.confirmations = [3]
    handle = await desk.start(world)
    await desk.pass_time(3600)
    assert world.names.count("read_request") < 150
    world.confirmations = [0]
    await handle.result()
    assert world.item_kinds == SETTLED
