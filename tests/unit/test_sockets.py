"""The fence of this tier holds."""

import socket

import pytest
from pytest_socket import SocketBlockedError


def test_unit_tier__opens_a_socket__is_stopped() -> None:
    with pytest.raises(SocketBlockedError):
        socket.create_connection(("127.0.0.1", 9))
