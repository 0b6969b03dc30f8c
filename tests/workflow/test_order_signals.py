"""Signals only wake: whatever they carry, and however many come, the order goes its way."""

from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import RawValue

from models.messages import CancelOrderInput, PlaceOutcome
from models.order import Reason
from models.records import ItemKind
from models.requests import VaultStatus
from tests.builders import filled, not_placed
from tests.workflow.desk import Desk, completed, events

SETTLED = [(ItemKind.SETTLE, Reason.NONE)]
BOGUS: list[list[Any]] = [
    [],
    [None],
    ["text"],
    [{"any": 1}, 2, None],
    [[[]]],
    [{"order_id": 7, "filled": "many", "average_price": "NaN"}],
    [{"order_id": "x" * 70_000}],
]


@pytest.mark.parametrize("name", ["wake", "order_update", "settled"])
@pytest.mark.parametrize("args", BOGUS, ids=lambda args: f"{len(args)} {str(args)[:12]}")
async def test_signal__any_arguments__freezes_nothing(
    desk: Desk, name: str, args: list[Any]
) -> None:
    world = await desk.world()
    world.place_default = world.works
    handle = await desk.start(world)
    await world.signal(name, *args)
    await completed(handle, 2)
    await world.signal(name, *args)
    await world.push(filled(world.order()))
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED
    assert world.item_kinds == SETTLED
    assert await events(handle, "WORKFLOW_TASK_FAILED") == []


@pytest.mark.parametrize("args", [[], ["why"], [{"who": "ada"}, 2]])
async def test_cancel__any_arguments__cancels(desk: Desk, args: list[Any]) -> None:
    world = await desk.world()
    world.place_default = not_placed(PlaceOutcome.HELD)
    handle = await desk.start(world)
    await world.signal("cancel", *args)
    await handle.result()
    assert world.item_kinds == [(ItemKind.REFUND, Reason.USER_CANCELLED)]


async def test_signal__a_payload_that_cannot_be_read__freezes_nothing(desk: Desk) -> None:
    world = await desk.world()
    world.place_default = world.works
    handle = await desk.start(world)
    broken = Payload(metadata={"encoding": b"json/plain"}, data=b"{not json")
    alien = Payload(metadata={"encoding": b"binary/alien"}, data=b"\x00\xff")
    for payload in (broken, alien):
        await world.signal("order_update", RawValue(payload))
    await completed(handle, 2)
    await world.push(filled(world.order()))
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED


async def test_signal__unknown_name__freezes_nothing(desk: Desk) -> None:
    world = await desk.world()
    world.place_default = world.works
    handle = await desk.start(world)
    await world.signal("no such signal", 1)
    await completed(handle, 2)
    await world.push(filled(world.order()))
    assert (await handle.result()).status is VaultStatus.SETTLED


async def test_signals__hundreds_of_pushes_of_others__change_nothing(any_desk: Desk) -> None:
    world = await any_desk.world()
    world.place_default = world.works
    handle = await any_desk.start(world)
    await completed(handle, 2)
    for number in range(200):
        other = filled(world.order(order_id=f"other-{number}"))
        await world.signal("order_update", other)
    await world.push(filled(world.order()))
    await handle.result()
    assert world.item_kinds == SETTLED
    assert world.names.count("read_order") == 0
    description = await handle.describe()
    assert description.status is WorkflowExecutionStatus.COMPLETED


async def test_push__with_its_order_cancelled_by_somebody_else__is_followed_to_the_part(
    desk: Desk,
) -> None:
    world = await desk.world()
    world.place_default = world.works
    handle = await desk.start(world)
    await completed(handle, 2)
    await world.push(filled(world.order(), 2))
    await world.push(
        filled(world.order(), 2).model_copy(
            update={"status": "CANCELLED", "vendor_status": "CANCELLED_PART"}
        )
    )
    outcome = await handle.result()
    assert outcome.status is VaultStatus.SETTLED
    assert world.said(CancelOrderInput) == []
