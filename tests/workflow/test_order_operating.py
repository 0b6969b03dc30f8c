"""Operators' verbs on one order: done once, noted first, refused where the state forbids them."""

import asyncio
import uuid

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from models.messages import CancelOrderInput, EnqueueInput, PlaceOutcome
from models.operating import NOT_NOW, NoteActInput, OperatorAct, OperatorAnswer, Verb
from models.order import Reason, Stage
from models.records import ItemKind
from models.requests import VaultStatus
from tests.builders import ended, filled, not_placed
from tests.fakes import World
from tests.waiting import eventually
from tests.workflow.desk import Desk, Handle, completed, events

HELD = not_placed(PlaceOutcome.HELD)
WAIT = {"resolution": "WAIT", "detail": "is looked for", "retry_seconds": 2.0}
GIVEN_BACK = [(ItemKind.REFUND, Reason.OPERATOR)]


async def tell(handle: Handle, verb: Verb, act_id: str = "") -> OperatorAnswer:
    answer: OperatorAnswer = await handle.execute_update(
        "operate",
        OperatorAct(verb=verb, who="ada", reason="the user asked"),
        id=act_id or uuid.uuid4().hex,
        result_type=OperatorAnswer,
    )
    return answer


async def no(handle: Handle, verb: Verb) -> str:
    """Why it was refused."""
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await tell(handle, verb)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == NOT_NOW
    return failed.value.cause.message


async def accepted(handle: Handle) -> None:
    """Wait until an act was let in, and waits."""

    async def let_in() -> bool:
        return bool(await events(handle, "WORKFLOW_EXECUTION_UPDATE_ACCEPTED"))

    await eventually(let_in)


async def held(desk: Desk) -> tuple[World, Handle]:
    world = await desk.world()
    world.places = [HELD] * 500
    handle = await desk.start(world)
    await completed(handle, 4)  # it looks once more before it sleeps
    return world, handle


async def working(desk: Desk) -> tuple[World, Handle]:
    world = await desk.world()
    world.place_default = world.works
    handle = await desk.start(world)
    await completed(handle, 2)
    return world, handle


@pytest.mark.parametrize("verb", [Verb.REFUND, Verb.CANCEL])
async def test_held__refund_or_cancel__goes_back_with_who_and_why(
    any_desk: Desk, verb: Verb
) -> None:
    world, handle = await held(any_desk)
    answer = await tell(handle, verb)
    assert (answer.verb, answer.stage) == (verb, Stage.HELD)
    assert (await handle.result()).status is VaultStatus.REFUNDED
    assert world.item_kinds == GIVEN_BACK
    (item,) = world.said(EnqueueInput)
    assert item.detail == "operator ada: the user asked"
    (noted,) = world.said(NoteActInput)
    assert (noted.act.verb, noted.act.who, noted.stage) == (verb, "ada", Stage.HELD)


async def test_held__retry__looks_again_at_once(any_desk: Desk) -> None:
    world, handle = await held(any_desk)
    tries = world.names.count("place_order")
    world.places.clear()
    assert (await tell(handle, Verb.RETRY)).words == "it looks again now"
    assert (await handle.result()).status is VaultStatus.SETTLED
    assert world.names.count("place_order") == tries + 1


async def test_same_act_again__is_noted_once_and_answered_alike(desk: Desk) -> None:
    world, handle = await held(desk)
    first = await tell(handle, Verb.RETRY, "ticket-17")
    assert await tell(handle, Verb.RETRY, "ticket-17") == first
    assert [message.act_id for message in world.said(NoteActInput)] == ["ticket-17"]
    await tell(handle, Verb.CANCEL)
    await handle.result()


async def test_working__refund__is_refused_and_cancel_gives_it_back(desk: Desk) -> None:
    world, handle = await working(desk)

    async def taken(message: CancelOrderInput) -> object:
        await world.push(ended(world.order(message.attempt)))
        return {"accepted": True}

    world.cancels = [taken]
    assert "works at the broker: cancel it" in await no(handle, Verb.REFUND)
    await tell(handle, Verb.CANCEL)
    assert (await handle.result()).status is VaultStatus.REFUNDED
    assert [message.why for message in world.said(CancelOrderInput)] == ["OPERATOR"]
    assert world.item_kinds == GIVEN_BACK


async def test_part_filled__refund__is_refused_since_the_only_way_is_forward(desk: Desk) -> None:
    world, handle = await working(desk)
    await world.push(filled(world.order(), 1))
    why = "1 shares are filled: after a fill the only way is forward; cancel ends the rest"

    async def told() -> str:
        said = await no(handle, Verb.REFUND)
        return "" if "works at the broker" in said else said

    assert await eventually(told) == why
    await world.push(filled(world.order()))
    assert (await handle.result()).status is VaultStatus.SETTLED
    assert world.said(NoteActInput) == []


@pytest.mark.parametrize("verb", [Verb.REFUND, Verb.CANCEL])
async def test_settling__refund_or_cancel__is_refused_and_retry_looks(
    desk: Desk, verb: Verb
) -> None:
    world = await desk.world()
    world.settles_at_once = False
    handle = await desk.start(world)
    await eventually(lambda: bool(world.said(EnqueueInput)))
    assert "after a fill the only way is forward" in await no(handle, verb)
    looked = world.names.count("close_order")
    await tell(handle, Verb.RETRY)
    await eventually(lambda: world.names.count("close_order") > looked)
    await world.end(VaultStatus.SETTLED)
    await handle.result()
    assert world.item_kinds == [(ItemKind.SETTLE, Reason.NONE)]


async def test_outcome_unknown__refund__is_refused(desk: Desk) -> None:
    world = await desk.world()
    world.places = [not_placed(PlaceOutcome.RESOLVE)]
    world.resolves = [WAIT, WAIT, lambda _: world.found(filled(world.order()))]
    gate = world.hold("resolve_placement")
    handle = await desk.start(world)
    await eventually(lambda: "resolve_placement" in world.names)
    assert "could be paid twice" in await no(handle, Verb.REFUND)
    gate.set()
    assert (await handle.result()).status is VaultStatus.SETTLED


async def test_being_sent_for_long__refund__is_refused_and_cancel_follows_it(desk: Desk) -> None:
    world = await desk.world()
    world.place_default = world.works
    gate = world.hold("place_order")
    handle = await desk.start(world)
    await eventually(lambda: "place_order" in world.names)
    assert "at this moment" in await no(handle, Verb.REFUND)
    gate.set()
    await completed(handle, 2)
    await world.push(filled(world.order()))
    await handle.result()


async def test_being_sent__refund__waits_and_goes_back_once_it_is_held(desk: Desk) -> None:
    world = await desk.world()
    world.places = [HELD] * 500
    gate = world.hold("place_order")
    handle = await desk.start(world)
    await eventually(lambda: "place_order" in world.names)
    asking = asyncio.create_task(tell(handle, Verb.REFUND))
    await accepted(handle)
    gate.set()
    assert (await asking).verb is Verb.REFUND
    await handle.result()
    assert world.item_kinds == GIVEN_BACK


async def test_being_sent__refund__is_refused_once_it_works_at_the_broker(desk: Desk) -> None:
    world = await desk.world()
    world.place_default = world.works
    gate = world.hold("place_order")
    handle = await desk.start(world)
    await eventually(lambda: "place_order" in world.names)
    asking = asyncio.create_task(no(handle, Verb.REFUND))
    await accepted(handle)
    gate.set()
    assert "works at the broker" in await asking
    assert "note_operator_act" not in world.names
    await world.push(filled(world.order()))
    await handle.result()
