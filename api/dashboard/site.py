"""The dashboard, put together from what it is given."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from fastapi import APIRouter
from temporalio.client import Client

from api.approvals import ApprovalDesk
from api.dashboard import acts, approvals, audit, control, dev, live, orders, overview, sign
from api.dashboard.pages import Pages
from api.dashboard.session import Entrance
from api.health import checks_of
from api.hub import Hub
from api.operating import OrderDesk
from api.switch import TradingSwitch
from bronco.logs import Redaction
from clients.windows import Windows

if TYPE_CHECKING:
    from bronco.settings import Settings
    from clients.flags import Flags
    from clients.store import Store

Decimals = Callable[[], Awaitable[int]]


class Dashboard:
    """Its pages and its door."""

    def __init__(
        self,
        settings: "Settings",
        entrance: Entrance,
        decimals: Decimals,
        tools: dev.DevTools | None = None,
    ) -> None:
        self._settings = settings
        self.entrance = entrance
        reading_open = not settings.api.read_needs_key
        self.pages = Pages(settings, decimals, reading_open=reading_open)
        self._tools = tools if self.pages.dev else None

    def routes(
        self,
        client: Client,
        switch: TradingSwitch,
        store: "Store",
        flags: "Flags",
        hub: Hub,
        blot: Redaction,
    ) -> APIRouter:
        """Every route below /dashboard."""
        router, pages = APIRouter(), self.pages
        look = control.TradingLook(switch, flags)
        router.include_router(sign.routes(pages, self.entrance))
        windows, checks = Windows(flags.pool), checks_of(client, store, flags)
        facts = overview.Overview(self._settings, client, store, windows, look, checks, blot)
        router.include_router(overview.routes(pages, facts))
        router.include_router(orders.routes(pages, store))
        one = orders.OrderPages(pages, store)
        router.include_router(acts.routes(one, OrderDesk(client, store)))
        router.include_router(control.routes(pages, switch, flags, store, look))
        router.include_router(live.routes(hub))
        router.include_router(approvals.routes(pages, store, ApprovalDesk(client, store)))
        verifying = audit.Verifying(self._settings, store)
        router.include_router(audit.routes(pages, store, verifying))
        symbols = [asset.symbol for asset in self._settings.chain.assets]
        router.include_router(dev.routes(pages, self._tools, symbols))
        return router
