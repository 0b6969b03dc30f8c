"""Pauses at random moments: after one has returned no placement begins, whatever goes wrong."""

import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from bronco.stack import stack
from clients.flags import Flags
from models.order import OrderStatus, Reason
from tests.e2e.desk import ONE_SHARE, Desk, brief, opened, options
from tests.e2e.pauses import Pausing, inside, troubles, unnamed

_ALREADY_WAITING = 4
# Only the placing process may stand still: whoever answers for control must not.
_ROLES = {"worker": ("orders",), "placer": ("broker",), "watcher": ("watch",)}
# Time between permit and send, in which that process is stopped.
_GAP_SECONDS = "0.05"


@pytest_asyncio.fixture(scope="module")
async def paused_desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    home = tmp_path_factory.mktemp("pauses")
    # The book is read as often as in production: after a thousand orders each read costs.
    chosen = options(home, broker_place_gap_seconds=_GAP_SECONDS, broker_poll_seconds="3.5")
    async with (
        stack(replace(chosen, real_redis=True, workers=_ROLES)) as running,
        opened(running) as desk,
    ):
        yield desk


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(50, marks=pytest.mark.timeout(600)),
        pytest.param(1000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
async def test_pauses__at_random_moments__no_placement_begins_after_one_has_returned(
    paused_desk: Desk, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    desk, dice = paused_desk, random.Random(count)
    flags = Flags(desk.stack.redis.url)
    drill = Pausing(desk, flags, dice)
    drill.made += await desk.deposits(_ALREADY_WAITING, ONE_SHARE)
    for trouble in troubles(count, dice):
        await drill.one(trouble)
    await flags.close()

    pauses, arrived = desk.play.pauses[-count:], await desk.control.placements()
    assert len(pauses) == count
    assert list(unnamed(pauses, arrived)) == []
    assert drill.begun_inside == []
    rows = await desk.all_at_their_end(drill.made, seconds=180)
    others = [row for row in rows if row.status is not OrderStatus.EXECUTED]
    assert [brief(row) for row in others if row.reason is not Reason.PROVEN_ABSENT] == []
    _tell(drill, capsys, len(inside(pauses, arrived)))
    assert drill.caught, "no process was stopped with a permit in its hand"
    if count >= 1000:
        assert drill.quantile(0.99) <= 1.0
    await desk.calm()
    await desk.prove()


def _tell(drill: Pausing, capsys: pytest.CaptureFixture[str], named: int) -> None:
    each = Counter({trouble.name: len(took) for trouble, took in drill.took.items()})
    worst = {trouble.name: round(max(took), 2) for trouble, took in drill.took.items()}
    with capsys.disabled():
        sys.stdout.write(
            f"\n{sum(each.values())} pauses {dict(each)}, {len(drill.made)} orders, "
            f"{len(drill.caught)} caught with a permit, {named} sent inside a pause and named; "
            f"p50 {drill.quantile(0.5):.2f} s, p99 {drill.quantile(0.99):.2f} s, most {worst}, "
            f"over a second {dict(drill.slow)}\n"
        )
