"""What `bronco status` says of the chain comes from the watcher's heartbeats."""

import asyncio
from pathlib import Path

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from api.chain import chain_watch_status
from bronco.services import TemporalServer
from models.messages import WatchChainInput
from models.requests import CHAIN_WATCH_WORKFLOW_ID, QUEUE_WATCH
from models.watch import ChainWatchStatus, EndpointState, Fault
from tests.integration.control.rig import ControlRig
from tests.shell import Inline
from tests.waiting import eventually
from workers.runner import sandbox
from workflows.chain_watch import ChainWatchWorkflow

_QUEUE = "chain-status"
TOLD = ChainWatchStatus(
    next=8,
    count=7,
    head=120,
    endpoints=(
        EndpointState(label="1:good.example", head=120),
        EndpointState(label="2:bad.example", fault=Fault.LIED, detail="another id", head=119),
    ),
)


@activity.defn(name="watch_chain")
async def told(_: WatchChainInput) -> None:
    """A watcher that has said one thing."""
    activity.heartbeat(TOLD)
    await asyncio.Event().wait()


async def test_status__an_endpoint_was_set_aside__is_shown_with_the_reason(
    temporal: TemporalServer, temporal_client: Client, idle_rig: ControlRig, tmp_path: Path
) -> None:
    client = temporal_client
    assert await chain_watch_status(client) is None
    async with (
        Worker(
            client,
            task_queue=_QUEUE,
            workflows=[ChainWatchWorkflow],
            workflow_runner=sandbox(),
        ),
        Worker(client, task_queue=QUEUE_WATCH, activities=[told]),
    ):
        handle = await client.start_workflow(
            ChainWatchWorkflow.run,
            WatchChainInput(),
            id=CHAIN_WATCH_WORKFLOW_ID,
            task_queue=_QUEUE,
        )

        async def said() -> bool:
            return await chain_watch_status(client) == TOLD

        await eventually(said)
        bronco = Inline(tmp_path, idle_rig.settings.environment())
        shown = await bronco("status", BRONCO_TEMPORAL_ADDRESS=temporal.address)
        await handle.terminate()

    assert "block 120, request 7 of 7" in shown.out
    (row,) = [line for line in shown.out.splitlines() if "2:bad.example" in line]
    assert "LIED" in row
    assert "another id" in row
