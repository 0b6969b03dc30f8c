"""A way out of the vendor's connect, in which its constructor may otherwise wait for ever."""

import fcntl
import socket
import struct
import termios
from contextlib import suppress
from typing import Any


class Dial:
    """Stands before the vendor's network manager and remembers who waits to be connected.

    Closing a context while it connects drops the socket but never tells the constructor, and a
    connect that raises at once is told to a callback with one argument too few. Both leave its
    thread waiting without a timeout (network_manager.py of 10.11.7108).
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._waiting: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    def connect(self, *where: Any, **how: Any) -> Any:
        """The vendor's own; called under the context's lock, as close() is."""
        code, info = self._manager.connect(*where, **how)
        self._waiting = info
        return code, info

    def forget_unsent(self, number: int) -> None:
        """Before close(): what OpenD's machine has not taken yet is never delivered.

        A closed socket goes on sending for minutes; an order would arrive when the network is back,
        when nobody waits for it any more. https://man7.org/linux/man-pages/man7/tcp.7.html
        (SIOCOUTQ), https://man7.org/linux/man-pages/man7/socket.7.html (SO_LINGER).
        """
        # The socket may be closed by now, and then has nothing.
        with suppress(AttributeError, OSError, ValueError):
            sock = self._manager._get_conn(number).sock
            (left,) = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))
            if left:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def give_up(self) -> None:
        """Let whoever still waits go on, as if the connection had failed. After close() only."""
        info = self._waiting
        if info is not None and info.is_sync and not info.event.is_set():
            info.set_result(type(info.err).CallClose, "closed while connecting")
            info.notify_finish()
