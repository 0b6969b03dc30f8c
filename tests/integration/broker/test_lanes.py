"""Lanes that never come up, and what is left of them: nothing."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients.futu_lane import Lane
from clients.futu_open import Access, ContextOpener
from clients.futu_vendor import load
from models.errors import SourceUnavailable
from tests.integration.broker.desk import raises
from tests.waiting import eventually

ENDS_SECONDS = 5.0


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port that listens and takes nobody any more: a connect to it hangs, unanswered."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
        try:
            yield int(listening.getsockname()[1])
        finally:
            for each in waiting:
                each.close()


def opener(address: str, port: int, log_home: Path) -> ContextOpener:
    load(log_home, None)
    return ContextOpener(address, Access(port, 0, "SIMULATE", 0.5, log_home))


async def gives_up_and_ends(lane: Lane) -> None:
    await raises(SourceUnavailable, lane.open(0.3))
    await eventually(lane.ended.is_set, timeout=ENDS_SECONDS)
    await eventually(
        lambda: not any(t.name.endswith(f"-{lane.name}") for t in threading.enumerate())
    )


async def test_open__connect_hangs_without_an_answer__the_thread_ends(log_home: Path) -> None:
    with full_backlog() as port:
        await gives_up_and_ends(Lane("backlog", opener("127.0.0.1", port, log_home)))


@pytest.mark.parametrize("address", ["255.255.255.255", "::1"])
async def test_open__connect_raises_at_once__the_thread_ends(log_home: Path, address: str) -> None:
    """Only a host that changes between our look and the vendor's gets there."""
    await gives_up_and_ends(Lane("raises", opener(address, 11111, log_home)))
