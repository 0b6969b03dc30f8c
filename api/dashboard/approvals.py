"""What waits for signatures, and handing one in from a wallet in the browser."""

import asyncio
import json
from typing import TYPE_CHECKING, NamedTuple

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from api.approvals import ApprovalDesk, ApprovalView
from api.dashboard.forms import Form
from api.dashboard.pages import Pages
from api.dashboard.session import PREFIX
from api.doors import Asking
from models.approvals import ApprovalGiven
from models.drafts import OrderFilter
from models.errors import BroncoError, InvalidInput
from models.order import Order, Stage

if TYPE_CHECKING:
    from clients.store import Store

_MOST = 25
_AT_ONCE = 5


class Waiting(NamedTuple):
    """An order that waits; typed_data: JSON, as a wallet takes it. problem: why it is not known."""

    order: Order
    view: ApprovalView | None
    typed_data: str
    problem: str


def routes(pages: Pages, store: "Store", desk: ApprovalDesk) -> APIRouter:
    """The approvals page."""
    router = APIRouter(include_in_schema=False)

    async def page(request: Request, said: str = "") -> Response:
        chosen = OrderFilter(stage=Stage.AWAITING_APPROVAL)
        rows = await store.orders.page(chosen, "", _MOST)
        lane = asyncio.Semaphore(_AT_ONCE)
        waiting = await asyncio.gather(*(_asked(desk, row, lane) for row in rows.items))
        more = bool(rows.next_cursor)
        return await pages.answer(request, "approvals.html", waiting=waiting, more=more, said=said)

    @router.get(f"{PREFIX}/approvals")
    async def approvals(request: Request) -> Response:
        return await page(request)

    @router.post(f"{PREFIX}/approvals/{{key}}")
    async def approve(request: Request, caller: Asking, key: str, form: Form) -> Response:
        case = await desk.approve(key, _given(form.get("signature", ""), caller.name))
        missing = f"{case.missing} more to go" if case.missing else "that is enough"
        said = f"The signature for order {key} is in: {missing}."
        return await page(request, said)

    return router


def _given(signature: str, who: str) -> ApprovalGiven:
    try:
        return ApprovalGiven(signature=signature, who=who[:64])
    except ValidationError as error:
        problem = "sign the typed data and hand in r, s, v as 0x and 130 hex digits"
        raise InvalidInput("signature", signature[:18], problem) from error


async def _asked(desk: ApprovalDesk, order: Order, lane: asyncio.Semaphore) -> Waiting:
    async with lane:
        try:
            view = await desk.case(order.request_id)
        except BroncoError as error:
            return Waiting(order, None, "", str(error))
    return Waiting(order, view, json.dumps(view.typed_data), "")
