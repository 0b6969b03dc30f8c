"""A redeem goes the same way as a deposit: side and terms come from the vault."""

from models.messages import PlaceOrderInput, PlaceOutcome
from models.order import Reason
from models.records import ItemKind
from models.requests import Side, VaultStatus
from tests.builders import filled, not_placed
from tests.workflow.desk import Desk, completed, scheduled

FOUR = ["admit", "place_order", "enqueue_settlement", "close_order"]


async def test_redeem__filled__takes_four_activities(any_desk: Desk) -> None:
    world = await any_desk.world(Side.SELL)
    world.place_default = world.works
    handle = await any_desk.start(world)
    await completed(handle, 2)
    await world.push(filled(world.order()))
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED
    assert await scheduled(handle) == FOUR
    assert world.said(PlaceOrderInput)[0].request.side is Side.SELL


async def test_redeem__too_small__is_refunded_with_that_reason(any_desk: Desk) -> None:
    world = await any_desk.world(Side.SELL)
    world.places = [not_placed(PlaceOutcome.REFUND, reason=Reason.TOO_SMALL)]
    outcome = await any_desk.carry(world)
    assert outcome.status is VaultStatus.REFUNDED
    assert world.item_kinds == [(ItemKind.REFUND, Reason.TOO_SMALL)]
