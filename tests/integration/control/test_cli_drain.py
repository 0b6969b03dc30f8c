"""`bronco drain`: begins, tells numbers until nothing is under way, and ends."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from models.control import Permit
from models.order import Order, Stage
from tests.contracts.builders import CHAIN, VAULT
from tests.integration.control.rig import ControlRig
from tests.shell import Shell
from tests.waiting import eventually


@pytest.fixture
def bronco(rig: ControlRig, tmp_path: Path) -> Shell:
    return Shell(tmp_path, rig.settings.environment())


@pytest_asyncio.fixture
async def working(rig: ControlRig) -> AsyncIterator[Order]:
    """One order at the broker, and none else anywhere that a drain waits for."""
    for _, workflow_id in await rig.store.orders.working(None, "", 0, 500):
        await _end(rig, workflow_id)
    order = await rig.order(Stage.PLACED)
    yield order
    await _end(rig, order.workflow_id)


async def _end(rig: ControlRig, workflow_id: str) -> None:
    """Write the row's end, newer than whatever is on it."""
    request_id = workflow_id.rpartition("-")[2]
    row = await rig.store.orders.get(CHAIN, VAULT, request_id)
    changes = {"stage": Stage.SETTLED}
    await rig.store.orders.update(
        CHAIN, VAULT, request_id, row.version + 1, changes, now=datetime.now(UTC)
    )


async def test_drain__until_nothing_is_under_way__ends_well(
    bronco: Shell, rig: ControlRig, working: Order
) -> None:
    draining = asyncio.create_task(bronco("drain", "--reason", "upgrade"))

    async def is_on() -> bool:
        return await rig.held() == {"drain"}

    await eventually(is_on)
    assert not await rig.may_place()
    await _end(rig, working.workflow_id)
    ran = await draining
    assert ran.code == 0, ran.error
    assert "nothing is under way" in ran.out
    assert await rig.held() == {"drain"}
    ended = await bronco("drain", "--end")
    assert (ended.code, await rig.held()) == (0, set())
    await rig.until_open()


async def test_drain__time_is_up__says_so_and_stays_on(
    bronco: Shell, rig: ControlRig, working: Order
) -> None:
    ran = await bronco("drain", "--timeout", "0.1", "--json")
    assert ran.code == 3
    assert "the drain stays on" in ran.error
    seen = json.loads(ran.out)
    assert (seen["working"], seen["empty"]) == (1, False)
    assert await rig.held() == {"drain"}


async def test_drain__interrupted__stays_on_and_says_so(
    rig: ControlRig, tmp_path: Path, working: Order
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bronco", "drain", "--reason", "upgrade"),
        env=rig.settings.environment(),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert b"draining" in await process.stdout.readline()
    assert b"1 at the broker" in await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, error = await process.communicate()
    assert process.returncode == 130
    assert b"the drain stays on" in error
    assert b"Traceback" not in error
    assert await rig.held() == {"drain"}


async def test_drain__placement_in_flight__is_not_zero(bronco: Shell, rig: ControlRig) -> None:
    permit = await rig.begin()
    assert isinstance(permit, Permit)
    ran = await bronco("drain", "--timeout", "0.1", "--json")
    assert json.loads(ran.out)["placing"] >= 1
    assert ran.code == 3
    await rig.flags.end_placement(permit.remark)
