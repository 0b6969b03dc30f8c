"""What Prometheus reads: requests to the API, and the state of trading at the moment of asking."""

import time
from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.base import RequestResponseEndpoint
from temporalio.client import Client

from api.chain import chain_watch_status
from api.switch import TradingSwitch
from bronco import metrics
from models.control import HoldKind
from models.errors import SourceUnavailable
from models.order import OrderStatus, Reason, Stage
from models.records import ItemKind, ItemState

if TYPE_CHECKING:
    from clients.flags import Flags
    from clients.store import Store
    from clients.store.levels import Levels


_OF_DATABASE = (
    metrics.ORDERS_BY_STATUS,
    metrics.ORDERS_BY_STAGE,
    metrics.ORDERS_FAILED,
    metrics.ORDERS_OLDEST,
    metrics.UNKNOWN_OLDEST,
    metrics.ITEMS_BY_STATE,
    metrics.ITEMS_OLDEST,
    metrics.BOOK_READ_AT,
    metrics.HOUSE_POSITIONS,
    metrics.AUDIT_UNSEALED,
    metrics.AUDIT_UNSEALED_OLDEST,
)
_OF_REDIS = (metrics.HALTED, metrics.IN_FLIGHT)
_OF_TEMPORAL = (metrics.HOLDS, metrics.HOLD_OLDEST)


class TradingGauges:
    """Fills the gauges from store, Redis and the control workflow; a silent one is marked down."""

    def __init__(
        self, client: Client, switch: TradingSwitch, store: "Store", flags: "Flags"
    ) -> None:
        self._client = client
        self._switch = switch
        self._store = store
        self._flags = flags

    async def refresh(self) -> None:
        """Ask all three; of the chain's endpoints, what their watcher says.

        What a silent one said before is forgotten: an old number reads as if all were well.
        """
        for source, ask, told in (
            ("database", self._orders, _OF_DATABASE),
            ("redis", self._redis, _OF_REDIS),
            ("temporal", self._holds, _OF_TEMPORAL),
        ):
            try:
                await ask()
                metrics.SOURCE_UP.tell(source, 1)
            except SourceUnavailable:
                metrics.SOURCE_UP.tell(source, 0)
                for gauge in told:
                    gauge.clear()
                if source == "temporal":
                    metrics.PAUSED.set(1)
        await self._endpoints()

    async def _orders(self) -> None:
        counts, levels = await self._store.orders.counts(), await self._store.levels.read()
        for status in OrderStatus:
            metrics.ORDERS_BY_STATUS.labels(status.value).set(counts.by_status.get(status, 0))
        for stage in Stage:
            metrics.ORDERS_BY_STAGE.labels(stage.value).set(counts.by_stage.get(stage, 0))
        tell(levels, datetime.now(UTC).replace(tzinfo=None))

    async def _redis(self) -> None:
        halted, in_flight = await self._flags.halted(), await self._flags.in_flight()
        metrics.HALTED.set(halted is not None)
        metrics.IN_FLIGHT.set(len(in_flight))

    async def _holds(self) -> None:
        state = await self._switch.state()
        metrics.PAUSED.set(state.paused)
        for kind in HoldKind:
            since = [_age(hold.at) for hold in state.holds if hold.kind is kind]
            metrics.HOLDS.labels(kind.value).set(len(since))
            metrics.HOLD_OLDEST.labels(kind.value).set(max(since, default=0))

    async def _endpoints(self) -> None:
        """None are named while nobody watches, or while Temporal cannot be asked who does."""
        try:
            status = await chain_watch_status(self._client)
        except SourceUnavailable:
            status = None
        metrics.ENDPOINT_TRUSTED.clear()
        metrics.ENDPOINT_LAG.clear()
        endpoints = status.endpoints if status is not None else ()
        foremost = max((state.head for state in endpoints), default=0)
        for state in endpoints:
            reason = state.fault.value if state.fault is not None else ""
            metrics.ENDPOINT_TRUSTED.labels(state.label, reason).set(state.fault is None)
            metrics.ENDPOINT_LAG.labels(state.label).set(foremost - state.head)


def tell(levels: "Levels", now: datetime) -> None:
    """The store's levels as gauges; 0 where there is nothing. now: naive UTC."""
    for reason in Reason:
        metrics.ORDERS_FAILED.labels(reason.value).set(levels.failed.get(reason, 0))
    for stage in Stage:
        metrics.ORDERS_OLDEST.labels(stage.value).set(_since(levels.oldest.get(stage), now))
    for kind, state in product(ItemKind, ItemState):
        count, oldest = levels.items.get((kind, state), (0, None))
        metrics.ITEMS_BY_STATE.labels(kind.value, state.value).set(count)
        metrics.ITEMS_OLDEST.labels(kind.value, state.value).set(_since(oldest, now))
    metrics.UNKNOWN_OLDEST.set(_since(levels.unknown, now))
    metrics.HOUSE_POSITIONS.set(levels.house)
    metrics.AUDIT_UNSEALED.set(levels.unsealed)
    metrics.AUDIT_UNSEALED_OLDEST.set(_since(levels.unsealed_since, now))
    if levels.book_read is not None:
        metrics.BOOK_READ_AT.set(levels.book_read.replace(tzinfo=UTC).timestamp())


def _since(moment: datetime | None, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds()) if moment is not None else 0.0


def _age(moment: str) -> float:
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())


_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"example": "bronco_trading_paused 0.0\n"}}}
}


def routes(gauges: TradingGauges) -> APIRouter:
    """The metrics route."""
    router = APIRouter(tags=["health"])

    @router.get("/metrics", response_class=PlainTextResponse, responses=_TEXT)
    async def read() -> Response:
        """Metrics in Prometheus's text format."""
        await gauges.refresh()
        return Response(generate_latest(metrics.REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return router


def count_requests(app: FastAPI) -> None:
    """Count and time every request, under its route's template: a path would be a label each."""

    @app.middleware("http")
    async def counted(request: Request, call_next: RequestResponseEndpoint) -> Response:
        begun = time.monotonic()
        status = 500
        try:
            response = await call_next(request)
            status = response.status_code
            return response
        finally:
            route = request.scope.get("route")
            template = getattr(route, "path", "unknown")
            spent = time.monotonic() - begun
            metrics.HTTP_REQUESTS.labels(request.method, template, str(status)).inc()
            metrics.HTTP_SECONDS.labels(request.method, template).observe(spent)
