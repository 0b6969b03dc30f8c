"""One server and one set of workers for all order workflow tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from tests.skipping import new_environment
from tests.workflow.desk import QUEUE_UNCACHED, Desk, open_desk


@pytest_asyncio.fixture(scope="package")
async def order_env() -> AsyncIterator[WorkflowEnvironment]:
    """A server of their own: no clock jumps where another test left an activity running."""
    async with await new_environment() as environment:
        yield environment


@pytest_asyncio.fixture(scope="package")
async def workers(order_env: WorkflowEnvironment) -> AsyncIterator[Desk]:
    async with open_desk(order_env) as made:
        yield made


@pytest.fixture
def desk(workers: Desk) -> Desk:
    workers.queue = "bronco"
    return workers


@pytest.fixture(params=["cached", "uncached"])
def any_desk(desk: Desk, request: pytest.FixtureRequest) -> Desk:
    """The desk twice: also where each workflow task replays everything before it."""
    desk.queue = QUEUE_UNCACHED if request.param == "uncached" else desk.queue
    return desk
