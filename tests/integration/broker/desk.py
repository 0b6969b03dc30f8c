"""A simulator, and the broker client connected to it over TCP."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from Crypto.PublicKey import RSA

from bronco.processes import free_port
from bronco.trading import BrokerSettings, TradingEnvironment
from clients.broker import BrokerClient
from clients.private import write_private
from clients.unlocking import sealed_unlock
from models.broker import BrokerOrder, OrderTicket
from models.requests import Side, remark_of
from simulators.opend.control import SimulatorControl, VenueOrder
from simulators.opend.options import OpenDOptions
from simulators.opend.server import OpenDServer
from tests.waiting import eventually

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)
# The vendor looks for overdue answers once a second: an answer is given up after 0.5 to 1.5 s.
CALL_SECONDS = 0.5
SURELY_GIVEN_UP = 3.0
ACCOUNT, REAL_ACCOUNT = 1002, 281756479999
_numbers = itertools.count(1)


@dataclass
class Desk:
    """Both sides of the wire, and every push that arrived."""

    server: OpenDServer
    control: SimulatorControl
    client: BrokerClient
    pushes: list[BrokerOrder] = field(default_factory=list)

    async def placed(self, remark: str) -> list[VenueOrder]:
        """The broker's own record of a remark."""
        return [order for order in await self.control.orders() if order.remark == remark]

    async def healthy(self) -> bool:
        return self.client.healthy

    async def down(self) -> bool:
        return not self.client.healthy


def settings(port: int, **changes: Any) -> BrokerSettings:
    return BrokerSettings(
        port=port,
        **{
            "connect_timeout_seconds": 3.0,
            "call_timeout_seconds": CALL_SECONDS,
            "account_id": ACCOUNT,
        }
        | changes,
    )


def real_settings(
    port: int, home: Path, password: str = "123456", **changes: Any
) -> BrokerSettings:
    """All that trading for real money takes; the simulator's own password unless said otherwise."""
    return settings(
        port,
        **{
            "account_id": REAL_ACCOUNT,
            "environment": TradingEnvironment.REAL,
            "real_trading": f"yes-{REAL_ACCOUNT}",
            "unlock_file": _private(home / "unlock.json", sealed_unlock(password, "of the file")),
            "unlock_password_file": _private(home / "unlock.password", "of the file\n"),
        }
        | changes,
    )


def _private(path: Path, text: str) -> Path:
    write_private(path, text, path.name)
    return path


def ticket(quantity: int = 3, price: str = "195", side: Side = Side.BUY) -> OrderTicket:
    """A limit order with a remark of its own; the default price fills at once."""
    remark = remark_of(f"0x{next(_numbers):064x}", 1)
    return OrderTicket(
        remark=remark, symbol="AAPL", side=side, quantity=quantity, price=Decimal(price)
    )


def resting(quantity: int = 3) -> OrderTicket:
    """A buy too low to fill."""
    return ticket(quantity, "150")


async def raises(kind: type[E], doing: Awaitable[Any]) -> tuple[E, float]:
    """The error, and how long it took."""
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        await doing
    return caught.value, time.monotonic() - began


def rsa_key(path: Path, bits: int = 1024) -> Path:
    """A new key as OpenD wants it."""
    path.touch(mode=0o600)
    path.write_bytes(RSA.generate(bits).export_key("PEM", pkcs=1))
    return path


@asynccontextmanager
async def simulator(**options: Any) -> AsyncIterator[OpenDServer]:
    quiet: dict[str, Any] = {
        "port": free_port(),
        "control_port": 0,
        "quiet": True,
        "price_interval_seconds": 0,
    }
    server = OpenDServer(OpenDOptions(**quiet | {"limits": False, "partial_rate": 0.0} | options))
    await server.start()
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def client_of(settings: BrokerSettings, log_home: Path) -> AsyncIterator[BrokerClient]:
    client = BrokerClient(settings, log_home=log_home)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def open_desk(
    log_home: Path, *, call_seconds: float = CALL_SECONDS, **options: Any
) -> AsyncIterator[Desk]:
    """call_seconds: the client's bound of one call; options: the simulator's."""
    async with (
        simulator(**options) as server,
        client_of(settings(server.port, call_timeout_seconds=call_seconds), log_home) as client,
    ):
        desk = Desk(server, SimulatorControl(server.control_port), client)
        client.on_order(desk.pushes.append)
        await eventually(desk.healthy)
        yield desk


async def silent_server() -> asyncio.Server:
    """Takes connections and never says a word, on a port that another may listen on later."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    return await asyncio.start_server(swallow, "127.0.0.1", free_port())
