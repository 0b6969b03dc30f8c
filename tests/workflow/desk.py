"""Order workflows on a time-skipping server, with the production sandbox and three queues."""

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio.api.enums.v1 import EventType, IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import WorkflowHandle, WorkflowHistory
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from models.messages import OrderOutcome
from models.requests import QUEUE_CONTROL, QUEUE_MAIN, QUEUE_PLACE, Side
from tests.builders import order_request, request_id_of, vault_request
from tests.fakes import FakeOrders, World
from tests.waiting import eventually
from workers.runner import sandbox
from workflows.deposit import DepositWorkflow
from workflows.redeem import RedeemWorkflow

QUEUE_UNCACHED = "bronco-uncached"
"""Its worker remembers no run: every task replays the history from its beginning."""
Handle = WorkflowHandle[Any, OrderOutcome]
_TYPES: dict[Side, type[DepositWorkflow] | type[RedeemWorkflow]] = {
    Side.BUY: DepositWorkflow,
    Side.SELL: RedeemWorkflow,
}
DAY = 86_400


class Desk:
    """Starts orders, each in a world of its own."""

    def __init__(self, env: WorkflowEnvironment, fakes: FakeOrders) -> None:
        self.env = env
        self.fakes = fakes
        self.queue = QUEUE_MAIN
        self._numbers = itertools.count(1)

    async def world(self, side: Side = Side.BUY, *, salt: int = 0, **terms: Any) -> World:
        """A request whose deadline is a day away; `terms` change what the vault says of it."""
        n = salt or next(self._numbers)
        request_id = request_id_of(n, salt)
        request = order_request(n, side, request_id=request_id)
        fields: dict[str, Any] = {"deadline": int(await self.now()) + DAY}
        vault = vault_request(n, side, request_id=request_id, **(fields | terms))
        made = World(request, vault, self.env.client)
        self.fakes.worlds[request_id] = made
        return made

    async def start(self, world: World) -> Handle:
        return await self.env.client.start_workflow(
            _TYPES[world.request.side].run,
            world.request,
            id=world.workflow_id,
            task_queue=self.queue,
            task_timeout=timedelta(seconds=2),
        )

    async def carry(self, world: World) -> OrderOutcome:
        """Start and see it to its end, skipping over every wait."""
        handle = await self.start(world)
        return await handle.result()

    def worker(self, queue: str, *, cached: int = 100) -> Worker:
        """A worker for the workflows, to be entered; the desk has one on each of its queues."""
        return Worker(
            self.env.client,
            task_queue=queue,
            workflows=list(_TYPES.values()),
            activities=self.fakes.on_main,
            workflow_runner=sandbox(),
            max_cached_workflows=cached,
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
            graceful_shutdown_timeout=timedelta(0),
        )

    async def now(self) -> float:
        return (await self.env.get_current_time()).timestamp()

    async def pass_time(self, seconds: float) -> None:
        await self.env.sleep(timedelta(seconds=seconds))


async def events(handle: Handle, kind: str) -> list[Any]:
    """Events of the newest run, e.g. "ACTIVITY_TASK_SCHEDULED"."""
    wanted = EventType.Value(f"EVENT_TYPE_{kind}")
    newest: Handle = WorkflowHandle(handle._client, handle.id)
    history = await newest.fetch_history()
    return [event for event in history.events if event.event_type == wanted]


async def first_run(handle: Handle) -> WorkflowHistory:
    """History of the run that was started, whatever runs came after it."""
    run: Handle = WorkflowHandle(handle._client, handle.id, run_id=handle.first_execution_run_id)
    return await run.fetch_history()


async def moments(handle: Handle, kind: str) -> list[float]:
    """When each event of a kind was, in seconds after the newest run began.

    The server's clock says less: with nothing left to wait for it may jump by years.
    """
    (began,) = await events(handle, "WORKFLOW_EXECUTION_STARTED")
    start: float = began.event_time.ToMicroseconds() / 1e6
    return [event.event_time.ToMicroseconds() / 1e6 - start for event in await events(handle, kind)]


async def scheduled(handle: Handle) -> list[str]:
    """The activities of the newest run, as history has them."""
    found = await events(handle, "ACTIVITY_TASK_SCHEDULED")
    return [e.activity_task_scheduled_event_attributes.activity_type.name for e in found]


async def completed(handle: Handle, count: int) -> None:
    """Wait until so many activities have completed and what they brought was taken in."""

    async def enough() -> bool:
        done = await events(handle, "ACTIVITY_TASK_COMPLETED")
        if len(done) < count:
            return False
        tasks = await events(handle, "WORKFLOW_TASK_COMPLETED")
        return bool(tasks) and tasks[-1].event_id > done[count - 1].event_id

    await eventually(enough)


@asynccontextmanager
async def open_desk(env: WorkflowEnvironment, *, placing: bool = True) -> AsyncIterator[Desk]:
    """Workers for the order queues, in the production sandbox, for as long as the desk is open.

    placing False: nobody works beside the broker's order entry.
    """
    await env.client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=env.client.namespace,
            search_attributes={"Stage": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD},
        )
    )
    fakes = FakeOrders()
    desk = Desk(env, fakes)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(desk.worker(QUEUE_MAIN))
        await stack.enter_async_context(desk.worker(QUEUE_UNCACHED, cached=0))
        for queue, activities in (
            (QUEUE_PLACE, fakes.on_place if placing else []),
            (QUEUE_CONTROL, fakes.on_control),
        ):
            if not activities:
                continue
            await stack.enter_async_context(
                Worker(
                    env.client,
                    task_queue=queue,
                    activities=activities,
                    graceful_shutdown_timeout=timedelta(0),
                )
            )
        yield desk
