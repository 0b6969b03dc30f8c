"""Hazard 5: whatever happens to Temporal's memory of an order, the broker gets it once."""

from collections.abc import AsyncIterator

import pytest_asyncio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    ResetWorkflowExecutionRequest,
)
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from clients.wallet import Requested
from models.order import OrderStatus, Stage
from tests.e2e.desk import Desk
from tests.waiting import eventually


@pytest_asyncio.fixture
async def working(desk: Desk) -> AsyncIterator[Requested]:
    """A deposit whose order works at the broker."""
    await desk.control.fault("hold_fills", on=True)
    made = await desk.deposit()
    await desk.at(made, Stage.PLACED)
    yield made
    await desk.control.fault("release_fills")


async def test_order__reset_to_before_it_was_placed__one_order(
    desk: Desk, working: Requested
) -> None:
    handle = desk.workflow(working)
    before = (await handle.describe()).run_id
    task = 0
    async for event in handle.fetch_history_events():
        if event.HasField("workflow_task_completed_event_attributes"):
            task = event.event_id
        name = event.activity_task_scheduled_event_attributes.activity_type.name
        if name == "place_order":
            break
    await desk.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=desk.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=before),
            reason="somebody clicked Reset",
            workflow_task_finish_event_id=task,
            request_id="reset-" + before,
        )
    )
    await desk.looked_again(working, times=1)  # the new run has tried to place, too
    assert (await handle.describe()).run_id != before
    await desk.control.fault("release_fills")
    await desk.end(working, OrderStatus.EXECUTED)
    await desk.one_order_each([working])


async def test_order__ended_in_temporal_while_it_works__taken_up_again(
    desk: Desk, working: Requested
) -> None:
    handle = desk.workflow(working)
    before = (await handle.describe()).run_id
    await handle.terminate("somebody clicked Terminate")
    # A new watcher walks the vault from request 1 on.
    watcher = desk.stack.processes["watcher"]
    await watcher.stop()
    await watcher.start()

    async def runs_again() -> bool:
        try:
            described = await handle.describe()
        except RPCError:
            return False
        running = described.status is WorkflowExecutionStatus.RUNNING
        return running and described.run_id != before

    await eventually(runs_again, timeout=60)
    await desk.control.fault("release_fills")
    await desk.end(working, OrderStatus.EXECUTED)
    await desk.one_order_each([working])
