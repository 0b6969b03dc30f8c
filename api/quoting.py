"""What a request would come to, before anybody deposits."""

import hashlib
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import TemporalError

from api.control import PauseStatus, read_status
from api.errors import described
from api.switch import TradingSwitch
from api.views import Dollars, Units, View
from models.errors import InvalidInput, SourceUnavailable
from models.money import SHARE_SCALE
from models.quoting import QuoteInput, QuoteObstacle, QuoteResult, QuoteSource
from models.requests import QUEUE_MAIN, Side

if TYPE_CHECKING:
    from clients.flags import Flags
    from models.assets import AssetBook

_ANSWER = timedelta(seconds=10)
_TASK_TIMEOUT = timedelta(seconds=2)
_INTEGER = r"^[0-9]{1,38}$"
_HOLD = "HOLD"
_EXAMPLE: dict[str, Any] = {
    "side": "BUY",
    "symbol": "AAPL",
    "token": "0x9fe46736679d2d9a65f0992f2272de9f3c7fa6e0",
    "amount": "1000000000",
    "shares": 5,
    "fee_bps": 10,
    "usdt_decimals": 6,
    "worst": {
        "price": "195.7",
        "all_in_price": "195895700",
        "spent": "979478500",
        "received": "5000000000000000000",
        "fee": "978500",
        "returned": "20521500",
    },
    "expected": {
        "price": "190.05",
        "all_in_price": "190240050",
        "spent": "951200250",
        "received": "5000000000000000000",
        "fee": "950250",
        "returned": "48799750",
    },
    "market_open": True,
    "next_open": None,
    "confirmations": 12,
    "earliest_placement": 1767622200,
    "deadline": 1767708600,
    "refund_by": 1767708600,
    "reclaim_at": 1768313400,
    "obstacles": [],
    "sources": [
        {"name": "broker", "at": 1767622199, "age_seconds": 1, "says": "bid 190.03, ask 190.05 USD"}
    ],
    "quoted_at": 1767622200,
}


class OutcomeView(View):
    """What so many shares at this price come to.

    price: dollars per share at the broker. all_in_price: USDT units per token, fee included. BUY:
    spent, fee, returned in USDT units, received in token units. SELL: spent and returned in token
    units, received and fee in USDT units.
    """

    price: Dollars
    all_in_price: Units
    spent: Units
    received: Units
    fee: Units
    returned: Units


class QuoteView(View):
    """A quote. It binds nobody: the price that counts is asked for when the order is placed.

    amount: USDT units (BUY) or token units (SELL). shares: whole ones. worst: at the limit that
    would be sent to the broker; expected: at what its book shows now; null where the request cannot
    be served at all. confirmations: blocks on top that it waits for, null: until it is final. Times
    are Unix seconds: earliest_placement after confirmations and the next open; refund_by: no order
    is placed or works later, and what is not filled goes back; reclaim_at: the owner may take the
    escrow back alone. obstacles: what would keep it waiting or send it back as things are now,
    holds of trading among them. sources: where the numbers are from, and how old they are.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    side: Side
    symbol: str
    token: str
    amount: Units
    shares: int
    fee_bps: int
    usdt_decimals: int
    worst: OutcomeView | None
    expected: OutcomeView | None
    market_open: bool
    next_open: int | None
    confirmations: int | None
    earliest_placement: int | None
    deadline: int
    refund_by: int
    reclaim_at: int
    obstacles: list[QuoteObstacle]
    sources: list[QuoteSource]
    quoted_at: int


class QuoteAsk(BaseModel):
    """What is asked, as it comes in the query."""

    model_config = ConfigDict(extra="forbid")

    side: Side
    symbol: str = Field(min_length=1, max_length=24, examples=["AAPL"])
    amount: str = Field(
        "",
        pattern=r"^([0-9]{1,38})?$",
        description="USDT units (BUY) or token units (SELL)",
        examples=["1000000000"],
    )
    shares: int | None = Field(
        None, ge=1, le=10**9, description="instead of amount, for SELL: tokens of 10^18 units"
    )
    limit_price: str = Field(
        "",
        pattern=r"^([0-9]{1,38})?$",
        description="USDT units per token, fee included; left out: market, within the band",
    )
    deadline: int = Field(0, ge=0, le=2**37, description="Unix seconds; left out: in a day")

    def told(self) -> QuoteInput:
        """The question, as the workflow takes it.

        Raises:
            InvalidInput: neither amount nor shares, or both, or shares to buy.
        """
        if bool(self.amount) is (self.shares is not None):
            raise InvalidInput("amount", self.amount, "give amount or shares, one of them")
        if self.shares is not None and self.side is Side.BUY:
            remedy = "what is deposited is an amount of USDT units: give amount"
            raise InvalidInput("shares", self.shares, remedy)
        amount = int(self.amount) if self.amount else (self.shares or 0) * SHARE_SCALE
        if not amount:
            raise InvalidInput("amount", self.amount, "give more than nothing")
        return QuoteInput(
            side=self.side,
            symbol=self.symbol.upper(),
            amount=amount,
            limit_price=int(self.limit_price) if self.limit_price else None,
            deadline=self.deadline,
        )


class QuoteDesk:
    """Asks whoever has the broker's connection, through a workflow that lives as long as that."""

    def __init__(self, client: Client, assets: "AssetBook") -> None:
        self._client = client
        self._assets = assets

    async def quote(self, ask: QuoteInput) -> QuoteResult:
        """The quote. Asked twice at once, it is answered once.

        Raises:
            InvalidInput: the symbol is not configured.
            SourceUnavailable: chain, feed, calendar or broker could not be asked, or nobody did.
        """
        self._assets.of_symbol(ask.symbol)
        digest = hashlib.sha256(ask.model_dump_json().encode()).hexdigest()
        doing = f"quoting {ask.symbol}"
        try:
            found: QuoteResult = await self._client.execute_workflow(
                "QuoteWorkflow",
                ask,
                id=f"quote-{digest[:32]}",
                task_queue=QUEUE_MAIN,
                result_type=QuoteResult,
                execution_timeout=_ANSWER,
                task_timeout=_TASK_TIMEOUT,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=f"{ask.side.value} {ask.symbol}",
            )
        except WorkflowFailureError as error:
            raise SourceUnavailable("a source", doing, _root(error)) from error
        except (TemporalError, OSError, RuntimeError) as error:
            raise SourceUnavailable("Temporal", doing, str(error)) from error
        return found


def routes(desk: QuoteDesk, switch: TradingSwitch, flags: "Flags") -> APIRouter:
    """The quote's route."""
    router = APIRouter(tags=["quotes"])
    errors = described(
        HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE
    )

    @router.get("/quote", responses=errors)
    async def quote(ask: Annotated[QuoteAsk, Query()]) -> QuoteView:
        """What a request would come to now: shares, price, fee, times, what is in its way.

        It comes from the same sources and guards that an order is placed on. 503 names the source
        that could not be asked: no number here is a guess.
        """
        found = await desk.quote(ask.told())
        holds = _holds_of(await read_status(switch, flags), found)
        return QuoteView.model_validate(
            found.model_dump() | {"obstacles": [*holds, *found.obstacles]}
        )

    return router


def _holds_of(status: PauseStatus, quote: QuoteResult) -> list[QuoteObstacle]:
    found = [
        QuoteObstacle(kind=_HOLD, detail=f"{hold.reason or hold.key} (by {hold.who or 'bronco'})")
        for hold in status.holds
        if hold.side in (None, quote.side) and hold.symbol in ("", quote.symbol)
    ]
    if status.halted is not None:
        found.append(QuoteObstacle(kind=_HOLD, detail=f"halted: {status.halted}"))
    if not found and status.note:
        found.append(QuoteObstacle(kind=_HOLD, detail=status.note))
    return found


def _root(error: BaseException) -> str:
    """What the source said, at the end of the chain of causes."""
    cause: BaseException = error
    while (deeper := getattr(cause, "cause", None)) is not None:
        cause = deeper
    return str(cause) or type(cause).__name__
