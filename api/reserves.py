"""What is held against what is owed, as reconcile last measured it."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from pydantic import ConfigDict

from api.errors import described
from api.views import Units, Utc
from models.errors import NotFound
from models.reserves import Reserves, short_words

if TYPE_CHECKING:
    from clients.store import Store

_SHARES: dict[str, Any] = {
    "symbol": "AAPL",
    "token": "0x" + "5f" * 20,
    "held": 6,
    "house": 1,
    "in_flight": 0,
    "shares_per_token": {"numerator": 1, "denominator": 1, "epoch": 0},
    "held_units": "5000000000000000000",
    "issued_units": "5000000000000000000",
    "bought_units": "0",
    "sold_units": "0",
    "gap_units": "0",
    "cover": "COVERED",
    "price_units": "190000000",
}
EXAMPLE: dict[str, Any] = {
    "chain_id": 1,
    "vault": "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0",
    "block": {"number": 21000000, "hash": "0x" + "ab" * 32, "timestamp": 1767625200},
    "taken_at": "2026-01-05T15:00:03.120000Z",
    "broker_at": "2026-01-05T15:00:01.400000Z",
    "book_at": "2026-01-05T15:00:00.900000Z",
    "usdt": {
        "decimals": 6,
        "vault_units": "51200000000",
        "escrow_units": "1000000000",
        "claimable_units": "200000000",
        "owed_units": "0",
        "liabilities_units": "1200000000",
        "free_units": "50000000000",
        "fees_units": "12000000",
        "floor_units": "0",
    },
    "float": {"usdt_units": "50000000000", "usd_cents": "9930012", "working_cents": "19010"},
    "shares": [_SHARES],
    "forecast": [
        {
            "days": 1,
            "open_units": "190000000",
            "past_units": "950000000",
            "need_units": "1140000000",
            "have_units": "50000000000",
            "short_units": "0",
        }
    ],
    "in_flight": {"placements": 0, "orders": 1, "settlements": 0, "requests": 2},
    "problems": [],
    "age_seconds": 41,
    "complete": True,
    "surplus_units": "50000000000",
    "short": "",
}


class ReservesView(Reserves):
    """One statement. Units are base units, cents are dollars' hundredths; times are UTC.

    age_seconds: since it was taken. complete: everything in it was measured, else `problems` says
    what was not. surplus_units: the vault's USDT beyond its liabilities. short: what redeems will
    need within a day and the vault does not have, in words; empty while it has it.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]}, frozen=True)

    taken_at: Utc
    broker_at: Utc | None
    book_at: Utc | None
    age_seconds: int
    complete: bool
    surplus_units: Units
    short: str


def routes(store: "Store") -> APIRouter:
    """The reserves route."""
    router = APIRouter(tags=["reserves"])
    errors = described(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)

    @router.get("/reserves", responses=errors)
    async def reserves() -> ReservesView:
        """Shares held against shares issued, USDT against liabilities, and what redeems will need.

        Measured by reconcile each minute at one block; 404 until it has run once.
        """
        return view_of(await latest(store), datetime.now(UTC))

    return router


async def latest(store: "Store") -> Reserves:
    """The newest statement. Raises NotFound before there is one."""
    found = await store.reserves.latest()
    if found is None:
        raise NotFound("statement of the reserves", "the newest")
    return found


def view_of(statement: Reserves, now: datetime) -> ReservesView:
    """A statement as it is shown."""
    age = now - statement.taken_at.replace(tzinfo=UTC)
    return ReservesView(
        **dict(statement),
        age_seconds=max(0, int(age.total_seconds())),
        complete=not statement.problems,
        surplus_units=statement.usdt.surplus_units,
        short=short_words(statement.forecast),
    )
