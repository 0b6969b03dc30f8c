"""What no activity happens to see: clocks, feeds, the settler's purse, windows, the signer.

Each is measured every few seconds by whoever holds the client. What cannot be measured is absent,
and bronco_measured_timestamp_seconds says since when.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple, Protocol

import structlog

from activities.broker import CHANGE_CALL
from activities.broker_watch import LIST_CALL
from activities.queueing import PLACE_CALL
from bronco import metrics
from clients.broker import BrokerClient
from models.errors import BroncoError
from models.requests import BlockRef
from workers.build import Role
from workers.clients import Clients

# A feed is measured however old it is.
_ANY_AGE = 10**9
_log = structlog.get_logger(__name__)


class _Gauge(Protocol):
    def clear(self) -> None: ...


class Measure(NamedTuple):
    """One thing to measure, and the gauges that are forgotten when it cannot be."""

    what: str
    take: Callable[[], Awaitable[None]]
    gauges: Sequence[_Gauge] = ()


async def keep_measuring(measures: Sequence[Measure], every_seconds: float) -> None:
    """Until cancelled; each on its own, so that one that hangs holds up no other."""
    async with asyncio.TaskGroup() as group:
        for measure in measures:
            group.create_task(_keep(measure, every_seconds))


async def _keep(measure: Measure, every_seconds: float) -> None:
    well = True
    while True:
        try:
            await measure.take()
        except BroncoError as error:
            for gauge in measure.gauges:
                gauge.clear()
            if well:
                _log.warning("not_measured", what=measure.what, problem=str(error))
            well = False
        else:
            metrics.MEASURED_AT.labels(measure.what).set(time.time())
            well = True
        await asyncio.sleep(every_seconds)


def measures_of(
    clients: Clients, broker: BrokerClient | None, roles: Collection[Role]
) -> list[Measure]:
    """What a process of these roles measures."""
    chosen = set(Role) if Role.ALL in roles else set(roles)
    found: list[Measure] = []
    if Role.ORDERS in chosen:
        found += _of_orders(clients)
    if Role.WATCH in chosen:
        found += _of_watch(clients, broker)
    if Role.BROKER in chosen and broker is not None:
        found.append(_windows(clients, broker))
    return found


# --- role orders


def _of_orders(clients: Clients) -> list[Measure]:
    purse = (metrics.SETTLER_GAS, metrics.SETTLER_NONCE, metrics.SETTLER_PENDING)
    metrics.SETTLER_GAS_LOW.set(clients.settings.chain.min_settler_gas_wei)

    async def settler() -> None:
        address, sender = clients.signer.address, clients.sender
        mined = await sender.latest_nonce(address)
        metrics.SETTLER_GAS.set(await sender.balance(address))
        metrics.SETTLER_NONCE.set(mined)
        metrics.SETTLER_PENDING.set(max(0, await sender.pending_nonce(address) - mined))

    async def signer() -> None:
        metrics.SIGNER_UP.set(0)
        await clients.signer.matches(clients.vault.chain_id, clients.vault.address)
        found = await clients.signer.status()
        metrics.SIGNER_UP.set(1)
        for limit, allowed in found.allowed.items():
            used = int(found.used.get(limit, "0")) / max(1, int(allowed))
            metrics.SIGNER_HOUR_USED.labels(limit).set(used)

    return [
        Measure("settler", settler, purse),
        Measure("signer", signer, (metrics.SIGNER_HOUR_USED,)),
    ]


# --- role watch


def _of_watch(clients: Clients, broker: BrokerClient | None) -> list[Measure]:
    async def database() -> float:
        return (await clients.store.levels.clock()).timestamp()

    found = [_clock("database", database), _clock("redis", clients.flags.now), _chain(clients)]
    return found if broker is None else [*found, _clock("broker", broker.server_time)]


def _clock(source: str, ask: Callable[[], Awaitable[float]]) -> Measure:
    """The middle of the question is when it was answered, give or take half of what it took."""

    async def measure() -> None:
        before = time.time()
        theirs = await ask()
        metrics.CLOCK_SKEW.labels(source).set(theirs - (before + time.time()) / 2)

    return Measure(f"{source} clock", measure, (_OneOf(source),))


class _OneOf(NamedTuple):
    """The skew of one source: the others' stay."""

    source: str

    def clear(self) -> None:
        """Forget it."""
        metrics.CLOCK_SKEW.labels(self.source)  # removing what is not there is an error
        metrics.CLOCK_SKEW.remove(self.source)


def _chain(clients: Clients) -> Measure:
    async def measure() -> None:
        head = await clients.vault.head()
        metrics.CHAIN_HEAD_AT.set(head.timestamp)
        for asset in clients.settings.chain.assets:
            terms = await clients.vault.asset(asset.token, head)
            if terms is not None:
                await _feed(clients, asset.symbol, terms.feed, terms.heartbeat, head)
        if usdt := clients.settings.chain.usdt_feed:
            heartbeat = clients.settings.chain.usdt_heartbeat_seconds
            await _feed(clients, "USDT", usdt, heartbeat, head)

    gauges = (metrics.CHAIN_HEAD_AT, metrics.FEED_UPDATED_AT, metrics.FEED_HEARTBEAT)
    return Measure("chain", measure, gauges)


async def _feed(
    clients: Clients, symbol: str, feed: str, heartbeat_seconds: int, head: BlockRef
) -> None:
    metrics.FEED_HEARTBEAT.labels(symbol).set(heartbeat_seconds)
    price = await clients.oracle.price(feed, heartbeat_seconds=_ANY_AGE, at=head)
    metrics.FEED_UPDATED_AT.labels(symbol).set(price.updated_at)


# --- role broker


def _windows(clients: Clients, broker: BrokerClient) -> Measure:
    limits = clients.settings.broker
    windows = {
        PLACE_CALL: limits.place_window,
        CHANGE_CALL: limits.change_window,
        LIST_CALL: limits.query_window,
    }

    async def measure() -> None:
        for call, window in windows.items():
            used = await clients.flags.slots_used(broker.account, call, window.window_seconds)
            metrics.WINDOW_USED.labels(call).set(used)
            metrics.WINDOW_LIMIT.labels(call).set(window.limit)
        for side, waiting in (
            await clients.flags.line(broker.account, PLACE_CALL).lengths()
        ).items():
            metrics.LINE_ORDERS.labels(side).set(waiting)

    return Measure("windows", measure, (metrics.WINDOW_USED, metrics.LINE_ORDERS))
