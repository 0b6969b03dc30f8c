"""What a day's statement is made of: confirmed orders and settlements, a few hundred at a time."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime

from sqlalchemy import select as columns
from sqlmodel import Session, col, select

from clients.store.days import trading_day
from clients.store.engine import Database
from models.broker import BrokerOrder
from models.order import Order
from models.records import BrokerOrderRow, ItemKind, ItemState, Placement, SettlementItem
from models.requests import Side, parse_remark
from models.statement import (
    RequestFills,
    StatementLine,
    confirmed_line,
    unconfirmed_line,
)

_CHUNK = 400
_MINED = (ItemState.MINED, ItemState.FINAL)
_NOT_OURS = {"seen_at", "changed_at", "filled_at"}


class Statements:
    """Reads a day in pages: five statements for each few hundred orders, however many there are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lines(self, day: date, decimals: int) -> AsyncIterator[StatementLine]:
        """A trading day of New York: what filled that day, then what was settled unconfirmed.

        Raises:
            InvalidInput: not a day in which anything was traded.
            SourceUnavailable: the database could not be asked.
        """
        begin, end = trading_day(day)
        after = ""
        while True:
            page, after = await self._confirmed(begin, end, after, decimals)
            for line in page:
                yield line
            if not after:
                break
        seen = 0
        while True:
            page, seen = await self._unconfirmed(begin, end, seen)
            for line in page:
                yield line
            if not seen:
                return

    async def _confirmed(
        self, begin: datetime, end: datetime, after: str, decimals: int
    ) -> tuple[list[StatementLine], str]:
        chosen = (
            select(BrokerOrderRow)
            .where(col(BrokerOrderRow.filled_at) >= begin, col(BrokerOrderRow.filled_at) < end)
            .where(col(BrokerOrderRow.filled) > 0, col(BrokerOrderRow.order_id) > after)
            .order_by(col(BrokerOrderRow.order_id))
            .limit(_CHUNK)
        )

        def work(session: Session) -> tuple[list[StatementLine], str]:
            rows = list(session.exec(chosen))
            named = {row.order_id: _request_of(row) for row in rows}
            fills = _fills(session, sorted(set(named.values()) - {""}))
            lines = [
                confirmed_line(
                    _order(row),
                    row.filled_at or row.changed_at,
                    named[row.order_id],
                    fills.get(named[row.order_id]),
                    decimals,
                )
                for row in rows
            ]
            return lines, rows[-1].order_id if len(rows) == _CHUNK else ""

        return await self._database.read("reading confirmed orders", work)

    async def _unconfirmed(
        self, begin: datetime, end: datetime, after: int
    ) -> tuple[list[StatementLine], int]:
        chosen = (
            select(SettlementItem)
            .where(col(SettlementItem.updated_at) >= begin, col(SettlementItem.updated_at) < end)
            .where(col(SettlementItem.kind) == ItemKind.SETTLE)
            .where(col(SettlementItem.state).in_(_MINED), col(SettlementItem.id) > after)
            .order_by(col(SettlementItem.id))
            .limit(_CHUNK)
        )

        def work(session: Session) -> tuple[list[StatementLine], int]:
            items = list(session.exec(chosen))
            ids = [item.request_id for item in items]
            known = set(_fills(session, ids))
            missing = [item for item in items if item.request_id not in known]
            named = _named(session, [item.request_id for item in missing])
            lines = [
                unconfirmed_line(item, *named.get(item.request_id, ("", Side.BUY)))
                for item in missing
            ]
            return lines, items[-1].id or 0 if len(items) == _CHUNK else 0

        return await self._database.read("reading settlements", work)


def _fills(session: Session, ids: Sequence[str]) -> dict[str, RequestFills]:
    """By request: every order of it that filled, its claims and its item; no fill: absent."""
    if not ids:
        return {}
    claims = list(session.exec(select(Placement).where(col(Placement.request_id).in_(ids))))
    remarks = {claim.remark: claim.request_id for claim in claims}
    orders: dict[str, list[BrokerOrder]] = {}
    filled = select(BrokerOrderRow).where(
        col(BrokerOrderRow.remark).in_(sorted(remarks)), col(BrokerOrderRow.filled) > 0
    )
    for row in session.exec(filled):
        orders.setdefault(remarks[row.remark], []).append(_order(row))
    items = select(SettlementItem).where(col(SettlementItem.request_id).in_(ids))
    of_request = {item.request_id: item for item in session.exec(items)}
    return {
        request_id: RequestFills(
            orders=found,
            claims=[claim for claim in claims if claim.request_id == request_id],
            item=of_request.get(request_id),
        )
        for request_id, found in orders.items()
    }


def _named(session: Session, ids: Sequence[str]) -> dict[str, tuple[str, Side]]:
    if not ids:
        return {}
    chosen = columns(col(Order.request_id), col(Order.symbol), col(Order.order_type)).where(
        col(Order.request_id).in_(ids)
    )
    return {row[0]: (row[1], Side(row[2])) for row in session.execute(chosen)}


def _request_of(row: BrokerOrderRow) -> str:
    parsed = parse_remark(row.remark)
    return parsed[0] if parsed else ""


def _order(row: BrokerOrderRow) -> BrokerOrder:
    return BrokerOrder(**row.model_dump(exclude=_NOT_OURS))
