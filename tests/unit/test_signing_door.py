"""Who may ask the signer, where the kernel says who asks and where it does not."""

import os
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from clients.private import new_secret
from workers.signing_app import Door

TOKEN = new_secret()


def stops(door: Door, shown: str = "") -> str:
    """What it says to a program of our own user at the other end of a Unix socket."""
    near, far = socket.socketpair(socket.AF_UNIX)
    with near, far:
        transport = SimpleNamespace(get_extra_info=lambda _: near)
        headers = {"Authorization": shown} if shown else {}
        request: Any = SimpleNamespace(transport=transport, headers=headers)
        return door.stops(request)


def test_door__our_own_user__comes_in_without_a_token() -> None:
    assert stops(Door("", frozenset(), is_socket=True)) == ""


def test_door__another_user__stays_out_with_the_token_too() -> None:
    door = Door(TOKEN, frozenset({os.geteuid() + 1}), is_socket=True)
    assert "may not ask" in stops(door, f"Bearer {TOKEN}")


def test_door__over_tcp__asks_for_the_token_alone() -> None:
    door = Door(TOKEN, frozenset({os.geteuid() + 1}), is_socket=False)
    assert stops(door, f"Bearer {TOKEN}") == ""
    assert "token" in stops(door)


def test_door__kernel_does_not_say_who_asks__lets_in_by_token_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(socket, "SO_PEERCRED")
    assert "set a token" in stops(Door("", frozenset(), is_socket=True))
    door = Door(TOKEN, frozenset(), is_socket=True)
    assert stops(door, f"Bearer {TOKEN}") == ""
    assert "token" in stops(door)


@pytest.mark.parametrize("shown", ["Bearer \udcff", "bearer {}", "Bearer  {}"])
def test_door__token_in_other_words__is_a_wrong_one(shown: str) -> None:
    assert "token" in stops(Door(TOKEN, frozenset(), is_socket=False), shown.format(TOKEN))
