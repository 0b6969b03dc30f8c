"""Placements whose outcome is unknown, and runs that find what earlier runs did."""

import asyncio
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from models.broker import BrokerStatus
from models.messages import (
    CancelOrderInput,
    ItemView,
    PlaceOrderInput,
    PlaceOrderResult,
    PlaceOutcome,
    Resolution,
    ResolveInput,
    ResolveResult,
)
from models.order import Reason, Stage
from models.records import ClaimState, ItemKind, ItemState
from models.requests import VaultStatus
from tests.builders import claim_view, ended, filled, not_placed
from tests.fakes import World
from tests.waiting import eventually
from tests.workflow.desk import Desk, completed, moments, scheduled
from tests.workflow.test_order_cancel import cancels

SETTLED = [(ItemKind.SETTLE, Reason.NONE)]
LOST = not_placed(PlaceOutcome.RESOLVE, detail="the answer was lost")
WAIT = ResolveResult(resolution=Resolution.WAIT, detail="is looked for", retry_seconds=2.0)
ABSENT = ResolveResult(resolution=Resolution.ABSENT, detail="two reads without it")
BURNT = ResolveResult(resolution=Resolution.NEVER_SENT)
BROKEN = ApplicationError("worker died", type="Crash")


def claimed(world: World, *states: ClaimState) -> None:
    """As an earlier run left it."""
    request_id = world.request.request_id
    world.claims = tuple(
        claim_view(request_id, attempt, state) for attempt, state in enumerate(states, 1)
    )


@pytest.mark.parametrize("broken", [LOST, BROKEN], ids=["answer lost", "activity failed"])
async def test_unknown__found_at_the_broker__is_followed_and_not_sent_again(
    any_desk: Desk, broken: Any
) -> None:
    world = await any_desk.world()
    world.places = [broken]
    world.resolves = [lambda _: world.found(filled(world.order()))]
    outcome = await any_desk.carry(world)
    assert outcome.status is VaultStatus.SETTLED
    assert world.attempts == [1]
    assert world.item_kinds == SETTLED


@pytest.mark.parametrize("broken", [LOST, BROKEN], ids=["answer lost", "activity failed"])
async def test_unknown__never_sent__goes_on_with_the_next_attempt(
    any_desk: Desk, broken: Any
) -> None:
    world = await any_desk.world()
    world.places = [broken]
    world.resolves = [BURNT]
    await any_desk.carry(world)
    assert world.attempts == [1, 2]
    assert world.retry_count == 0


async def test_unknown__never_sent_and_held_again__is_held_on_its_row_again(desk: Desk) -> None:
    """A resume wakes what the rows say is held."""
    world = await desk.world()
    held = not_placed(PlaceOutcome.HELD)
    world.places = [held, held, LOST]
    world.place_default = held
    world.resolves = [WAIT, BURNT]
    handle = await desk.start(world)
    await eventually(lambda: len(world.attempts) == 2)
    await world.signal("wake")
    await eventually(lambda: Stage.UNKNOWN in [stage for stage, _, _ in world.shown])
    await eventually(lambda: world.shown[-1][0] is Stage.HELD)
    world.place_default = world.fill_at_once
    await world.signal("wake")
    await handle.result()
    assert world.item_kinds == SETTLED


async def test_unknown__proven_absent__is_refunded(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.places = [LOST]
    world.resolves = [WAIT, WAIT, ABSENT]
    outcome = await any_desk.carry(world)
    assert outcome.status is VaultStatus.REFUNDED
    assert world.item_kinds == [(ItemKind.REFUND, Reason.PROVEN_ABSENT)]
    assert world.attempts == [1]


async def test_unknown__answered_with_no__counts_as_a_try(desk: Desk) -> None:
    world = await desk.world()
    world.places = [LOST]
    world.resolves = [ResolveResult(resolution=Resolution.REJECTED, detail="no")]
    await desk.carry(world)
    assert world.attempts == [1, 2]
    assert world.retry_count == 1


async def test_unknown__not_provable_yet__shows_it_and_sends_nothing(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.places = [LOST]
    world.resolves = [*[WAIT] * 24, lambda _: world.found(filled(world.order()))]
    handle = await any_desk.start(world)
    await handle.result()
    assert world.attempts == [1]
    assert [stage for stage, _, _ in world.shown] == [Stage.UNKNOWN]
    assert len(world.said(ResolveInput)) == 25
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert ended_at > 300


async def test_unknown__a_push_finds_it__is_resolved_at_once(desk: Desk) -> None:
    world = await desk.world()
    slow = WAIT.model_copy(update={"retry_seconds": 30.0})
    world.places = [LOST]
    world.resolves = [slow, lambda _: world.found(world.order())]
    handle = await desk.start(world)
    await completed(handle, 4)
    await world.push(filled(world.order()))
    await handle.result()
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert ended_at < 25
    assert world.item_kinds == SETTLED


async def test_unknown__cancelled_meanwhile__is_still_resolved_first(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.places = [LOST]
    world.resolves = [WAIT, WAIT, lambda _: world.found(filled(world.order()))]
    handle = await any_desk.start(world)
    await completed(handle, 3)
    await world.signal("cancel")
    await handle.result()
    assert world.item_kinds == SETTLED


async def test_unknown__the_deadline_passes__is_still_not_refunded(desk: Desk) -> None:
    world = await desk.world(deadline=int(await desk.now()) + 300)
    world.places = [LOST]
    world.resolves = [*[WAIT] * 60, lambda _: world.found(filled(world.order()))]
    handle = await desk.start(world)
    await handle.result()
    assert world.item_kinds == SETTLED
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert ended_at > 300


async def test_placing__takes_longer_than_allowed__is_resolved_not_repeated(desk: Desk) -> None:
    world = await desk.world()
    world.set_policy(place_timeout=0.5)
    gate = world.hold("place_order")
    world.resolves = [lambda _: world.found(filled(world.order()))]
    await desk.carry(world)
    gate.set()
    assert world.attempts == [1]
    assert world.item_kinds == SETTLED


async def test_placing__its_worker_is_silent__is_noticed_within_seconds(desk: Desk) -> None:
    world = await desk.world()
    frozen = asyncio.Event()

    async def freeze(_: PlaceOrderInput) -> PlaceOrderResult:
        await frozen.wait()
        return LOST

    world.places = [freeze]
    world.resolves = [BURNT]
    handle = await desk.start(world)
    await handle.result()
    frozen.set()
    (failed_at,) = await moments(handle, "ACTIVITY_TASK_TIMED_OUT")
    assert failed_at < 15
    assert world.attempts == [1, 2]


async def test_restart__claim_of_an_earlier_run__is_resolved_before_anything(
    any_desk: Desk,
) -> None:
    world = await any_desk.world()
    claimed(world, ClaimState.VOID, ClaimState.PLACED)
    world.resolves = [lambda _: world.found(world.order(2))]
    handle = await any_desk.start(world)
    await completed(handle, 2)
    await world.push(filled(world.order(2)))
    await handle.result()
    assert world.attempts == []
    assert [message.attempt for message in world.said(ResolveInput)] == [2]
    assert world.item_kinds == SETTLED


async def test_restart__request_vanished_with_a_live_order__cancels_it_first(
    any_desk: Desk,
) -> None:
    world = await any_desk.world()
    claimed(world, ClaimState.PLACED)
    world.terms = None
    world.resolves = [lambda _: world.found(world.order())]
    world.cancels = [cancels(world)]
    outcome = await any_desk.carry(world)
    assert outcome.stage is Stage.ORPHANED
    assert [message.why for message in world.said(CancelOrderInput)] == ["ORPHANED"]
    assert world.item_kinds == []


async def test_restart__vanished_and_back_while_cancelling__is_placed_again(desk: Desk) -> None:
    world = await desk.world()
    claimed(world, ClaimState.PLACED)
    terms, world.terms = world.terms, None

    async def back(message: CancelOrderInput) -> object:
        world.terms = terms
        return await cancels(world)(message)

    world.resolves = [lambda _: world.found(world.order())]
    world.cancels = [back]
    world.resolve_default = lambda _: world.found(ended(world.order()))
    outcome = await desk.carry(world)
    assert outcome.status is VaultStatus.SETTLED
    assert world.attempts == [2]


async def test_restart__earlier_order_is_dead_unfilled__places_the_next(desk: Desk) -> None:
    world = await desk.world()
    claimed(world, ClaimState.REJECTED, ClaimState.ABSENT, ClaimState.PLACED)
    world.resolves = [lambda _: world.found(ended(world.order(3)))]
    await desk.carry(world)
    assert world.attempts == [4]
    assert world.said(PlaceOrderInput)[0].retry_count == 1


async def test_restart__was_rejected_often_enough__is_refunded_unsent(desk: Desk) -> None:
    world = await desk.world()
    claimed(world, ClaimState.REJECTED, ClaimState.REJECTED, ClaimState.REJECTED)
    world.retry_count = 2
    await desk.carry(world)
    assert world.attempts == []
    assert world.item_kinds == [(ItemKind.REFUND, Reason.BROKER_REJECTED)]


async def test_restart__rejected_after_it_was_accepted__is_counted_once(desk: Desk) -> None:
    world = await desk.world()
    claimed(world, ClaimState.PLACED)
    world.retry_count = 1
    world.resolves = [lambda _: world.found(ended(world.order(), BrokerStatus.REJECTED))]
    await desk.carry(world)
    assert world.attempts == [2]
    assert world.said(PlaceOrderInput)[0].retry_count == 1


async def test_restart__an_item_is_written__only_waits_for_the_vault(any_desk: Desk) -> None:
    world = await any_desk.world()
    claimed(world, ClaimState.PLACED)
    world.item = ItemView(kind=ItemKind.REFUND, state=ItemState.SENT, taken=0, out=0, fee=0)
    handle = await any_desk.start(world)
    outcome = await handle.result()
    assert outcome.status is VaultStatus.REFUNDED
    assert await scheduled(handle) == ["admit", "enqueue_settlement", "close_order"]


@pytest.mark.parametrize(
    "status", [VaultStatus.SETTLED, VaultStatus.REFUNDED, VaultStatus.RECLAIMED]
)
async def test_restart__the_vault_has_its_end__only_reports_it(
    desk: Desk, status: VaultStatus
) -> None:
    world = await desk.world(status=status)
    handle = await desk.start(world)
    outcome = await handle.result()
    assert outcome.status is status
    assert await scheduled(handle) == ["admit", "close_order"]


async def test_request__not_in_the_vault__ends_orphaned(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.terms = None
    outcome = await any_desk.carry(world)
    assert (outcome.status, outcome.stage) == (VaultStatus.NONE, Stage.ORPHANED)
    assert world.names == ["admit", "close_order"]


async def test_request__vanished_while_it_waited_for_blocks__ends_orphaned(desk: Desk) -> None:
    world = await desk.world()
    world.confirmations = [5]
    handle = await desk.start(world)
    await completed(handle, 1)
    world.terms = None
    outcome = await handle.result()
    assert outcome.stage is Stage.ORPHANED
    assert world.attempts == []


async def test_rejected__after_it_was_accepted__is_a_try(desk: Desk) -> None:
    world = await desk.world()

    async def turned_down(message: PlaceOrderInput) -> PlaceOrderResult:
        placed = world.works(message)
        order = world.order(message.attempt, error="no shares to borrow")
        await world.push(ended(order, BrokerStatus.REJECTED))
        return placed

    world.place_default = turned_down
    await desk.carry(world)
    assert world.attempts == [1, 2, 3]
    assert world.item_kinds == [(ItemKind.REFUND, Reason.BROKER_REJECTED)]
    assert "no shares to borrow" in world.shown[-1][1]
