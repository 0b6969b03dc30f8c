"""The dashboard, put together from what it is given."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from fastapi import APIRouter
from temporalio.client import Client

from api.dashboard import control, orders, overview, sign
from api.dashboard.pages import Pages
from api.dashboard.session import Entrance
from api.switch import TradingSwitch

if TYPE_CHECKING:
    from bronco.settings import Settings
    from clients.flags import Flags
    from clients.store import Store

Decimals = Callable[[], Awaitable[int]]


class Dashboard:
    """Its pages and its door."""

    def __init__(self, settings: "Settings", entrance: Entrance, decimals: Decimals) -> None:
        self.entrance = entrance
        reading_open = not settings.api.read_needs_key
        self.pages = Pages(settings, decimals, reading_open=reading_open)

    def routes(
        self, client: Client, switch: TradingSwitch, store: "Store", flags: "Flags"
    ) -> APIRouter:
        """Every route below /dashboard."""
        router, pages = APIRouter(), self.pages
        look = control.TradingLook(switch, flags)
        router.include_router(sign.routes(pages, self.entrance))
        router.include_router(overview.routes(pages))
        router.include_router(orders.routes(pages, store))
        router.include_router(control.routes(pages, switch, flags, store, look))
        return router
