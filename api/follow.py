"""A user's own order, without an account: what its owner may see, and nothing of how we work."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path
from pydantic import ConfigDict

from api.errors import described
from api.views import Units, Utc, View
from models.errors import NotFound
from models.order import Order, Reason, Stage
from models.requests import Side

if TYPE_CHECKING:
    from clients.store import Store

_REQUEST = re.compile(r"0x[0-9a-f]{64}")
SAYS: Mapping[Stage, str] = {
    Stage.CONFIRMING: "Your request is on the chain and waits until it is deep enough in it.",
    Stage.HELD: "Your order waits. It goes on by itself, or your money comes back.",
    Stage.WAITING_SESSION: "Your order waits until the stock exchange opens.",
    Stage.QUEUED: "Your order is about to be sent to the broker.",
    Stage.PLACED: "Your order is at the broker and waits to be filled.",
    Stage.PART_FILLED: "A part of your order is filled; the rest is still at the broker.",
    Stage.UNKNOWN: "It is being found out whether the broker has your order. It is not sent twice.",
    Stage.CANCELLING: "What is not filled of your order is being cancelled.",
    Stage.SETTLING: "The outcome of your order is being written to the chain.",
    Stage.AWAITING_APPROVAL: "The outcome of your order waits for a second signature.",
    Stage.SETTLED: "Your order is done; the result is in your wallet.",
    Stage.REFUNDED: "Your order was not carried out; what you sent is back in your wallet.",
    Stage.CANCELLED: "Your order was cancelled; what you sent is back in your wallet.",
    Stage.EXPIRED: "Your order was not filled in time; what you sent is back in your wallet.",
    Stage.OWED: "Your order is done; a part of the money is owed and paid as soon as it is there.",
    Stage.RECLAIMED: "You took back what you had sent.",
    Stage.ORPHANED: "The chain no longer has your request; what you sent is in your wallet.",
}
_EXAMPLE: dict[str, Any] = {
    "request_id": "0x" + "5f" * 32,
    "symbol": "AAPL",
    "side": "BUY",
    "stage": "SETTLED",
    "says": SAYS[Stage.SETTLED],
    "reason": "NONE",
    "usdt_amount": "1000000000",
    "quantity": "0",
    "price_limit": "200000000",
    "spent": "951550600",
    "received": "5000000000000000000",
    "fee": "950600",
    "deadline": 1767625200,
    "reclaim_at": 1768230000,
    "tx_hash": "0x" + "ab" * 32,
    "settle_tx_hash": "0x" + "cd" * 32,
    "refund_tx_hash": "",
    "created_at": "2026-01-05T14:30:00Z",
    "updated_at": "2026-01-05T14:30:09Z",
}


class FollowView(View):
    """An order as its owner sees it; amounts as in an order, deadline and reclaim_at Unix seconds.

    reclaim_at: from then on the owner can take an unfinished request's money back alone.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    request_id: str
    symbol: str
    side: Side
    stage: Stage
    says: str
    reason: Reason
    usdt_amount: Units
    quantity: Units
    price_limit: Units
    spent: Units
    received: Units
    fee: Units
    deadline: int
    reclaim_at: int
    tx_hash: str
    settle_tx_hash: str
    refund_tx_hash: str
    created_at: Utc
    updated_at: Utc


def routes(store: "Store", *, enabled: bool) -> APIRouter:
    """The route; it finds nothing unless the operator has enabled it."""
    router = APIRouter(tags=["follow"])
    errors = described(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)

    @router.get("/follow/{request_id}", responses=errors)
    async def follow(
        request_id: Annotated[str, Path(description="as the vault told it to its owner")],
    ) -> FollowView:
        """What became of a request, for whoever knows its id; where the operator allows it."""
        wanted = request_id.lower()
        rows = await store.orders.by_id(wanted) if enabled and _REQUEST.fullmatch(wanted) else []
        own = [row for row in rows if row.request_id == wanted]
        if not own:
            raise NotFound("request", request_id)
        return seen_by_owner(own[0])

    return router


def seen_by_owner(order: Order) -> FollowView:
    """The row, less what is ours: waiting_for and error_msg name keys, accounts and limits."""
    kept = {name: getattr(order, name) for name in FollowView.model_fields if hasattr(order, name)}
    return FollowView(**kept, side=order.order_type, says=SAYS[order.stage])
