"""The one thread of a lane, around a context that only pretends."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from clients.futu_lane import Lane
from clients.futu_vendor import Notes
from models.errors import SourceUnavailable
from tests.waiting import eventually


class Connected:
    """Opens at once."""

    hint = ""

    def create(self, on_lost: Callable[[], None]) -> Any:
        return SimpleNamespace(notes=Notes(on_lost=on_lost))

    def connect(self, context: Any) -> None:
        context.status = "READY"


async def test_call__gave_up_while_it_queued__the_lane_is_idle_again() -> None:
    lane = Lane("test", Connected())
    await lane.open(5)
    gate = threading.Event()
    first = lane.submit(lambda _context: gate.wait(5))
    await eventually(lambda: first.started)
    asked: list[str] = []
    with pytest.raises(SourceUnavailable):
        await lane.call("asking", lambda _context: asked.append("second"), 0.01)
    assert not lane.idle
    gate.set()
    await eventually(lambda: lane.idle)
    assert (asked, lane.lost.is_set()) == ([], False)
    assert await lane.call("asking", lambda _context: "third", 5) == "third"
    lane.retire()
    await eventually(lane.ended.is_set)
