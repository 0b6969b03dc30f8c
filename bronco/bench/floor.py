"""The floor: workflows that do nothing, in as many steps as an order has.

Run as a process of its own, like a worker: `python -m bronco.bench.floor ADDRESS`.
"""

import asyncio
import sys
import time
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

QUEUE = "bench-floor"
ACTIVITIES = 4
SIGNALS = 2
AT_ONCE = 50
_STEP = timedelta(seconds=10)
_BACKSTOP = timedelta(seconds=60)


@activity.defn(name="floor_step")
async def floor_step(text: str) -> str:
    """Nothing."""
    return text


@workflow.defn(name="FloorWorkflow")
class FloorWorkflow:
    """Two activities, a signal, an activity, a signal, an activity: an order without its work."""

    def __init__(self) -> None:
        self._signals = 0

    @workflow.signal(name="go")
    def go(self, *args: Any) -> None:
        """One of the two."""
        self._signals += 1

    @workflow.run
    async def run(self, text: str) -> str:
        """Step through."""
        await self._step(text)
        await self._step(text)
        await self._wait(1)
        await self._step(text)
        await self._wait(2)
        return await self._step(text)

    async def _step(self, text: str) -> str:
        return await workflow.execute_activity(floor_step, text, start_to_close_timeout=_STEP)

    async def _wait(self, signals: int) -> None:
        await workflow.wait_condition(lambda: self._signals >= signals, timeout=_BACKSTOP)


async def measure(client: Client, count: int) -> float:
    """Workflows per second, AT_ONCE at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with gate:
            handle = await client.start_workflow(
                FloorWorkflow.run, "x" * 200, id=f"floor-{number}", task_queue=QUEUE
            )
            for _ in range(SIGNALS):
                await handle.signal(FloorWorkflow.go)
            await handle.result()

    began = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(count)))
    return count / (time.monotonic() - began)


async def _serve(address: str) -> None:
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    worker = Worker(
        client,
        task_queue=QUEUE,
        workflows=[FloorWorkflow],
        activities=[floor_step],
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
    )
    await worker.run()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
