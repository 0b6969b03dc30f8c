"""The broker's three links, each one connection and one thread, and what is common to them.

`place` sends orders and nothing else, so that nothing else can delay or be delayed by a blocked
placement; `control` cancels, reads and hears order pushes; `quote` reads prices. All three go to
the same OpenD, and together to the next one when that is lost.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from clients import futu_calls
from clients.broker_access import access_of
from clients.broker_endpoints import Endpoint, Endpoints, Hearing
from clients.futu_calls import TradeCalls
from clients.futu_link import Link, LinkOptions
from clients.futu_maps import BROKER
from clients.futu_open import Access, ContextOpener, TradeOpener
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
_LOOK_SECONDS = 0.25
_log = structlog.get_logger(__name__)


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
        self._failover = settings.failover_seconds
        self._endpoints = Endpoints(
            [Endpoint(settings.host, settings.port), *map(_endpoint, settings.standby)],
            timedelta(seconds=self._failover),
            self._watching,
        )
        self._moved_at: datetime | None = None
        self._moving: asyncio.Task[None] | None = None
        self._listeners: list[OrderListener] = []
        self._calls: TradeCalls | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        options = self._options(self._endpoints.used)
        alone = replace(options, exclusive=True)
        self._place = Link("place", alone, self._open_place, _trade_probe, on_link)
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
        if self._endpoints.several:
            # Another process, or we before our start, may have left something inside of another.
            self._moved_at = datetime.now(UTC)
        # Seconds on a busy machine, which are not OpenD's fault: not inside the connect timeout.
        await asyncio.to_thread(load, self._access.log_home, self._access.rsa_key)
        for link in self._links:
            link.start()
        self._endpoints.start()
        self._moving = self._moving or asyncio.create_task(self._keep_reachable())
        await asyncio.gather(*(link.wait_up(self._connect_timeout) for link in self._links))

    async def close(self) -> None:
        """Close every connection; what is being asked ends with SourceUnavailable."""
        moving, self._moving = self._moving, None
        if moving is not None:
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)
        await asyncio.gather(self._endpoints.close(), *(link.close() for link in self._links))

    @property
    def healthy(self) -> bool:
        """Whether OpenD has logged in all links and answered their last probe."""
        return all(link.up for link in self._links)

    @property
    def endpoint(self) -> str:
        """host:port of the OpenD in use."""
        return str(self._endpoints.used)

    @property
    def moved_at(self) -> datetime | None:
        """When we came to the OpenD in use, UTC; None: there is no other one.

        What was sent before, here or elsewhere, may still be inside of another one.
        """
        return self._moved_at

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

    @property
    def nothing_before(self) -> datetime:
        """No order sent before this (UTC) can still be on its way.

        The older of when the reading connection was begun, and of what every other OpenD is known
        to hold nothing from before.
        """
        return min(self._control.connected_at, self._endpoints.settled)

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

    async def _keep_reachable(self) -> None:
        """Go to the next OpenD whenever the one in use is lost for too long."""
        lost_at: float | None = None
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._endpoints.report(self.healthy)
            if self.healthy or any(link.gave_up for link in self._links):
                # What a setting is to blame for, no other OpenD does better.
                lost_at = None
                continue
            lost_at = lost_at or time.monotonic()
            target = self._endpoints.next()
            if target is not None and time.monotonic() - lost_at >= self._failover:
                await self._move(target)
                lost_at = None

    async def _move(self, target: Endpoint) -> None:
        """All links to another OpenD: none is opened there before the one here is at its end."""
        left, self._endpoints.used = self._endpoints.used, target
        self._moved_at = datetime.now(UTC)
        _log.warning("broker_moved", left=str(left), to=str(target))
        await asyncio.gather(*(link.move(*target) for link in self._links))
        # Again: until now something may have gone out the old way.
        self._moved_at = datetime.now(UTC)

    def _options(self, endpoint: Endpoint) -> LinkOptions:
        return LinkOptions(
            host=endpoint.host,
            port=endpoint.port,
            connect_timeout=self._connect_timeout,
            call_timeout=self._bound,
            probe_interval=_PROBE_SECONDS,
        )

    def _watching(self, endpoint: Endpoint, hearing: Hearing) -> Link:
        """A link that only looks whether this OpenD answers and is logged in."""
        access = replace(self._access, port=endpoint.port)
        often = min(_PROBE_SECONDS, self._failover / 4)
        return Link(
            f"watch-{endpoint}",
            replace(self._options(endpoint), probe_interval=often),
            lambda address: ContextOpener(address, access),
            _whole_probe,
            lambda _link, _up: None,
            hearing.tell,
        )

    def _here(self) -> Access:
        return replace(self._access, port=self._endpoints.used.port)

    def _open_place(self, address: str) -> TradeOpener:
        return TradeOpener(address, self._here(), self._set_calls)

    def _open_control(self, address: str) -> TradeOpener:
        return TradeOpener(address, self._here(), self._set_calls, self._pushed)

    def _open_quote(self, address: str) -> ContextOpener:
        return ContextOpener(address, self._here())

    def _set_calls(self, calls: TradeCalls) -> None:
        self._calls = calls

    def _pushed(self, order: BrokerOrder) -> None:
        """On the vendor's callback thread: hand over to the loop."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, order)

    def _tell(self, order: BrokerOrder) -> None:
        for listener in tuple(self._listeners):
            listener(order)


def _endpoint(written: str) -> Endpoint:
    host, _, port = written.rpartition(":")
    return Endpoint(host, int(port))


def _whole_probe(context: Any) -> None:
    _trade_probe(context)
    _quote_probe(context)


def _trade_probe(context: Any) -> None:
    if not futu_calls.global_state(context)["trd_logined"]:
        raise SourceUnavailable(BROKER, "connecting", "OpenD has no link to its trading servers")


def _quote_probe(context: Any) -> None:
    if not futu_calls.global_state(context)["qot_logined"]:
        raise SourceUnavailable(BROKER, "connecting", "OpenD has no link to its quote servers")
