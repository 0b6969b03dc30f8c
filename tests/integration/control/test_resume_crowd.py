"""Many held orders, and others that arrive just then: a resume leaves none asleep."""

import asyncio
import sys
import time

import pytest

from models.control import HoldCommand
from models.order import Stage
from tests.integration.control.crowd import crowd_at
from tests.integration.control.rig import ControlRig
from tests.waiting import eventually

_LONGEST_SECONDS = 1_200.0
"""Longer than the timer of any order that the lease's absence, on a loaded machine, sent away."""


@pytest.mark.parametrize(
    ("held", "arriving"),
    [
        pytest.param(500, 20, marks=pytest.mark.timeout(600)),
        pytest.param(5_000, 100, marks=[pytest.mark.soak, pytest.mark.timeout(3000)]),
    ],
)
async def test_resume__many_held_while_others_arrive__leaves_none_asleep(
    rig: ControlRig, held: int, arriving: int, capsys: pytest.CaptureFixture[str]
) -> None:
    await rig.switch.pause(HoldCommand(reason="lunch", who="ada"))
    async with crowd_at(rig) as crowd:
        began = time.monotonic()
        waiting = await crowd.arrive(held)

        async def all_held() -> bool:
            return await crowd.stages(waiting) == {Stage.HELD: held}

        await eventually(all_held, timeout=_LONGEST_SECONDS, interval=1.0)
        assert not crowd.placed
        resumed = time.monotonic()
        late, _ = await asyncio.gather(
            crowd.arrive(arriving), rig.switch.resume(HoldCommand(who="ada"))
        )
        everybody = [*waiting, *late]

        async def all_ended() -> bool:
            return await crowd.stages(everybody) == {Stage.SETTLED: len(everybody)}

        await eventually(all_ended, timeout=_LONGEST_SECONDS, interval=1.0)
        ended = time.monotonic()
    assert set(crowd.placed) == set(everybody)
    assert set(crowd.placed.values()) == {1}
    with capsys.disabled():
        sys.stdout.write(
            f"\n{held} held in {resumed - began:.1f} s; with {arriving} that arrived they had all "
            f"ended {ended - resumed:.1f} s after the resume\n"
        )
