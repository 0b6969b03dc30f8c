"""The first page: how it goes, at a glance, and what does not."""

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from fastapi import APIRouter, Request, Response
from temporalio.client import Client
from temporalio.exceptions import TemporalError

from activities.broker import CHANGE_CALL
from activities.broker_watch import HISTORY_CALL, LIST_CALL
from activities.queueing import PLACE_CALL
from api.chain import chain_watch_status
from api.dashboard.chart import drawn
from api.dashboard.control import TradingLook
from api.dashboard.pages import Pages
from api.dashboard.session import PREFIX
from api.dashboard.words import aware, moment
from api.health import Check, CheckResult, examine
from api.reserves import view_of
from bronco.logs import Redaction
from clients.windows import Windows, WindowUse
from models.control import Hold, HoldKind
from models.errors import SourceUnavailable
from models.order import Stage
from models.records import ItemState
from models.requests import BROKER_WATCH_WORKFLOW_ID
from models.watch import BrokerWatchStatus

if TYPE_CHECKING:
    from bronco.settings import Settings
    from bronco.trading import BrokerSettings
    from clients.store import Store
    from clients.store.prices import FillSeen, PriceSeen

T = TypeVar("T")
_ANSWER = timedelta(seconds=2)
_OPEN = (
    *(Stage.CONFIRMING, Stage.HELD, Stage.WAITING_SESSION, Stage.QUEUED, Stage.PLACED),
    *(Stage.PART_FILLED, Stage.UNKNOWN, Stage.CANCELLING, Stage.SETTLING),
    *(Stage.AWAITING_APPROVAL, Stage.OWED),
)
_UNSETTLED = (ItemState.PENDING, ItemState.SENT, ItemState.MINED, ItemState.REJECTED)
_CHARTS = 4
# What each breaker watches; decision 030 has them in full.
_BREAKERS: tuple[tuple[str, str], ...] = (
    ("chain-stalled", "New blocks of the chain"),
    ("broker-silent", "The broker's book is read"),
    ("peg-lost", "USDT is worth a dollar"),
    ("order-failures", "Orders that fail"),
    ("mismatch:", "Positions, supply and the vault's books"),
)


class Gauge(NamedTuple):
    """One window of the account. limit: calls within `seconds`."""

    name: str
    taken: int
    limit: int
    seconds: float

    @property
    def full(self) -> bool:
        """Whether the next call waits."""
        return self.taken >= self.limit


class Part(NamedTuple):
    """One part of the desk: whether it is well, and what it says."""

    name: str
    well: bool | None
    says: str


class Breaker(NamedTuple):
    """One breaker, and the holds it has set. None: nobody can say."""

    name: str
    holds: list[Hold] | None


class Overview:
    """Asks every part at the same time; one that does not answer is shown as that."""

    def __init__(
        self,
        settings: "Settings",
        client: Client,
        store: "Store",
        windows: Windows,
        look: TradingLook,
        checks: Mapping[str, Check],
        blot: Redaction,
    ) -> None:
        self._broker = settings.broker
        self._client = client
        self._store = store
        self._windows = windows
        self._look = look
        self._checks = checks
        self._blot = blot

    async def facts(self) -> dict[str, Any]:
        """Everything the page shows."""
        (trading, parts, gauges), (counts, items, charts, statement) = await asyncio.gather(
            asyncio.gather(self._look.ask(), self._parts(), _known(self._gauges())),
            asyncio.gather(
                _known(self._store.orders.counts()),
                _known(self._store.items.counts()),
                _known(self._charts()),
                _known(self._store.reserves.latest()),
            ),
        )
        return {
            "trading": trading,
            "parts": parts,
            "stages": [(stage, counts.by_stage.get(stage, 0)) for stage in _OPEN] if counts else [],
            "counts": counts,
            "items": [(state, items.get(state, 0)) for state in _UNSETTLED] if items else [],
            "gauges": gauges[0] if gauges else [],
            "line": gauges[1] if gauges else None,
            "charts": charts or [],
            "reserves": view_of(statement, datetime.now(UTC)) if statement is not None else None,
            "breakers": _breakers(trading.holds if trading is not None else None),
        }

    async def _gauges(self) -> tuple[list[Gauge], WindowUse]:
        account = str(self._broker.account_id or "")
        gauges, line = [], WindowUse(0, 0, 0)
        for name, call, limit, seconds in _windows_of(self._broker):
            use = await self._windows.use(account, call, seconds)
            gauges.append(Gauge(name, use.taken, limit, seconds))
            line = use if call == PLACE_CALL else line
        return gauges, line

    async def _parts(self) -> list[Part]:
        ready, chain, broker = await asyncio.gather(
            examine(self._checks, self._blot), self._chain(), self._broker_link()
        )
        found = [
            Part(
                name.capitalize(), check.ok, check.detail or f"answered in {check.milliseconds} ms"
            )
            for name, check in ready.checks.items()
        ]
        return [*found, chain, broker, await self._book()]

    async def _chain(self) -> Part:
        try:
            async with asyncio.timeout(_ANSWER.total_seconds()):
                status = await chain_watch_status(self._client)
        except (SourceUnavailable, TimeoutError):
            return Part("Chain", None, "Temporal could not say")
        if status is None:
            return Part("Chain", False, "nobody watches it")
        set_aside = [one for one in status.endpoints if one.fault is not None]
        if status.problem or set_aside:
            said = status.problem or ", ".join(f"{o.label}: {o.fault}" for o in set_aside)
            return Part("Chain", not status.problem, self._blot.text(said))
        behind = f", {status.backlog} requests to look at" if status.backlog else ""
        return Part("Chain", True, f"block {status.head}, {status.count} requests{behind}")

    async def _broker_link(self) -> Part:
        handle = self._client.get_workflow_handle(BROKER_WATCH_WORKFLOW_ID)
        try:
            found = await handle.query("status", result_type=BrokerWatchStatus, rpc_timeout=_ANSWER)
            status = BrokerWatchStatus.model_validate(found)
        except (TemporalError, OSError, RuntimeError):
            return Part("Broker", None, "its watcher did not answer")
        if status.problem:
            return Part("Broker", False, self._blot.text(status.problem))
        return Part("Broker", status.watching, f"answers since {moment(status.since)} UTC")

    async def _book(self) -> Part:
        snapshot = await _known(self._store.book.latest_snapshot())
        begun = aware(snapshot.begun_at) if snapshot is not None else None
        if begun is None:
            return Part("Broker's book", None, "it was never read in full")
        age = int((datetime.now(UTC) - begun).total_seconds())
        return Part("Broker's book", age < 60, f"read in full {age} s ago")

    async def _charts(self) -> list[tuple[str, Any]]:
        prices, fills = await asyncio.gather(self._store.prices.seen(), self._store.prices.fills())
        symbols = sorted({each.symbol for each in prices} | {each.symbol for each in fills})
        return [(each, _chart(each, prices, fills)) for each in symbols[:_CHARTS]]


def routes(pages: Pages, overview: Overview) -> APIRouter:
    """The first page."""
    router = APIRouter(include_in_schema=False)

    @router.get(PREFIX)
    async def first(request: Request) -> Response:
        return await pages.answer(request, "overview.html", **await overview.facts())

    return router


def _part(name: str, check: CheckResult) -> Part:
    says = check.detail or f"answered in {check.milliseconds} ms"
    return Part(name.capitalize(), check.ok, says)


def _windows_of(broker: "BrokerSettings") -> list[tuple[str, str, int, float]]:
    place, change, query = broker.place_window, broker.change_window, broker.query_window
    return [
        ("Placing", PLACE_CALL, place.limit, place.window_seconds),
        ("Cancelling", CHANGE_CALL, change.limit, change.window_seconds),
        ("Reading the order list", LIST_CALL, query.limit, query.window_seconds),
        ("Reading the history", HISTORY_CALL, query.limit, query.window_seconds),
    ]


def _chart(symbol: str, prices: "list[PriceSeen]", fills: "list[FillSeen]") -> Any:
    mine = [each for each in prices if each.symbol == symbol]
    return drawn(symbol, mine, [each for each in fills if each.symbol == symbol])


def _breakers(holds: tuple[Hold, ...] | None) -> list[Breaker]:
    if holds is None:
        return [Breaker(name, None) for _, name in _BREAKERS]
    kinds = [hold for hold in holds if hold.kind in (HoldKind.BREAKER, HoldKind.HOUSE)]
    found = [
        Breaker(name, [hold for hold in kinds if hold.key.startswith(key)])
        for key, name in _BREAKERS
    ]
    known = tuple(key for key, _ in _BREAKERS)
    others = [hold for hold in kinds if not hold.key.startswith(known)]
    return [*found, Breaker("Others", others)] if others else found


async def _known(asked: Awaitable[T]) -> T | None:
    """The answer; None: whoever was asked could not say, which the page shows."""
    try:
        return await asked
    except SourceUnavailable:
        return None
