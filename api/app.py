"""The application, put together from what it is given."""

from datetime import timedelta
from typing import TYPE_CHECKING

from fastapi import FastAPI
from temporalio.client import Client

from api import (
    api_keys,
    approvals,
    control,
    draining,
    events,
    follow,
    health,
    metrics,
    openapi,
    operating,
    orders,
    quoting,
    reserves,
    statements,
    stats,
    webhooks,
)
from api.auth import KeyRing
from api.bearer import Bearers
from api.dashboard.dev import DevTools
from api.dashboard.session import Entrance
from api.dashboard.site import Dashboard, Decimals
from api.doors import Doors
from api.errors import Problems
from api.hub import Hub
from api.ids import RequestIds
from api.once import Once
from api.quotas import Gauge
from api.switch import TradingSwitch
from bronco.logs import Redaction
from clients.quota import Quotas
from models.errors import SourceUnavailable

if TYPE_CHECKING:
    from bronco.settings import Settings
    from clients.flags import Flags
    from clients.store import Store

_DESCRIPTION = """\
Turns deposits on a chain into shares at a broker, and back.

Amounts are strings of base units: exact at any size. Errors are problem documents (RFC 9457) that
name what was wrong. A key in `X-API-Key` has a role: viewer, operator, approver or admin; each
route says which may use it. Without a key only health and the state of trading are shown.
"""


def create_app(
    settings: "Settings",
    temporal_client: Client,
    store: "Store",
    flags: "Flags",
    decimals: Decimals | None = None,
    tools: DevTools | None = None,
) -> FastAPI:
    """The API over these clients; whoever made them closes them.

    decimals: asks for USDT's. tools: of the dashboard, counted only on a dev chain.
    """
    app = FastAPI(title="Bronco", description=_DESCRIPTION, version="0.1.0")
    blot = Redaction(settings.secrets())
    switch = TradingSwitch(temporal_client, flags)
    ring = KeyRing(settings.api.accepted_hashes, store.api_keys)
    entrance = Entrance(ring, store.sessions, settings.dashboard.session_seconds)
    board = Dashboard(settings, entrance, decimals or _unasked, tools)
    problems = Problems(blot, board.pages.problem)
    _guard(app, settings, store, problems)
    _let_in(app, settings, flags, ring, entrance, problems)
    app.state.hub = hub = Hub(store, flags)
    app.include_router(control.routes(switch, flags))
    app.include_router(draining.routes(switch, flags, store))
    app.include_router(events.routes(hub))
    app.include_router(orders.routes(store))
    desk = approvals.ApprovalDesk(temporal_client, store)
    app.include_router(approvals.routes(desk))
    app.include_router(operating.routes(operating.OrderDesk(temporal_client, store)))
    quotes = quoting.QuoteDesk(temporal_client, settings.chain.asset_book)
    app.include_router(quoting.routes(quotes, switch, flags))
    app.include_router(stats.routes(store))
    app.include_router(statements.routes(store, settings.limits.usdt_decimals))
    app.include_router(follow.routes(store, enabled=settings.api.follow))
    app.include_router(api_keys.routes(store))
    app.include_router(webhooks.routes(store, webhooks.post_of(settings.webhook)))
    app.include_router(reserves.routes(store))
    app.include_router(health.routes(health.checks_of(temporal_client, store, flags), blot))
    app.include_router(metrics.routes(metrics.TradingGauges(temporal_client, switch, store, flags)))
    app.include_router(board.routes(temporal_client, switch, store, flags, hub, blot))
    openapi.install(app, reading_open=not settings.api.read_needs_key)
    return app


async def _unasked() -> int:
    raise SourceUnavailable("chain", "reading the decimals of USDT", "nobody was given to ask")


def _guard(app: FastAPI, settings: "Settings", store: "Store", problems: Problems) -> None:
    """What a request passes once it is let in."""
    problems.install(app)
    app.add_middleware(
        Once,
        keys=store.request_keys,
        problems=problems,
        kept=timedelta(days=settings.api.idempotency_days),
    )


def _let_in(
    app: FastAPI,
    settings: "Settings",
    flags: "Flags",
    ring: KeyRing,
    entrance: Entrance,
    problems: Problems,
) -> None:
    """What a request meets first; the last one added is the very first."""
    app.add_middleware(
        Doors,
        ring=ring,
        bearers=Bearers.of(settings.oidc),
        entrance=entrance,
        gauge=Gauge(Quotas(flags.pool), settings.api),
        problems=problems,
        reading_open=not settings.api.read_needs_key,
    )
    metrics.count_requests(app)
    app.add_middleware(RequestIds)
