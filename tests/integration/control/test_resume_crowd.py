"""Many held orders, and others that arrive just then: a resume leaves none asleep."""

import asyncio
import sys
import time

import pytest
from temporalio.client import WorkflowHandle

from models.control import HoldCommand
from models.order import Stage
from tests.integration.control.crowd import crowd_at
from tests.integration.control.rig import ControlRig
from tests.waiting import eventually

_LONGEST_SECONDS = 240.0
"""Longer than the timer of an order that a lapsed lease, on a loaded machine, sent away."""
_AT_ONCE = 20


async def _sleepers(rig: ControlRig, count: int) -> list[WorkflowHandle[object, str]]:
    """Held rows whose workflows only wait to be woken: the steps of an order cost far more."""
    found: list[WorkflowHandle[object, str]] = []
    for first in range(0, count, _AT_ONCE):
        numbers = range(first + 1, min(first + _AT_ONCE, count) + 1)
        found += await asyncio.gather(*(rig.held_order(n) for n in numbers))
    return found


@pytest.mark.parametrize(
    ("sleeping", "held", "arriving"),
    [
        pytest.param(470, 30, 10, marks=pytest.mark.timeout(600)),
        pytest.param(0, 5_000, 100, marks=[pytest.mark.soak, pytest.mark.timeout(3000)]),
    ],
)
async def test_resume__many_held_while_others_arrive__leaves_none_asleep(
    rig: ControlRig, sleeping: int, held: int, arriving: int, capsys: pytest.CaptureFixture[str]
) -> None:
    longest = _LONGEST_SECONDS + held / 5
    await rig.switch.pause(HoldCommand(reason="lunch", who="ada"))
    async with crowd_at(rig) as crowd, rig.sleepers():
        sleepers = await _sleepers(rig, sleeping)
        waiting = await crowd.arrive(held)

        async def all_held() -> bool:
            return await crowd.stages(waiting) == {Stage.HELD: held}

        await eventually(all_held, timeout=longest, interval=0.5)
        assert not crowd.placed
        began = time.monotonic()
        late, _ = await asyncio.gather(
            crowd.arrive(arriving), rig.switch.resume(HoldCommand(who="ada"))
        )
        everybody = [*waiting, *late]

        async def all_ended() -> bool:
            return await crowd.stages(everybody) == {Stage.SETTLED: len(everybody)}

        await asyncio.gather(*(sleeper.result() for sleeper in sleepers))
        await eventually(all_ended, timeout=longest, interval=0.5)
        took = time.monotonic() - began
    assert set(crowd.placed) == set(everybody)
    assert set(crowd.placed.values()) == {1}
    with capsys.disabled():
        sys.stdout.write(
            f"\n{sleeping + held} held and {arriving} that arrived: all awake after {took:.1f} s\n"
        )
