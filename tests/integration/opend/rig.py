"""A simulator and the unmodified futu-api against it."""

import asyncio
import importlib
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from tempfile import mkdtemp
from typing import Any

from bronco.processes import free_port
from simulators.opend.control import SimulatorControl, VenueOrder
from simulators.opend.options import OpenDOptions
from simulators.opend.server import OpenDServer

ACCOUNT, REAL_ACCOUNT = 1002, 281756479999
OK, ERROR = 0, -1
TIMEOUT, DISCONNECT = "PacketErr.Timeout", "Disconnect"
# The client gives a request 12 s; nothing public shortens it. Two tests keep the 12 s.
SHORT_QUERY_SECONDS = 1.0


@cache
def futu() -> Any:
    """The package, without its log under the user's $HOME and its grip on SIGINT."""
    loaded: list[Any] = []
    home = os.environ.get("HOME")
    os.environ["HOME"] = mkdtemp(prefix="futu-home-")
    try:
        thread = threading.Thread(target=lambda: loaded.append(importlib.import_module("futu")))
        thread.start()  # off the main thread it leaves SIGINT alone
        thread.join()
    finally:
        if home is not None:
            os.environ["HOME"] = home
    package = loaded[0]
    package.SysConfig.set_all_thread_daemon(True)
    for name in ("FTFileLog", "FTConsoleLog"):
        logging.getLogger(name).handlers = [logging.NullHandler()]
    return package


def connect(make: Callable[[], Any], seconds: float = 10) -> Any:
    """Constructs a context, which would wait for ever on its own."""
    made: list[Any] = []
    thread = threading.Thread(target=lambda: made.append(make()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert made, f"futu-api did not connect within {seconds} s"
    return made[0]


def trade_context(port: int) -> Any:
    """A US securities context whose calls are bounded."""
    package = futu()
    context = connect(
        lambda: package.OpenSecTradeContext(
            filter_trdmarket=package.TrdMarket.US,
            host="127.0.0.1",
            port=port,
            is_encrypt=False,
        )
    )
    context.set_sync_query_connect_timeout(2)
    context._query_timeout = SHORT_QUERY_SECONDS
    return context


@dataclass
class Rig:
    """One simulator, one trade context, and the order pushes that arrived."""

    server: OpenDServer
    control: SimulatorControl
    context: Any = None
    pushes: list[dict[str, Any]] = field(default_factory=list)

    async def ask(self, method: str, *args: Any, **kwargs: Any) -> tuple[int, Any]:
        """A call of the paper account on the context, in a thread."""
        kwargs = {"trd_env": "SIMULATE", "acc_id": ACCOUNT, **kwargs}
        answer = await asyncio.to_thread(getattr(self.context, method), *args, **kwargs)
        return answer[0], answer[1]

    async def run(self, method: Callable[..., Any], *args: Any) -> Any:
        """Any blocking call: the simulator lives on this loop and must not be kept from it."""
        return await asyncio.to_thread(method, *args)

    async def rows(self, method: str, **kwargs: Any) -> list[dict[str, Any]]:
        """A query that must succeed."""
        code, answer = await self.ask(method, **kwargs)
        assert code == OK, answer
        found: list[dict[str, Any]] = answer.to_dict("records")
        return found

    async def place(
        self, quantity: Any = 10, price: Any = 195, side: str = "BUY", **kwargs: Any
    ) -> tuple[int, Any]:
        """A limit order for AAPL; the default price fills at once."""
        return await self.ask("place_order", price, quantity, "US.AAPL", side, **kwargs)

    async def placed(self, **kwargs: Any) -> str:
        """The id of an order that must be accepted."""
        code, answer = await self.place(**kwargs)
        assert code == OK, answer
        return str(answer["order_id"][0])

    async def modify(self, order_id: str, operation: str, quantity: Any = 0, price: Any = 0) -> Any:
        return await self.ask("modify_order", operation, order_id, quantity, price)

    async def order(self, order_id: str) -> VenueOrder:
        """The broker's own record."""
        return next(o for o in await self.control.orders() if o.id == order_id)

    async def is_at(self, order_id: str, status: str) -> bool:
        return (await self.order(order_id)).status == status

    async def listed(self, **kwargs: Any) -> list[str]:
        """Ids in the client's order list, asked of the venue."""
        rows = await self.rows("order_list_query", **{"refresh_cache": True, **kwargs})
        return [row["order_id"] for row in rows]

    async def listed_by_broker(self) -> list[str]:
        """Ids in the broker's own books."""
        return [order.id for order in await self.control.orders()]

    async def has_remark(self, remark: str) -> bool:
        return remark in [order.remark for order in await self.control.orders()]

    async def renew(self) -> None:
        """A new context, as a supervisor makes one; the old one waits 6 s before it retries."""
        if self.context is not None:
            await self.run(self.context.close)
        self.context = await self.run(trade_context, self.server.port)
        self.context.set_handler(_recorder(self.pushes))

    async def reconnected(self) -> None:
        """Waits for the client's own reconnection."""
        await self.until(lambda: self.context.status == "READY", seconds=10)

    def pushed(self, order_id: str) -> list[str]:
        """Statuses pushed for one order."""
        return [p["order_status"] for p in self.pushes if p["order_id"] == order_id]

    async def until(self, check: Callable[[], bool], seconds: float = 5) -> None:
        """Waits for something in this process."""
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, "it never came true"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running_rig(**options: Any) -> AsyncIterator[Rig]:
    """Both, connected; prices stand still and orders fill whole unless asked otherwise."""
    calm = {
        "port": free_port(),
        "control_port": 0,
        "price_interval_seconds": 0.0,
        "partial_rate": 0.0,
        "limits": False,
    }
    server = OpenDServer(OpenDOptions(**{**calm, **options}))
    await server.start()
    rig = Rig(server, SimulatorControl(server.control_port))
    try:
        await rig.renew()
        yield rig
    finally:
        if rig.context is not None:
            await rig.run(rig.context.close)
        await server.close()


def _recorder(into: list[dict[str, Any]]) -> Any:
    base: Any = futu().TradeOrderHandlerBase

    class Recorder(base):  # type: ignore[misc]
        def on_recv_rsp(self, message: Any) -> tuple[int, Any]:
            code, rows = super().on_recv_rsp(message)
            into.extend(rows.to_dict("records"))
            return code, rows

    return Recorder()
