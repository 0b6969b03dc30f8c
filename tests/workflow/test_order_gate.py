"""What happens before an order is sent: holds, outages, limits, rejections, the deadline."""

import asyncio

import pytest
from temporalio.exceptions import ApplicationError

from models.messages import PlaceOrderInput, PlaceOrderResult, PlaceOutcome, RecordStageInput
from models.order import Reason, Stage
from models.records import ItemKind
from models.requests import VaultStatus
from tests.builders import not_placed
from tests.waiting import eventually
from tests.workflow.desk import Desk, completed, events, first_run, moments, scheduled

SETTLED = [(ItemKind.SETTLE, Reason.NONE)]
HELD = not_placed(PlaceOutcome.HELD)
DOWN = not_placed(PlaceOutcome.SOURCE_DOWN, retry_seconds=5.0)
NO = not_placed(PlaceOutcome.REJECTED, detail="price out of range", attempt_used=True)


async def test_hold__met__registers_then_checks_again_then_sleeps(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.place_default = HELD
    handle = await any_desk.start(world)
    await completed(handle, 4)
    assert await scheduled(handle) == ["admit", "place_order", "record_stage", "place_order"]
    assert world.shown == [(Stage.HELD, HELD.detail, 0)]
    world.place_default = world.fill_at_once
    await handle.result()
    timers = await events(handle, "TIMER_STARTED")
    slept = timers[0].timer_started_event_attributes.start_to_fire_timeout.ToSeconds()
    assert slept == 600
    assert world.item_kinds == SETTLED


async def test_wake__while_it_sleeps__checks_at_once(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.place_default = HELD
    handle = await any_desk.start(world)
    await completed(handle, 4)
    world.place_default = world.fill_at_once
    await world.signal("wake")
    await handle.result()
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert ended_at < 75


@pytest.mark.parametrize("busy", ["record_stage", "place_order"])
async def test_wake__between_check_and_sleep__is_not_lost(desk: Desk, busy: str) -> None:
    world = await desk.world()
    last_check = asyncio.Event()

    async def second(_: PlaceOrderInput) -> PlaceOrderResult:
        if busy == "place_order":
            await world.signal("wake")
        last_check.set()
        return HELD

    world.places = [HELD, second]
    gate = world.hold("record_stage")
    handle = await desk.start(world)
    await eventually(lambda: "record_stage" in world.names)
    if busy == "record_stage":
        await world.signal("wake")
    gate.set()
    await last_check.wait()
    await eventually(lambda: world.attempts == [1, 1, 1])
    await handle.result()
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert ended_at < 75


async def test_hold__goes_over_into_another_wait__is_shown_once_each(desk: Desk) -> None:
    world = await desk.world()
    closed = not_placed(PlaceOutcome.WAITING_SESSION, retry_seconds=30.0)
    world.places = [HELD, HELD, closed, closed, closed]
    await desk.carry(world)
    assert [stage for stage, _, _ in world.shown] == [Stage.HELD, Stage.WAITING_SESSION]


async def test_push_of_an_unknown_order__while_held__does_not_spin(desk: Desk) -> None:
    world = await desk.world()
    world.place_default = HELD
    handle = await desk.start(world)
    await completed(handle, 4)
    await world.signal("order_update", world.order(order_id="not ours"))
    await completed(handle, 5)
    await desk.pass_time(60)
    assert world.attempts == [1] * 3


async def test_source_down__for_hours__never_refunds_and_goes_on_after(desk: Desk) -> None:
    world = await desk.world()
    world.place_default = DOWN
    handle = await desk.start(world)
    await desk.pass_time(2 * 3600)
    assert "enqueue_settlement" not in world.names
    assert len(world.attempts) < 2 * 3600 / 25
    world.place_default = world.fill_at_once
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED
    assert {message.retry_count for message in world.said(PlaceOrderInput)} == {0}


async def test_source_down__for_a_minute__is_retried_within_seconds(desk: Desk) -> None:
    world = await desk.world()
    world.places = [DOWN] * 5
    handle = await desk.start(world)
    await handle.result()
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert ended_at < 75


async def test_source_down__until_the_deadline__is_refunded_then(any_desk: Desk) -> None:
    world = await any_desk.world(deadline=int(await any_desk.now()) + 700)
    world.place_default = DOWN
    handle = await any_desk.start(world)
    outcome = await handle.result()
    assert outcome.status is VaultStatus.REFUNDED
    assert world.item_kinds == [(ItemKind.REFUND, Reason.DEADLINE)]
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert 575 <= ended_at <= 590


async def test_long_wait__history_grows_long__goes_on_in_a_new_run(desk: Desk) -> None:
    world = await desk.world()
    world.set_policy(run_events=150)
    world.place_default = not_placed(PlaceOutcome.WAITING_SESSION, retry_seconds=30.0)
    handle = await desk.start(world)
    await eventually(lambda: "record_stage" in world.names)
    while world.names.count("admit") < 2:
        await desk.pass_time(60)
    world.place_default = world.fill_at_once
    await world.signal("wake")
    await eventually(lambda: "close_order" in world.names)
    assert world.item_kinds == SETTLED
    assert world.names.count("admit") == 2
    assert 150 <= len((await first_run(handle)).events) < 200


async def test_rate_limit__full_window__waits_without_a_try_or_a_write(any_desk: Desk) -> None:
    world = await any_desk.world()
    full = not_placed(PlaceOutcome.RATE_LIMITED, retry_seconds=2.0)
    world.places = [full, full, full]
    handle = await any_desk.start(world)
    await handle.result()
    assert await scheduled(handle) == [
        "admit",
        *["place_order"] * 4,
        "enqueue_settlement",
        "close_order",
    ]
    assert world.said(PlaceOrderInput)[-1].retry_count == 0
    assert world.attempts == [1] * 4


async def test_rate_limit__after_the_claim__goes_on_with_the_next_attempt(desk: Desk) -> None:
    world = await desk.world()
    world.places = [
        not_placed(PlaceOutcome.RATE_LIMITED, retry_seconds=2.0, attempt_used=True),
        not_placed(PlaceOutcome.SOURCE_DOWN, retry_seconds=5.0, attempt_used=True),
    ]
    await desk.carry(world)
    assert world.attempts == [1, 2, 3]


async def test_rejected__three_times__is_refunded_with_its_count(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.place_default = NO
    handle = await any_desk.start(world)
    outcome = await handle.result()
    assert outcome.status is VaultStatus.REFUNDED
    assert world.item_kinds == [(ItemKind.REFUND, Reason.BROKER_REJECTED)]
    assert world.attempts == [1, 2, 3]
    assert world.retry_count == 3
    pauses = [e.timer_started_event_attributes for e in await events(handle, "TIMER_STARTED")]
    assert [pause.start_to_fire_timeout.ToSeconds() for pause in pauses] == [5, 5]


async def test_rejected__twice__then_filled__is_settled(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.places = [NO, NO]
    outcome = await any_desk.carry(world)
    assert outcome.status is VaultStatus.SETTLED
    assert world.attempts == [1, 2, 3]
    assert world.retry_count == 2


async def test_outage__between_two_rejections__is_no_try(desk: Desk) -> None:
    world = await desk.world()
    world.places = [NO, *[DOWN] * 6, NO]
    outcome = await desk.carry(world)
    assert outcome.status is VaultStatus.SETTLED
    assert world.retry_count == 2


async def test_placing__breaks_again_and_again__is_tried_ever_more_slowly(desk: Desk) -> None:
    world = await desk.world()
    world.places = [ApplicationError("a bug", type="TypeError")] * 8
    handle = await desk.start(world)
    await handle.result()
    assert world.attempts == list(range(1, 10))
    assert "a bug" in world.said(RecordStageInput)[0].waiting_for
    (ended_at,) = await moments(handle, "WORKFLOW_EXECUTION_COMPLETED")
    assert 60 < ended_at < 240
    assert world.item_kinds == SETTLED


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (Reason.TOO_SMALL, PlaceOutcome.REFUND),
        (Reason.UNKNOWN_ASSET, PlaceOutcome.REFUND),
        (Reason.LIMIT_UNREACHABLE, PlaceOutcome.REFUND),
    ],
)
async def test_request__cannot_be_served__is_refunded_with_the_reason(
    desk: Desk, reason: Reason, outcome: PlaceOutcome
) -> None:
    world = await desk.world()
    world.places = [not_placed(outcome, reason=reason, detail="why not")]
    done = await desk.carry(world)
    assert world.item_kinds == [(ItemKind.REFUND, reason)]
    assert done.detail == "why not"


async def test_vault__ended_it_before_the_order__nothing_is_written(desk: Desk) -> None:
    world = await desk.world()

    async def reclaimed(_: PlaceOrderInput) -> PlaceOrderResult:
        await world.end(VaultStatus.RECLAIMED, tell=False)
        return not_placed(PlaceOutcome.ENDED)

    world.places = [reclaimed]
    outcome = await desk.carry(world)
    assert outcome.stage is Stage.RECLAIMED
    assert "enqueue_settlement" not in world.names


async def test_request__gone_at_the_gate__ends_orphaned(desk: Desk) -> None:
    world = await desk.world()

    def vanished(_: PlaceOrderInput) -> PlaceOrderResult:
        world.terms = None
        return not_placed(PlaceOutcome.GONE)

    world.places = [vanished]
    outcome = await desk.carry(world)
    assert (outcome.status, outcome.stage) == (VaultStatus.NONE, Stage.ORPHANED)


async def test_request__gone_at_the_gate_but_back_at_the_close__is_carried_on(
    desk: Desk,
) -> None:
    world = await desk.world()
    world.places = [not_placed(PlaceOutcome.GONE)]
    outcome = await desk.carry(world)
    assert outcome.status is VaultStatus.SETTLED
    assert world.names.count("admit") == 2


async def test_line__long_wait__row_says_its_place_each_time(desk: Desk) -> None:
    world = await desk.world()
    world.places = [
        not_placed(PlaceOutcome.RATE_LIMITED, retry_seconds=60.0, detail="in line: 30 before it"),
        not_placed(PlaceOutcome.RATE_LIMITED, retry_seconds=30.0, detail="in line: 12 before it"),
        not_placed(PlaceOutcome.RATE_LIMITED, retry_seconds=3.0, detail="in line: 1 before it"),
    ]
    handle = await desk.start(world)
    await handle.result()
    written = [said.waiting_for for said in world.said(RecordStageInput)]
    assert written == ["in line: 30 before it", "in line: 12 before it"]
    assert world.attempts == [1] * 4
    pauses = [e.timer_started_event_attributes for e in await events(handle, "TIMER_STARTED")]
    assert [pause.start_to_fire_timeout.ToSeconds() for pause in pauses] == [60, 30, 3]
