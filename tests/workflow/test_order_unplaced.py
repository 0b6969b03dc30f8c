"""Nobody works beside the broker: an order that no worker takes still ends in time."""

from collections.abc import AsyncIterator

import pytest_asyncio

from models.order import Reason, Stage
from models.records import ItemKind
from models.requests import VaultStatus
from tests.skipping import new_environment
from tests.workflow.desk import Desk, open_desk


@pytest_asyncio.fixture
async def lonely() -> AsyncIterator[Desk]:
    async with await new_environment() as env, open_desk(env, placing=False) as desk:
        yield desk


async def test_placing__no_worker_until_the_deadline__is_refunded(lonely: Desk) -> None:
    world = await lonely.world(deadline=int(await lonely.now()) + 600)
    world.set_policy(place_timeout=0.1)
    outcome = await lonely.carry(world)
    assert outcome.status is VaultStatus.REFUNDED
    assert world.item_kinds == [(ItemKind.REFUND, Reason.DEADLINE)]
    assert world.shown[0][0] is Stage.HELD
    assert "resolve_placement" not in world.names
