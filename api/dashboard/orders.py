"""The order table, and the page of one order."""

from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import QueryParams

from api.dashboard.pages import Pages
from api.dashboard.session import PREFIX
from api.dashboard.story import told
from api.orders import one_order, read_order
from models.drafts import OrderFilter, Page
from models.errors import InvalidInput, NotFound
from models.order import OrderStatus, Stage
from models.receipt import text_of
from models.requests import Side

if TYPE_CHECKING:
    from clients.store import Store

E = TypeVar("E", bound=StrEnum)
_ROWS = 50
_MOST = 100
_ADDRESS_DIGITS = 42


class OrderPages:
    """The page of one order."""

    def __init__(self, pages: Pages, store: "Store") -> None:
        self._pages = pages
        self._store = store

    async def order(
        self, request: Request, key: str, status: int = 200, *, said: str = "", refused: str = ""
    ) -> Response:
        """The page. said, refused: what came of an act on it.

        Raises:
            NotFound, Conflict: as `read_order`.
        """
        detail = await read_order(self._store, key)
        story = told(detail, await self._pages.decimals())
        shown = {"order": detail, "story": story, "said": said, "refused": refused}
        return await self._pages.answer(request, "order.html", status, **shown)


def routes(pages: Pages, store: "Store") -> APIRouter:
    """Reading orders."""
    router = APIRouter(include_in_schema=False)

    @router.get(f"{PREFIX}/orders")
    async def orders(request: Request) -> Response:
        asked = request.query_params
        if (search := asked.get("q", "").strip()) and not _is_address(search):
            return await _found(request, pages, store, search)
        chosen, cursor = _chosen(asked), asked.get("cursor", "")
        page = await store.orders.page(chosen, cursor, _ROWS)
        return await pages.answer(
            request,
            "orders.html",
            page=page,
            chosen=chosen,
            search=search,
            older=_link(chosen, page.next_cursor) if page.next_cursor else "",
            newest=_link(chosen, "") if cursor else "",
            live=not cursor,
            stages=list(Stage),
            statuses=list(OrderStatus),
        )

    one = OrderPages(pages, store)

    @router.get(f"{PREFIX}/orders/{{key}}")
    async def order(request: Request, key: str) -> Response:
        return await one.order(request, key)

    @router.get(f"{PREFIX}/orders/{{key}}/receipt")
    async def receipt(key: str) -> Response:
        row = await one_order(store, key)
        text = text_of(await store.receipts.of_order(row))
        name = f"receipt-{row.chain_id}-{row.request_number}.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(text, media_type="application/json", headers=headers)

    return router


async def _found(request: Request, pages: Pages, store: "Store", search: str) -> Response:
    """Where a search leads: to the one order, or to the several that a transaction made."""
    number = search.isascii() and search.isdigit() and len(search) <= 18
    rows = await store.orders.by_id(int(search) if number else search.lower())
    if len(rows) == 1:
        where = f"{PREFIX}/orders/{rows[0].internal_id}"
        return RedirectResponse(where, HTTPStatus.SEE_OTHER)
    if not rows:
        raise NotFound("order", search[:80])
    return await pages.answer(
        request,
        "orders.html",
        page=Page(rows[:_MOST]),
        chosen=OrderFilter(),
        search=search,
        older="",
        newest=f"{PREFIX}/orders",
        live=False,
        stages=list(Stage),
        statuses=list(OrderStatus),
    )


def _chosen(asked: QueryParams) -> OrderFilter:
    return OrderFilter(
        status=_member(OrderStatus, "status", asked.get("status", "")),
        stage=_member(Stage, "stage", asked.get("stage", "")),
        side=_member(Side, "side", asked.get("side", "")),
        user=asked.get("q", "").strip().lower() or asked.get("user", "").lower(),
        symbol=asked.get("symbol", "").strip().upper()[:24],
    )


def _member(kind: type[E], field: str, text: str) -> E | None:
    if not text:
        return None
    try:
        return kind(text.upper())
    except ValueError:
        raise InvalidInput(field, text[:40], f"use one of {', '.join(kind)}") from None


def _is_address(text: str) -> bool:
    return text.lower().startswith("0x") and len(text) == _ADDRESS_DIGITS


def _link(chosen: OrderFilter, cursor: str) -> str:
    """The same list, from another place; '' for the page after the last one."""
    asked = {
        "status": chosen.status or "",
        "stage": chosen.stage or "",
        "side": chosen.side or "",
        "q": chosen.user,
        "symbol": chosen.symbol,
        "cursor": cursor,
    }
    kept = {name: str(value) for name, value in asked.items() if value}
    return f"{PREFIX}/orders?{urlencode(kept, quote_via=quote)}" if kept else f"{PREFIX}/orders"
