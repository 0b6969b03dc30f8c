"""Reading orders."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response

from api.errors import described
from api.views import OrderDetail, OrderPage, OrderView, detail_of, timeline_of
from models.drafts import OrderFilter
from models.errors import Conflict, InvalidInput, NotFound
from models.order import Order, OrderStatus, Stage
from models.outlook import last_outlook
from models.receipt import FORMAT, text_of
from models.requests import Side

if TYPE_CHECKING:
    from clients.store import Store

_HASH = r"^(0[xX][0-9a-fA-F]{64})?$"
_LIMIT = 100
_RECEIPT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The receipt, canonical JSON (RFC 8785).",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["format", "request", "attempts", "fills", "outcome", "log"],
                },
                "example": {"format": FORMAT, "chain_id": 1, "request": {"n": 17}},
            }
        },
    }
}


def chosen_by(
    status: OrderStatus | None = None,
    stage: Stage | None = None,
    side: Side | None = None,
    user: Annotated[str, Query(pattern=r"^(0[xX][0-9a-fA-F]{40})?$", description="address")] = "",
    symbol: Annotated[str, Query(max_length=24)] = "",
) -> OrderFilter:
    """What the list is narrowed to."""
    return OrderFilter(
        status=status, stage=stage, side=side, user=user.lower(), symbol=symbol.upper()
    )


def routes(store: "Store") -> APIRouter:
    """The reading routes."""
    router = APIRouter(tags=["orders"])
    errors = described(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )

    @router.get("/orders", responses=errors)
    async def orders(
        chosen: Annotated[OrderFilter, Depends(chosen_by)],
        tx_hash: Annotated[str, Query(pattern=_HASH, description="of the request")] = "",
        request_id: Annotated[str, Query(pattern=_HASH)] = "",
        cursor: Annotated[str, Query(description="next_cursor of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=_LIMIT)] = 50,
    ) -> OrderPage:
        """Orders, newest first; go on with `next_cursor` and the same filter."""
        if not (tx_hash or request_id):
            page = await store.orders.page(chosen, cursor, limit)
            return OrderPage(orders=_views(page.items), next_cursor=page.next_cursor)
        if cursor:
            raise InvalidInput("cursor", cursor, "leave it out with tx_hash or request_id")
        rows = await store.orders.by_id((request_id or tx_hash).lower())
        kept = [row for row in rows if _matches(row, chosen, tx_hash, request_id)]
        return OrderPage(orders=_views(kept))

    @router.get(
        "/orders/{key}",
        responses=errors | described(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    )
    async def order(
        key: Annotated[str, Path(description="internal id, request id or workflow id")],
    ) -> OrderDetail:
        """One order with its claims, broker orders, settlement and timeline."""
        return await read_order(store, key)

    @router.get(
        "/orders/{key}/receipt",
        responses=errors | described(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT) | _RECEIPT,
        response_class=Response,
    )
    async def receipt(
        key: Annotated[str, Path(description="internal id, request id or workflow id")],
    ) -> Response:
        """The receipt of an order that has ended, in its one text: keep it byte by byte.

        `bronco receipt verify` checks it against the chain. 409 until the end is signed for, which
        takes a minute.
        """
        made = await store.receipts.of_order(await one_order(store, key))
        return Response(text_of(made), media_type="application/json")

    return router


async def read_order(store: "Store", key: str) -> OrderDetail:
    """One order with everything that happened to it.

    Raises:
        NotFound: no order has this id.
        Conflict: several have it (a transaction may hold several requests).
    """
    row = await one_order(store, key)
    claims = await store.placements.of_request(row.request_id)
    item = await store.items.of_request(row.chain_id, row.vault, row.request_id)
    broker_orders = await store.book.of_request(row.request_id)
    entries = await store.audit.of_request(row.request_id)
    unknown = last_outlook(entries) if row.stage is Stage.UNKNOWN else None
    timeline = timeline_of(entries, claims, item)
    return detail_of(row, claims, item, broker_orders, timeline, unknown)


async def one_order(store: "Store", key: str) -> Order:
    """The row of the one order with this id.

    Raises:
        NotFound: no order has this id.
        Conflict: several have it (a transaction may hold several requests).
    """
    rows = await store.orders.by_id(_key(key))
    if not rows:
        raise NotFound("order", key)
    if len(rows) > 1:
        ids = ", ".join(str(row.internal_id) for row in rows)
        raise Conflict("order", key, f"several orders have it, ask for one of them: {ids}")
    return rows[0]


def _key(key: str) -> int | str:
    # Beyond 18 digits no id is an internal one, and a database would refuse the number.
    return int(key) if key.isascii() and key.isdigit() and len(key) <= 18 else key.lower()


def _views(rows: list[Order]) -> list[OrderView]:
    return [OrderView.model_validate(row) for row in rows]


def _matches(row: Order, chosen: OrderFilter, tx_hash: str, request_id: str) -> bool:
    wanted: tuple[tuple[object, Callable[[], object]], ...] = (
        (tx_hash.lower(), lambda: row.tx_hash),
        (request_id.lower(), lambda: row.request_id),
        (chosen.status, lambda: row.status),
        (chosen.stage, lambda: row.stage),
        (chosen.side, lambda: row.order_type),
        (chosen.user, lambda: row.user_addr),
        (chosen.symbol, lambda: row.symbol),
    )
    return all(not value or value == of_row() for value, of_row in wanted)
