"""From the decision to the vault's end: only forward, for as long as that takes."""

import pytest

from models.broker import BrokerStatus
from models.messages import ClaimView, EnqueueInput, PlaceOrderInput, PlaceOrderResult, PlaceOutcome
from models.order import Reason, Stage
from models.records import ClaimState, ItemKind
from models.requests import VaultStatus
from tests.builders import ended, filled, not_placed
from tests.fakes import World
from tests.waiting import eventually
from tests.workflow.desk import Desk, completed, events, first_run, moments, scheduled

SETTLED = [(ItemKind.SETTLE, Reason.NONE)]
FOUR = ["admit", "place_order", "enqueue_settlement", "close_order"]


async def test_settled__its_signal_was_lost__is_found_by_the_backstop(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.settles_at_once = False
    handle = await any_desk.start(world)
    await completed(handle, 3)
    await world.end(VaultStatus.SETTLED, tell=False)
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED
    assert await scheduled(handle) == FOUR
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert 60 <= ended_at < 70


async def test_settled__told_before_it_is_true__goes_on_waiting(desk: Desk) -> None:
    world = await desk.world()
    world.settles_at_once = False
    handle = await desk.start(world)
    await completed(handle, 3)
    await world.signal("settled")
    await completed(handle, 4)
    await world.end(VaultStatus.SETTLED)
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED
    assert world.names == [*FOUR, "close_order"]


async def test_settling__for_days__never_gives_up_nor_fills_the_history(desk: Desk) -> None:
    world = await desk.world()
    world.settles_at_once = False
    world.set_policy(run_events=150)
    handle = await desk.start(world)
    await completed(handle, 3)
    while world.names.count("admit") < 2:
        await desk.pass_time(300)
    assert len((await first_run(handle)).events) < 200
    await world.end(VaultStatus.SETTLED)
    await eventually(lambda: world.calls[-1][0] == "close_order")
    assert {message.kind for message in world.said(EnqueueInput)} == {ItemKind.SETTLE}
    assert world.attempts == [1]


async def test_settling__reclaimed_first__ends_reclaimed(desk: Desk) -> None:
    world = await desk.world()
    world.settles_at_once = False
    handle = await desk.start(world)
    await completed(handle, 3)
    await world.end(VaultStatus.RECLAIMED)
    outcome = await handle.result()
    assert (outcome.status, outcome.stage) == (VaultStatus.RECLAIMED, Stage.RECLAIMED)


@pytest.mark.parametrize("step", ["admit", "enqueue_settlement", "close_order"])
async def test_step__fails_many_times__is_repeated_until_it_does_not(desk: Desk, step: str) -> None:
    world = await desk.world()
    world.failures[step] = 12
    outcome = await desk.carry(world)
    assert outcome.status is VaultStatus.SETTLED
    assert world.names.count(step) == 13
    assert world.attempts == [1]


async def test_item__lost_by_the_store__is_written_anew_for_the_same_fill(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.settles_at_once = False
    handle = await any_desk.start(world)
    await completed(handle, 3)
    world.item = None
    world.claims = (ClaimView(attempt=1, state=ClaimState.PLACED, remark="a"),)
    world.resolves = [world.found(filled(world.order(1)))]
    world.settles_at_once = True
    await world.signal("settled")
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED
    assert world.item_kinds == SETTLED * 2
    assert world.attempts == [1]


async def test_item__not_provable_yet__is_asked_for_again_ever_more_slowly(
    any_desk: Desk,
) -> None:
    """Each time from the first look on: what blocks the refund may be found and followed."""
    world = await any_desk.world()
    world.places = [not_placed(PlaceOutcome.REFUND, reason=Reason.TOO_SMALL)] * 9
    world.refusals = ["an attempt can still fill"] * 8
    handle = await any_desk.start(world)
    outcome = await handle.result()
    assert outcome.status is VaultStatus.REFUNDED
    assert world.item_kinds == [(ItemKind.REFUND, Reason.TOO_SMALL)] * 9
    assert world.names.count("admit") == 9
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert 200 < ended_at < 300


async def test_refund__refused_for_an_attempt_nobody_follows__follows_it(any_desk: Desk) -> None:
    """After a reset the run knows of attempt 1; attempt 2 works at the broker."""
    world = await any_desk.world()

    def refused(message: PlaceOrderInput) -> PlaceOrderResult:
        world.claims = (
            ClaimView(attempt=1, state=ClaimState.ABSENT, remark="a"),
            ClaimView(attempt=2, state=ClaimState.PLACED, remark="b"),
        )
        return not_placed(PlaceOutcome.REFUND, reason=Reason.NOT_FILLED)

    world.places = [refused]
    world.refusals = ["attempt 2 is WORKING at the broker"]
    world.resolves = [world.found(world.order(2))]
    handle = await any_desk.start(world)
    await eventually(lambda: "resolve_placement" in world.names)
    await world.push(filled(world.order(2)))
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED
    assert world.attempts == [1]
    assert [kind for kind, _ in world.item_kinds] == [ItemKind.REFUND, ItemKind.SETTLE]


async def test_orders__ended_unasked_and_unfilled__are_placed_ever_more_slowly(
    desk: Desk,
) -> None:
    world = await desk.world()

    async def dies(message: PlaceOrderInput) -> PlaceOrderResult:
        placed = world.works(message)
        await world.push(world.order(message.attempt, status=BrokerStatus.CANCELLED))
        return placed

    world.places = [dies] * 5
    handle = await desk.start(world)
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED
    assert world.attempts == [1, 2, 3, 4, 5, 6]
    assert world.retry_count == 0, "no answer of the broker's was a no"
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert 5 + 10 + 20 + 30 + 30 <= ended_at < 120


async def test_settled__payout_is_still_owed__shows_it_until_it_is_paid(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.owed = 4
    handle = await any_desk.start(world)
    outcome = await handle.result()
    assert (outcome.status, outcome.stage) == (VaultStatus.SETTLED, Stage.SETTLED)
    assert world.names.count("close_order") == 5
    upserts = await events(handle, "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES")
    assert len(upserts) == 1
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert 60 + 90 + 135 + 202 <= ended_at < 520


def told_wrongly(world: World, truth: BrokerStatus) -> None:
    """A push says that all is filled; the book says otherwise, and refuses the item once."""

    async def lie(message: PlaceOrderInput) -> PlaceOrderResult:
        placed = world.works(message)
        await world.signal("order_update", filled(world.order(message.attempt)))
        world.book[message.attempt] = world.order(message.attempt, status=truth)
        return placed

    world.places = [lie]
    world.refusals = ["the book shows no fill yet"]


async def test_push__told_of_a_fill_that_is_not__follows_the_book_again(any_desk: Desk) -> None:
    world = await any_desk.world()
    told_wrongly(world, BrokerStatus.WORKING)
    handle = await any_desk.start(world)
    await completed(handle, 4)
    await world.push(filled(world.order()))
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED
    assert world.attempts == [1]
    assert world.item_kinds == SETTLED * 2


async def test_push__told_of_a_fill_but_the_order_died__is_placed_again(desk: Desk) -> None:
    world = await desk.world()
    told_wrongly(world, BrokerStatus.CANCELLED)
    outcome = await desk.carry(world)
    assert outcome.status is VaultStatus.SETTLED
    assert world.attempts == [1, 2]


async def test_item__refused_because_the_request_is_gone__ends_orphaned(desk: Desk) -> None:
    world = await desk.world()
    world.refusals = ["the vault does not show the request"]

    async def orphaned(message: PlaceOrderInput) -> PlaceOrderResult:
        world.terms = None
        return await world.fill_at_once(message)

    world.places = [orphaned]
    outcome = await desk.carry(world)
    assert (outcome.status, outcome.stage) == (VaultStatus.NONE, Stage.ORPHANED)


async def test_item__refused_while_the_vault_ended_it__reports_that_end(desk: Desk) -> None:
    world = await desk.world()
    world.refusals = ["the book shows no fill yet"]

    async def reclaimed(message: PlaceOrderInput) -> PlaceOrderResult:
        await world.end(VaultStatus.RECLAIMED, tell=False)
        return await world.fill_at_once(message)

    world.places = [reclaimed]
    outcome = await desk.carry(world)
    assert outcome.stage is Stage.RECLAIMED


async def test_close__the_request_is_open_again__is_carried_on(desk: Desk) -> None:
    """A reorganisation between the first look, which saw an end, and the close."""
    world = await desk.world(status=VaultStatus.REFUNDED)
    gate = world.hold("close_order")
    handle = await desk.start(world)
    await eventually(lambda: "close_order" in world.names)
    await world.end(VaultStatus.OPEN, tell=False)
    gate.set()
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED
    assert world.names.count("admit") == 2
    assert world.attempts == [1]


async def test_order__dead_before_the_placement_answers__is_not_followed(desk: Desk) -> None:
    world = await desk.world()

    async def died(message: PlaceOrderInput) -> PlaceOrderResult:
        placed = world.works(message)
        await world.push(ended(filled(world.order(), 2)))
        return placed

    world.places = [died]
    handle = await desk.start(world)
    await handle.result()
    assert await scheduled(handle) == FOUR
    assert world.item_kinds == SETTLED
