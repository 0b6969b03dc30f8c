"""The application, put together from what it is given."""

from typing import TYPE_CHECKING

from fastapi import FastAPI
from temporalio.client import Client

from api import approvals, control, errors, health, metrics, orders
from api.auth import KeyGuard
from api.switch import TradingSwitch
from bronco.logs import Redaction

if TYPE_CHECKING:
    from bronco.settings import Settings
    from clients.flags import Flags
    from clients.store import Store

_DESCRIPTION = """\
Turns deposits on a chain into shares at a broker, and back.

Amounts are strings of base units: exact at any size. Errors are problem documents (RFC 9457) that
name what was wrong. Control needs `X-API-Key`; so does `/orders`, unless reading was opened.
"""


def create_app(
    settings: "Settings", temporal_client: Client, store: "Store", flags: "Flags"
) -> FastAPI:
    """The API over these clients; whoever made them closes them."""
    app = FastAPI(title="Bronco", description=_DESCRIPTION, version="0.1.0")
    blot = Redaction(settings.secrets())
    guard = KeyGuard(settings.api.accepted_hashes)
    switch = TradingSwitch(temporal_client, flags)
    errors.install(app, blot)
    metrics.count_requests(app)
    app.include_router(control.routes(switch, flags, guard))
    reading = guard if settings.api.read_needs_key else None
    app.include_router(orders.routes(store, reading))
    desk = approvals.ApprovalDesk(temporal_client, store)
    app.include_router(approvals.routes(desk, guard, reading))
    app.include_router(health.routes(health.checks_of(temporal_client, store, flags), blot))
    app.include_router(metrics.routes(metrics.TradingGauges(temporal_client, switch, store, flags)))
    return app
