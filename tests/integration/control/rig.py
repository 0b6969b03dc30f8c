"""Control on real parts: the workflow, its activities, Redis, MariaDB and a Temporal server."""

import hashlib
import itertools
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.asyncio import Redis
from temporalio import workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    UnsandboxedWorkflowRunner,
    Worker,
)

from activities.control import ControlActivities
from activities.recalling import RecallActivities
from api.switch import TradingSwitch
from bronco.settings import Settings
from clients.flags import Flags
from clients.gateway import WorkflowGateway
from clients.store import Store
from models.control import ControlState, Permit, Refusal
from models.order import Order, Stage
from models.requests import (
    CONTROL_WORKFLOW_ID,
    QUEUE_HOLDS,
    QUEUE_WATCH,
    Side,
    order_workflow_id,
    remark_of,
)
from tests.contracts.builders import CHAIN, VAULT, new_request_id, vault_request
from tests.waiting import eventually
from workers.runner import sandbox
from workflows.control import TradingControlWorkflow

API_KEY = "key-of-the-desk"
API_KEY_HASH = hashlib.sha256(API_KEY.encode()).hexdigest()
_SLEEPERS = f"sleepers-{uuid.uuid4().hex}"


@workflow.defn(name="SleepingOrder")
class SleepingOrder:
    """Stands for a held order: it waits to be woken."""

    def __init__(self) -> None:
        self.woken_at: str = ""

    @workflow.signal
    def wake(self) -> None:
        self.woken_at = self.woken_at or workflow.now().isoformat()

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: bool(self.woken_at))
        return self.woken_at


class _Busy(Interceptor, ActivityInboundInterceptor):
    """Counts the short activities that run: one of a terminated control may still write a hold."""

    def __init__(self) -> None:
        self.running = 0

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        self.next = next
        return self

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        self.running += 1
        try:
            return await self.next.execute_activity(input)
        finally:
            self.running -= 1


class ControlRig:
    """Control of the whole run; every test leaves it without a workflow, a hold or a lease."""

    def __init__(self, settings: Settings, client: Client, store: Store, flags: Flags) -> None:
        self.settings = settings
        self.client = client
        self.store = store
        self.flags = flags
        self.switch = TradingSwitch(client, flags)
        self._workers: AsyncExitStack | None = None
        self._attempts = itertools.count(1)
        self._probe = new_request_id()
        self._busy = _Busy()

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings, client: Client) -> "AsyncIterator[ControlRig]":
        store = Store(settings.database.url.get_secret_value())
        flags = Flags(settings.redis.url.get_secret_value())
        rig = cls(settings, client, store, flags)
        try:
            yield rig
        finally:
            await rig.stop_worker()
            await flags.close()
            store.close()

    @property
    def control(self) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(CONTROL_WORKFLOW_ID)

    def worker(self, queue: str = QUEUE_HOLDS) -> Worker:
        activities = ControlActivities(self.store, self.flags, self.client)
        if queue == QUEUE_WATCH:
            return Worker(self.client, task_queue=queue, activities=[activities.keep_lease])
        return Worker(
            self.client,
            task_queue=queue,
            workflows=[TradingControlWorkflow],
            activities=[
                activities.load_control,
                activities.apply_control,
                activities.record_control,
                activities.wake_held,
                RecallActivities(
                    self.store, self.flags, WorkflowGateway(self.client, "")
                ).recall_working,
            ],
            workflow_runner=sandbox(),
            interceptors=[self._busy],
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        )

    async def start_worker(self) -> None:
        """Have one at work; starting and stopping costs seconds, so it outlives a test."""
        if self._workers is None:
            self._workers = AsyncExitStack()
            await self._workers.enter_async_context(self.worker())
            await self._workers.enter_async_context(self.worker(QUEUE_WATCH))

    async def stop_worker(self) -> None:
        workers, self._workers = self._workers, None
        if workers is not None:
            await workers.aclose()

    async def start_control(self) -> None:
        await self.client.start_workflow(
            TradingControlWorkflow.run,
            id=CONTROL_WORKFLOW_ID,
            task_queue=QUEUE_HOLDS,
            task_timeout=timedelta(seconds=2),
        )

    async def reset(self) -> None:
        """End control and leave no hold behind for the next test."""
        with suppress(RPCError):
            await self.control.terminate()
        await eventually(lambda: self._busy.running == 0)
        async with Redis.from_url(self.settings.redis.url.get_secret_value()) as redis:
            await redis.flushall()
        newest = await self.store.holds.newest_version()
        state = ControlState(paused=False, version=newest + 100_000)
        await self.store.holds.record(state, datetime.now(UTC))

    # --- asking -----------------------------------------------------------------------------

    async def state(self) -> ControlState:
        state: ControlState = await self.control.query("is_paused", result_type=ControlState)
        return state

    async def held(self) -> set[str]:
        return {hold.key for hold in (await self.state()).holds}

    async def begin(self, side: Side = Side.BUY, symbol: str = "AAPL") -> Permit | Refusal:
        """Begin a placement as an order would; a permitted one is in flight until ended."""
        remark = remark_of(self._probe, next(self._attempts))
        return await self.flags.begin_placement(remark, side, symbol, 30.0)

    async def may_place(self, side: Side = Side.BUY, symbol: str = "AAPL") -> bool:
        answer = await self.begin(side, symbol)
        if isinstance(answer, Permit):
            await self.flags.end_placement(answer.remark)
        return isinstance(answer, Permit)

    async def until_open(self) -> None:
        await eventually(self.may_place)

    # --- held orders ------------------------------------------------------------------------

    def sleepers(self) -> Worker:
        """The worker of orders that wait to be woken."""
        return Worker(
            self.client,
            task_queue=_SLEEPERS,
            workflows=[SleepingOrder],
            workflow_runner=UnsandboxedWorkflowRunner(),
        )

    async def held_order(self, n: int = 1) -> WorkflowHandle[Any, str]:
        """A row that is HELD, and a workflow that waits for `wake`."""
        order = await self.order(n=n)
        handle: WorkflowHandle[Any, str] = await self.client.start_workflow(
            SleepingOrder.run, id=order.workflow_id, task_queue=_SLEEPERS
        )
        return handle

    async def working_order(self) -> WorkflowHandle[Any, str]:
        """A row that is PLACED, and a workflow that takes signals."""
        order = await self.order(Stage.PLACED)
        handle: WorkflowHandle[Any, str] = await self.client.start_workflow(
            SleepingOrder.run, id=order.workflow_id, task_queue=_SLEEPERS
        )
        return handle

    async def order(self, stage: Stage = Stage.HELD, **changes: Any) -> Order:
        """A row as `admit` writes it, at this stage."""
        request = new_request_id()
        terms = vault_request(**{"request_id": request, **changes})
        now = datetime.now(UTC)
        admitted = await self.store.orders.admit(
            terms,
            workflow_id=order_workflow_id(CHAIN, VAULT, request),
            symbol="AAPL",
            tx_hash="0x" + request[2:][::-1],
            now=now,
        )
        await self.store.orders.update(
            CHAIN,
            VAULT,
            request,
            admitted.version,
            {"stage": stage, "waiting_for": "trading is paused"},
            now=now,
        )
        return await self.store.orders.get(CHAIN, VAULT, request)
