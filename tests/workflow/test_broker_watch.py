"""The watcher's workflow: one activity for ever, what it said, and a history that stays short."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from models.requests import QUEUE_WATCH
from models.watch import BrokerWatchCarry, BrokerWatchStatus, WatchBrokerInput
from tests.waiting import eventually
from workers.runner import sandbox
from workflows.broker_watch import BrokerWatchWorkflow

Handle = WorkflowHandle[Any, Any]
CARRY = BrokerWatchCarry(watch=WatchBrokerInput(list_seconds=3.0, snapshot_seconds=9.0))


@dataclass
class FakeWatch:
    """The activity under its real name; runs until cancelled or told to fail."""

    inputs: list[WatchBrokerInput] = field(default_factory=list)
    failures: int = 0
    cancelled: int = 0

    @activity.defn(name="watch_broker")
    async def watch_broker(self, message: WatchBrokerInput) -> None:
        self.inputs.append(message)
        if self.failures:
            self.failures -= 1
            raise ApplicationError("the worker stops", type="WorkerShutdown")
        try:
            while True:
                activity.heartbeat()
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@pytest.fixture
def fake() -> FakeWatch:
    return FakeWatch()


@asynccontextmanager
async def running(env: WorkflowEnvironment, fake: FakeWatch) -> AsyncIterator[Handle]:
    async with Worker(
        env.client,
        task_queue=QUEUE_WATCH,
        workflows=[BrokerWatchWorkflow],
        activities=[fake.watch_broker],
        workflow_runner=sandbox(),
    ):
        handle = await env.client.start_workflow(
            BrokerWatchWorkflow.run, CARRY, id="broker-watch-test", task_queue=QUEUE_WATCH
        )
        yield handle
        await handle.terminate()


@pytest_asyncio.fixture
async def watch(env: WorkflowEnvironment, fake: FakeWatch) -> AsyncIterator[Handle]:
    async with running(env, fake) as handle:
        yield handle


async def status_of(watch: Handle) -> BrokerWatchStatus:
    status: BrokerWatchStatus = await watch.query("status", result_type=BrokerWatchStatus)
    return status


async def test_watch__started__runs_the_activity_with_its_pace(
    watch: Handle, fake: FakeWatch
) -> None:
    await eventually(lambda: fake.inputs == [CARRY.watch])
    status = await status_of(watch)
    assert (status.watching, status.problem) == (True, "not asked yet")


async def test_watch__activity_fails_again_and_again__is_run_again(
    env: WorkflowEnvironment, fake: FakeWatch
) -> None:
    fake.failures = 4
    async with running(env, fake):
        await eventually(lambda: len(fake.inputs) == 5)


async def test_link__broker_comes_and_goes__status_and_outages_follow(watch: Handle) -> None:
    for problem, since in (("", "t1"), ("OpenD is gone", "t2"), ("still gone", "t3"), ("", "t4")):
        await watch.signal("link", args=[problem, since])

    async def is_back() -> bool:
        return (await status_of(watch)).since == "t4"

    await eventually(is_back)
    assert await status_of(watch) == BrokerWatchStatus(
        watching=True, problem="", since="t4", outages=1
    )


@pytest.mark.parametrize("args", [[], [None], [5], [{"a": 1}, 2], ["x", "y", "z", "more"]])
async def test_link__any_input_by_hand__never_stops_the_workflow(
    watch: Handle, args: list[Any]
) -> None:
    await watch.signal("link", args=args)
    await watch.signal("link", args=["", "later"])

    async def answered() -> bool:
        return (await status_of(watch)).since == "later"

    await eventually(answered)


async def test_run__history_grew_long__begins_anew_with_what_it_knew(
    watch: Handle, fake: FakeWatch
) -> None:
    first = (await watch.describe()).run_id
    await eventually(lambda: len(fake.inputs) == 1)
    for number in range(30):
        await asyncio.gather(
            *(watch.signal("link", args=["gone", f"{number}-{each}"]) for each in range(150))
        )
        if (await watch.describe()).run_id != first:
            break
    await watch.signal("link", args=["gone", "last"])

    async def anew() -> bool:
        return (await watch.describe()).run_id != first and len(fake.inputs) == 2

    await eventually(anew, timeout=60)
    await eventually(lambda: fake.cancelled == 1)
    assert fake.inputs[1] == CARRY.watch

    async def remembers() -> bool:
        status = await status_of(watch)
        return (status.problem, status.since, status.outages) == ("gone", "last", 0)

    await eventually(remembers)


async def test_run__recorded_history__replays(watch: Handle, fake: FakeWatch) -> None:
    await eventually(lambda: fake.inputs)
    await watch.signal("link", args=["gone", "t1"])
    await status_of(watch)
    history = await watch.fetch_history()
    replayer = Replayer(
        workflows=[BrokerWatchWorkflow],
        workflow_runner=sandbox(),
        data_converter=watch._client.data_converter,
    )
    assert (await replayer.replay_workflow(history)).replay_failure is None
