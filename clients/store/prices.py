"""Prices that orders were decided on and filled at, for people to look at."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import func
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from clients.store.engine import Database
from models.records import AuditEntry, BrokerOrderRow
from models.requests import Side

_CLAIMED = "placement.claimed"
_FILL = ("symbol", "filled_at", "side", "filled", "average_price")
_ENTRIES = 20_000
"""Newest entries that are looked through for prices: a bound whatever the log holds."""


class PriceSeen(NamedTuple):
    """What the broker showed when an order was decided on. at: naive UTC; dollars."""

    symbol: str
    at: datetime
    last: Decimal


class FillSeen(NamedTuple):
    """What an order filled, as last seen. at: naive UTC; shares; dollars."""

    symbol: str
    at: datetime
    side: Side
    shares: int
    price: Decimal


class Prices:
    """Newest prices first, over all symbols."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def seen(self, limit: int = 300) -> list[PriceSeen]:
        """What quotes of claims said; entries that hold none are left out."""
        newest = select(func.max(AuditEntry.id)).scalar_subquery()
        chosen = (
            select(AuditEntry.data)
            .where(col(AuditEntry.id) > newest - _ENTRIES, col(AuditEntry.action) == _CLAIMED)
            .order_by(col(AuditEntry.id).desc())
            .limit(limit)
        )
        rows = await self._database.read(
            "reading prices", lambda session: list(session.exec(chosen))
        )
        found = (_price(json.loads(row)) for row in rows)
        return [price for price in found if price is not None]

    async def fills(self, limit: int = 300) -> list[FillSeen]:
        """What was filled last."""
        row = BrokerOrderRow
        chosen = (
            sql_select(*(getattr(row, name) for name in _FILL))
            .where(col(row.filled) > 0, col(row.filled_at).is_not(None))
            .order_by(col(row.changed_at).desc())
            .limit(limit)
        )
        return await self._database.read(
            "reading fills", lambda session: [FillSeen(*each) for each in session.execute(chosen)]
        )


def _price(data: dict[str, Any]) -> PriceSeen | None:
    broker = (data.get("quote") or {}).get("broker") or {}
    if not broker.get("last") or not broker.get("at"):
        return None
    moment = datetime.fromisoformat(broker["at"]).replace(tzinfo=None)
    return PriceSeen(str(data.get("symbol", "")), moment, Decimal(str(broker["last"])))
