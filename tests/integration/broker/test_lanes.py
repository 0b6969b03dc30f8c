"""Lanes that never come up, and what is left of them: nothing."""

import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clients.futu_dial import Dial
from clients.futu_lane import Lane
from clients.futu_link import Link, LinkOptions
from clients.futu_open import Access, ContextOpener
from clients.futu_vendor import Notes, load
from models.errors import SourceUnavailable
from tests.integration.broker.desk import raises, silent_server
from tests.waiting import eventually

ENDS_SECONDS = 5.0
# More than any socket buffer takes.
LARGE = b"x" * 64 * 1024 * 1024


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


class Stage:
    """Connections that come up at once and are lost when the test says so."""

    hint = ""

    def __init__(self) -> None:
        self.ups: list[float] = []
        self.lose: Callable[[], None] = lambda: None

    def create(self, on_lost: Callable[[], None]) -> Any:
        self.lose = on_lost
        return SimpleNamespace(notes=Notes(on_lost=on_lost))

    def connect(self, _context: Any) -> None:
        return

    def changed(self, _link: str, up: bool) -> None:
        if up:
            self.ups.append(time.monotonic())

    async def reconnected(self) -> float:
        """How long it takes after the connection is lost."""
        seen, began = len(self.ups), time.monotonic()
        self.lose()
        await eventually(lambda: len(self.ups) > seen)
        return self.ups[-1] - began


SOUND = 0.5


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    server, playing = await silent_server(), Stage()
    port = int(server.sockets[0].getsockname()[1])
    options = LinkOptions("127.0.0.1", port, 5.0, 5.0, 60.0, sound_after=SOUND)
    link = Link("test", options, lambda _address: playing, lambda _context: None, playing.changed)
    link.start()
    await eventually(lambda: playing.ups)
    yield playing
    await link.close()
    server.close()


async def test_link__short_lives__pause_longer_until_one_lasts(stage: Stage) -> None:
    for pause in (0.2, 0.4, 0.8, 1.6):
        assert await stage.reconnected() >= pause
    await eventually(lambda: time.monotonic() - stage.ups[-1] > 2 * SOUND)
    assert await stage.reconnected() < 1.6


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    with ours, theirs:
        yield ours, theirs


def dial(sock: socket.socket) -> Dial:
    return Dial(SimpleNamespace(_get_conn=lambda number: SimpleNamespace(sock=sock)))


def received(sock: socket.socket) -> int:
    """Bytes until the end. Raises ConnectionError where the other side threw the rest away."""
    count = 0
    while data := sock.recv(1024 * 1024):
        count += len(data)
    return count


def test_close__what_was_not_taken__is_never_delivered() -> None:
    with connected() as (ours, theirs):
        ours.setblocking(False)
        sent = ours.send(LARGE)
        dial(ours).forget_unsent(1)
        ours.close()
        with pytest.raises(ConnectionError):
            assert received(theirs) < sent


def test_close__all_was_taken__is_delivered_to_the_end() -> None:
    with connected() as (ours, theirs):
        ours.sendall(b"order")
        assert theirs.recv(5, socket.MSG_PEEK) == b"order"
        dial(ours).forget_unsent(1)
        ours.close()
        assert received(theirs) == len(b"order")


def test_forget_unsent__no_connection_any_more__is_no_error() -> None:
    Dial(SimpleNamespace(_get_conn=lambda number: None)).forget_unsent(0)
