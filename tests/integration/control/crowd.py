"""Orders in crowds: their real workflows, gate and rows on the rig's control; the rest is faked."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from models.control import Refusal
from models.messages import (
    CloseInput,
    CloseResult,
    PlaceOrderInput,
    PlaceOrderResult,
    PlaceOutcome,
    RecordStageInput,
)
from models.order import OrderStatus, Stage
from models.requests import QUEUE_CONTROL, QUEUE_MAIN, QUEUE_PLACE, VaultStatus, remark_of
from tests.builders import not_placed, order_request
from tests.contracts.builders import CHAIN, VAULT, new_request_id, vault_request
from tests.fakes import FakeOrders, World
from tests.integration.control.rig import ControlRig
from workflows.deposit import DepositWorkflow

_NEVER = 86_400.0
_AT_ONCE = 20


class Crowd(FakeOrders):
    """Places by the rig's lease and holds, and keeps rows; whoever is not woken sleeps a day."""

    def __init__(self, rig: ControlRig) -> None:
        super().__init__()
        self._rig = rig
        self._numbers = itertools.count(1)
        self.placed: Counter[str] = Counter()

    async def arrive(self, count: int) -> list[str]:
        """So many deposits come, each with a row and a workflow."""
        ids = [new_request_id() for _ in range(count)]
        for first in range(0, count, _AT_ONCE):
            page = ids[first : first + _AT_ONCE]
            await asyncio.gather(*(self._start(request_id) for request_id in page))
        return ids

    async def _start(self, request_id: str) -> None:
        n = next(self._numbers)
        deadline = int(datetime.now(UTC).timestamp() + _NEVER)
        terms = vault_request(n, request_id=request_id, deadline=deadline)
        world = World(order_request(n, request_id=request_id), terms, self._rig.client)
        world.set_policy(gate_backstop=_NEVER / 2, backstop=_NEVER / 2)
        world.place_default = self._place
        self.worlds[request_id] = world
        await self._rig.store.orders.admit(
            terms,
            workflow_id=world.workflow_id,
            symbol="AAPL",
            tx_hash="0x" + request_id[2:][::-1],
            now=datetime.now(UTC),
        )
        await self._rig.client.start_workflow(
            DepositWorkflow.run, world.request, id=world.workflow_id, task_queue=QUEUE_MAIN
        )

    async def _place(self, message: PlaceOrderInput) -> PlaceOrderResult:
        request = message.request
        remark = remark_of(request.request_id, message.attempt)
        flags = self._rig.flags
        asked = await flags.begin_placement(remark, request.side, "AAPL", 20.0)
        if isinstance(asked, Refusal):
            retry = 0.0 if asked.holds else 5.0
            return not_placed(PlaceOutcome.HELD, detail=asked.reason, retry_seconds=retry)
        self.placed[request.request_id] += 1
        await flags.end_placement(remark)
        # What follows a placement is tested elsewhere: this one has been settled by the next look.
        await self.worlds[request.request_id].end(VaultStatus.SETTLED, tell=False)
        return not_placed(PlaceOutcome.ENDED)

    @activity.defn(name="record_stage")
    async def record_stage(self, message: RecordStageInput) -> None:
        await self._rig.store.orders.update(
            CHAIN,
            VAULT,
            message.request.request_id,
            message.version,
            {"stage": message.stage, "waiting_for": message.waiting_for},
            now=datetime.now(UTC),
        )

    @activity.defn(name="close_order")
    async def close_order(self, message: CloseInput) -> CloseResult:
        closed: CloseResult = await super().close_order(message)
        if closed.closed:
            await self._rig.store.orders.update(
                CHAIN,
                VAULT,
                message.request.request_id,
                message.version,
                {"stage": closed.stage, "status": OrderStatus.EXECUTED},
                now=datetime.now(UTC),
            )
        return closed

    async def stages(self, ids: Sequence[str]) -> Counter[Stage]:
        """How many of them are where."""
        rows = (await self._rig.store.review.requests(CHAIN, VAULT, ids)).rows
        return Counter(row.stage for row in rows)


@asynccontextmanager
async def crowd_at(rig: ControlRig) -> AsyncIterator[Crowd]:
    """Workers of the orders, for as long as the crowd is there."""
    crowd = Crowd(rig)
    queues: dict[str, dict[str, Any]] = {
        QUEUE_MAIN: {"activities": crowd.on_main, "workflows": [DepositWorkflow]},
        QUEUE_PLACE: {"activities": crowd.on_place},
        QUEUE_CONTROL: {"activities": crowd.on_control},
    }
    async with AsyncExitStack() as stack:
        for queue, work in queues.items():
            worker = Worker(
                rig.client,
                task_queue=queue,
                # What the sandbox forbids is tested elsewhere; thousands of runs are slow in it.
                workflow_runner=UnsandboxedWorkflowRunner(),
                max_cached_workflows=10_000,
                graceful_shutdown_timeout=timedelta(0),
                **work,
            )
            await stack.enter_async_context(worker)
        yield crowd
