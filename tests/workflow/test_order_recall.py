"""A pause that cancels calls an order back: what is filled is settled, the rest waits again."""

from models.messages import CancelOrderInput, PlaceOutcome
from models.order import Reason, Stage
from models.records import ClaimState, ItemKind
from models.requests import VaultStatus
from tests.builders import claim_view, filled, not_placed
from tests.fakes import World
from tests.waiting import eventually
from tests.workflow.desk import Desk, completed
from tests.workflow.test_order_cancel import cancels

SETTLED = [(ItemKind.SETTLE, Reason.NONE)]
HELD = not_placed(PlaceOutcome.HELD, detail="paused: wrong price")


def _whys(world: World) -> list[str]:
    return [message.why for message in world.said(CancelOrderInput)]


async def test_recall__nothing_filled__waits_at_the_gate_and_is_placed_anew(desk: Desk) -> None:
    world = await desk.world()
    world.places = [world.works, HELD, HELD]
    world.cancels = [cancels(world)]
    handle = await desk.start(world)
    await completed(handle, 2)
    await world.signal("recall", "wrong price")
    await eventually(lambda: (Stage.HELD, "paused: wrong price", 0) in world.shown)
    await world.signal("wake")
    outcome = await handle.result()
    assert _whys(world) == ["PAUSED"]
    assert set(world.attempts) == {1, 2}
    assert outcome.status is VaultStatus.SETTLED
    assert world.item_kinds == SETTLED


async def test_recall__part_filled__settles_the_part(desk: Desk) -> None:
    world = await desk.world()
    world.place_default = world.works
    world.cancels = [cancels(world, shares=1)]
    handle = await desk.start(world)
    await completed(handle, 2)
    await world.push(filled(world.order(), 1))
    await world.signal("recall")
    await handle.result()
    assert world.attempts == [1]
    assert world.item_kinds == SETTLED


async def test_recall__while_it_is_being_placed__is_cancelled_once_it_is_there(desk: Desk) -> None:
    world = await desk.world()
    world.places = [world.works]
    world.cancels = [cancels(world)]
    gate = world.hold("place_order")
    handle = await desk.start(world)
    await eventually(lambda: "place_order" in world.names)
    await world.signal("recall")
    gate.set()
    await handle.result()
    assert _whys(world) == ["PAUSED"]
    assert world.attempts == [1, 2]


async def test_recall__nothing_at_the_broker__cancels_nothing_later(desk: Desk) -> None:
    world = await desk.world()
    world.places = [HELD, HELD]
    handle = await desk.start(world)
    await completed(handle, 4)
    await world.signal("recall")
    await handle.result()
    assert _whys(world) == []
    assert world.item_kinds == SETTLED


async def test_recall__user_cancels_too__is_refunded(desk: Desk) -> None:
    world = await desk.world()
    world.place_default = world.works
    world.cancels = [cancels(world)]
    handle = await desk.start(world)
    await completed(handle, 2)
    await world.signal("recall")
    await world.signal("cancel")
    await handle.result()
    assert world.attempts == [1]
    assert world.item_kinds == [(ItemKind.REFUND, Reason.USER_CANCELLED)]


async def test_recall__known_only_by_signal__survives_a_new_run_and_is_over_after_it(
    desk: Desk,
) -> None:
    world = await desk.world()
    world.set_policy(run_events=100)
    world.place_default = world.works
    handle = await desk.start(world)
    await completed(handle, 2)
    world.claims = (claim_view(world.request.request_id, 1, ClaimState.PLACED),)
    world.resolve_default = lambda _: world.found(world.book[1])
    await world.signal("recall")  # the broker takes each cancel, and cancels nothing
    while world.names.count("admit") < 2:
        await desk.pass_time(60)
    asked = len(_whys(world))
    await eventually(lambda: len(_whys(world)) > asked)

    world.cancels = [cancels(world)]
    world.place_default = not_placed(PlaceOutcome.WAITING_SESSION, retry_seconds=30.0)
    while world.names.count("admit") < 3:
        await desk.pass_time(60)
    asked = len(_whys(world))
    world.place_default = world.fill_at_once
    await world.signal("wake")
    await eventually(lambda: "close_order" in world.names)
    assert set(_whys(world)) == {"PAUSED"}
    assert len(_whys(world)) == asked
    assert world.item_kinds == SETTLED
