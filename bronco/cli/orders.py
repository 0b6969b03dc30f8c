"""orders, order: reading what became of requests."""

import asyncio
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from bronco.cli.output import write, write_json, write_table
from bronco.cli.trading import Json, SideName

if TYPE_CHECKING:
    from api.views import OrderDetail, OrderPage, OrderView
    from models.outlook import UnknownOutlook

_PANEL = "Read"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("orders", rich_help_panel=_PANEL)(list_orders)
    app.command("order", rich_help_panel=_PANEL)(show_order)


def list_orders(
    status: Annotated[str, typer.Option(help="PENDING, EXECUTING, EXECUTED or FAILED.")] = "",
    stage: Annotated[str, typer.Option(help="HELD, PLACED, SETTLING, ...")] = "",
    side: Annotated[SideName | None, typer.Option(case_sensitive=False)] = None,
    user: Annotated[str, typer.Option(help="Address of the user.")] = "",
    symbol: Annotated[str, typer.Option(help="E.g. AAPL.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    cursor: Annotated[str, typer.Option(help="next_cursor of the page before.")] = "",
    as_json: Json = False,
) -> None:
    """List orders, newest first.

    bronco orders --stage HELD --symbol AAPL
    """
    from models.drafts import OrderFilter
    from models.order import OrderStatus, Stage
    from models.requests import Side

    chosen = OrderFilter(
        status=OrderStatus(_member(status, OrderStatus, "status")) if status else None,
        stage=Stage(_member(stage, Stage, "stage")) if stage else None,
        side=Side(side.value) if side else None,
        user=user.lower(),
        symbol=symbol.upper(),
    )

    async def read() -> "OrderPage":
        from api.views import OrderPage, OrderView
        from bronco.cli.sources import open_store

        with open_store() as store:
            page = await store.orders.page(chosen, cursor, limit)
        views = [OrderView.model_validate(row) for row in page.items]
        return OrderPage(orders=views, next_cursor=page.next_cursor)

    page = asyncio.run(read())
    if as_json:
        write_json(page)
        return
    heads = ("id", "side", "symbol", "status", "stage", "tokens", "USDT units", "waits / reason")
    write_table("", heads, [_row(order) for order in page.orders])
    if page.next_cursor:
        write(f"more: --cursor {page.next_cursor}")


def show_order(
    key: Annotated[str, typer.Argument(help="Internal id, request id or workflow id.")],
    as_json: Json = False,
) -> None:
    """Show one order with everything that happened to it."""

    async def read() -> "OrderDetail":
        from api.orders import read_order
        from bronco.cli.sources import open_store

        with open_store() as store:
            return await read_order(store, key)

    detail = asyncio.run(read())
    if as_json:
        write_json(detail)
    else:
        _show(detail)


def _member(text: str, members: type[StrEnum], field: str) -> str:
    from models.errors import InvalidInput

    known = [str(member) for member in members]
    if text.upper() not in known:
        raise InvalidInput(field, text, f"use one of {', '.join(known)}")
    return text.upper()


def _row(order: "OrderView") -> tuple[object, ...]:
    return (
        order.internal_id,
        order.order_type,
        order.symbol,
        order.status,
        order.stage,
        _tokens(order.filled_quantity or order.quantity),
        _usdt(order),
        order.waiting_for or order.error_msg or "",
    )


def _usdt(order: "OrderView") -> int:
    """USDT units: spent or escrowed by a buy, received by a sell."""
    if order.order_type == "SELL":
        return order.received
    return order.spent or order.usdt_amount


def _tokens(units: int) -> str:
    """Exact: 10^18 units are one token, which is one share until a split."""
    whole, rest = divmod(units, 10**18)
    return f"{whole}.{rest:018d}".rstrip("0").rstrip(".")


def _show(detail: "OrderDetail") -> None:
    hidden = {"claims", "item", "broker_orders", "timeline", "unknown"}
    fields = detail.model_dump(mode="json", exclude=hidden)
    rows = [(name, value) for name, value in fields.items() if value not in ("", None)]
    write_table(f"Order {detail.internal_id}", ("field", "value"), rows)
    if detail.unknown is not None:
        _show_unknown(detail.unknown)
    orders = [
        (order.order_id, order.vendor_status, order.filled, order.quantity, order.average_price)
        for order in detail.broker_orders
    ]
    if orders:
        heads = ("broker order", "status", "filled", "of", "average")
        write_table("At the broker", heads, orders)
    events = [
        (
            entry.at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
            entry.what,
            entry.actor,
            _words(entry.data),
        )
        for entry in detail.timeline
    ]
    write_table("Timeline (UTC)", ("at", "what", "who", "with"), events)


def _show_unknown(outlook: "UnknownOutlook") -> None:
    rows = [
        ("cause", outlook.cause),
        ("what is done", outlook.doing),
        ("decided by, while the broker answers", outlook.decided_by),
        ("if it is at the broker, works until", outlook.works_until or ""),
        ("money back at the latest", outlook.money_back_by or ""),
    ]
    write_table("Its outcome is unknown", ("what", "told (UTC)"), rows)


def _words(data: dict[str, object]) -> str:
    shown = {name: value for name, value in data.items() if value not in ("", None)}
    texts = {
        n: value if isinstance(value, str) else json.dumps(value) for n, value in shown.items()
    }
    return " ".join(f"{name}={text}" for name, text in texts.items())
