"""The broker's three links, each one connection and one thread, and what is common to them.

`place` sends orders and nothing else, so that nothing else can delay or be delayed by a blocked
placement; `control` cancels, reads and hears order pushes; `quote` reads prices.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clients import futu_calls
from clients.broker_access import access_of
from clients.futu_calls import TradeCalls
from clients.futu_link import Link, LinkOptions
from clients.futu_maps import BROKER
from clients.futu_open import ContextOpener, TradeOpener
from clients.futu_vendor import load
from models.broker import BrokerOrder
from models.errors import SourceUnavailable

if TYPE_CHECKING:
    from bronco.trading import BrokerSettings

T = TypeVar("T")
OrderListener = Callable[[BrokerOrder], None]
LinkListener = Callable[[str, bool], None]

# The vendor looks for overdue answers once a second; our bound must come after its own.
_GRACE_SECONDS = 1.5
_PROBE_SECONDS = 3.0


class BrokerLinks:
    """Opens, watches and closes the links; knows which account they serve."""

    def __init__(
        self,
        settings: "BrokerSettings",
        *,
        log_home: Path,
        reads_only: bool = False,
        on_link: LinkListener = lambda _link, _up: None,
    ) -> None:
        self._access = access_of(settings, log_home, reads_only=reads_only)
        self._bound = settings.call_timeout_seconds + _GRACE_SECONDS
        self._connect_timeout = settings.connect_timeout_seconds
        self._listeners: list[OrderListener] = []
        self._calls: TradeCalls | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        options = LinkOptions(
            host=settings.host,
            port=settings.port,
            connect_timeout=settings.connect_timeout_seconds,
            call_timeout=self._bound,
            probe_interval=_PROBE_SECONDS,
        )
        self._place = Link("place", options, self._open_place, _trade_probe, on_link)
        self._control = Link("control", options, self._open_control, _trade_probe, on_link)
        self._quote = Link("quote", options, self._open_quote, _quote_probe, on_link)
        reading = (self._control, self._quote)
        self._links = reading if reads_only else (self._place, *reading)

    async def start(self) -> None:
        """Begin to connect, and give it the connect timeout; a broker that is down is no error.

        Raises:
            ConfigurationError: futu-api cannot be imported here.
        """
        self._loop = asyncio.get_running_loop()
        # Seconds on a busy machine, which are not OpenD's fault: not inside the connect timeout.
        await asyncio.to_thread(load, self._access.log_home, self._access.rsa_key)
        for link in self._links:
            link.start()
        await asyncio.gather(*(link.wait_up(self._connect_timeout) for link in self._links))

    async def close(self) -> None:
        """Close every connection; what is being asked ends with SourceUnavailable."""
        await asyncio.gather(*(link.close() for link in self._links))

    @property
    def healthy(self) -> bool:
        """Whether OpenD has logged in all links and answered their last probe."""
        return all(link.up for link in self._links)

    @property
    def connection(self) -> int:
        """Number of the connection that reads and hears; every later one has a greater number."""
        return self._control.number

    @property
    def connected_at(self) -> datetime:
        """When that connection was begun, UTC; 1970 before the first."""
        return self._control.connected_at

    @property
    def account(self) -> str:
        """The account's id, as rate windows and logs name it.

        Raises:
            SourceUnavailable: it is to be "the only one there is", and OpenD was not asked yet.
        """
        if self._access.account_id:
            return str(self._access.account_id)
        return str(self._trade("naming the account").account_id)

    async def renew(self, made_after: datetime) -> None:
        """Have a reading connection that was begun after this moment; no-op where it is.

        Raises:
            SourceUnavailable: no new connection came up in time.
        """
        if self._control.connected_at > made_after:
            return
        self._control.replace()
        up = await self._control.wait_up(self._connect_timeout)
        if not up or self._control.connected_at <= made_after:
            raise SourceUnavailable(BROKER, "renewing the connection", "no new one came up")

    def on_order(self, listener: OrderListener) -> Callable[[], None]:
        """Hear every order push, on the event loop; returns what ends that. Pushes may be lost."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def _read(self, doing: str, work: Callable[[TradeCalls, Any], T], requests: int = 1) -> T:
        """One piece of work on the control link; `requests` round trips long at most."""
        lane, calls = self._control.lane(doing), self._trade(doing)
        return await lane.call(doing, lambda context: work(calls, context), requests * self._bound)

    def _trade(self, doing: str) -> TradeCalls:
        if self._calls is None:
            raise SourceUnavailable(BROKER, doing, "OpenD was never reached")
        return self._calls

    def _open_place(self, address: str) -> TradeOpener:
        return TradeOpener(address, self._access, self._set_calls)

    def _open_control(self, address: str) -> TradeOpener:
        return TradeOpener(address, self._access, self._set_calls, self._pushed)

    def _open_quote(self, address: str) -> ContextOpener:
        return ContextOpener(address, self._access)

    def _set_calls(self, calls: TradeCalls) -> None:
        self._calls = calls

    def _pushed(self, order: BrokerOrder) -> None:
        """On the vendor's callback thread: hand over to the loop."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, order)

    def _tell(self, order: BrokerOrder) -> None:
        for listener in tuple(self._listeners):
            listener(order)


def _trade_probe(context: Any) -> None:
    if not futu_calls.global_state(context)["trd_logined"]:
        raise SourceUnavailable(BROKER, "connecting", "OpenD has no link to its trading servers")


def _quote_probe(context: Any) -> None:
    if not futu_calls.global_state(context)["qot_logined"]:
        raise SourceUnavailable(BROKER, "connecting", "OpenD has no link to its quote servers")
