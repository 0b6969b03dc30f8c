"""One client connection: its identity, what it subscribed to, and its way out."""

import asyncio
import itertools
import secrets
import time

from simulators.opend import protocol
from simulators.opend.faults import Faults
from simulators.opend.schema import Message

INIT_CONNECT = protocol.INIT_CONNECT


class Link:
    """State of a connection, and sending on it. While frozen, what is sent waits."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        cipher: protocol.Cipher,
        faults: Faults,
    ) -> None:
        self.reader, self._writer, self.cipher, self._faults = reader, writer, cipher, faults
        # Any 64-bit number; real ones are as large.
        self.conn_id = secrets.randbits(62) | 1
        self.opened_at = self.heard_at = time.monotonic()
        self.ready = False
        self.client_id = ""
        self.accounts: set[int] = set()
        self.packets: set[int] = set()
        self.quotes: set[tuple[str, int]] = set()  # code, Qot_Common.SubType
        self.pushed_quotes: set[tuple[str, int]] = set()
        self._push_serial = itertools.count(1)
        self._waiting: list[bytes] = []

    @property
    def peer(self) -> str:
        """Client address, for the log."""
        address = self._writer.get_extra_info("peername") or ("?", 0)
        return f"{address[0]}:{address[1]}"

    @property
    def closing(self) -> bool:
        """Whether it is being torn down."""
        return self._writer.is_closing()

    def answer(self, number: int, serial: int, message: Message, garbled: bool = False) -> None:
        """Sends a response under its request's serial; garbled: its body is not what was hashed."""
        packet = protocol.pack(number, serial, message.SerializeToString(), self.cipher)
        self._send(_garbled(packet) if garbled else packet)
        if number == INIT_CONNECT and self.cipher.available and self.ready:
            self.cipher.start_aes()

    def push(self, number: int, message: Message) -> None:
        """Sends something nobody asked for just now."""
        body = message.SerializeToString()
        self._send(protocol.pack(number, next(self._push_serial), body, self.cipher))

    def thaw(self) -> None:
        """Sends what waited while frozen."""
        waiting, self._waiting = self._waiting, []
        for packet in waiting:
            self._send(packet)

    def cut(self) -> None:
        """Drops the connection at once, unsent bytes included."""
        self._writer.transport.abort()

    def hang_up(self) -> None:
        """Drops the connection after what has been sent."""
        self._writer.close()

    def _send(self, packet: bytes) -> None:
        if self._faults.is_on("frozen"):
            self._waiting.append(packet)
        elif not self.closing:
            self._writer.write(packet)


def _garbled(packet: bytes) -> bytes:
    return packet[:-1] + bytes([packet[-1] ^ 1])
