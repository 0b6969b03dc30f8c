"""The `reserves` table, and what redeems were paid: what is held, and what will be asked for."""

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlmodel import Session, col, select

from clients.store.engine import Database
from models.order import Order
from models.records import ItemKind, ItemState, ReserveRow, SettlementItem
from models.requests import Side
from models.reserves import Reserves

_KEPT = timedelta(days=8)
_NOT_PAID = (ItemState.REJECTED, ItemState.LOST)


class ReserveBook:
    """Statements by time; what is older than eight days is dropped on the way."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, statement: Reserves) -> None:
        """Keep a statement. One of the same moment twice is kept once."""
        row = ReserveRow(taken_at=statement.taken_at, document=statement.text())
        same = select(ReserveRow).where(col(ReserveRow.taken_at) == statement.taken_at)
        old = delete(ReserveRow).where(col(ReserveRow.taken_at) < statement.taken_at - _KEPT)

        def work(session: Session) -> None:
            session.execute(old)
            if session.exec(same).first() is None:
                session.add(ReserveRow(**row.model_dump()))

        await self._database.write("recording the reserves", work)

    async def latest(self) -> Reserves | None:
        """The newest statement; None when there never was one."""
        newest = select(ReserveRow).order_by(col(ReserveRow.taken_at).desc()).limit(1)

        def work(session: Session) -> Reserves | None:
            row = session.exec(newest).first()
            return None if row is None else Reserves.model_validate_json(row.document)

        return await self._database.read("reading the reserves", work)

    async def paid_out(
        self, chain_id: int, vault: str, since: datetime, until: datetime
    ) -> list[tuple[datetime, int]]:
        """When redeems were settled in [since, until), and the USDT units of each."""
        chosen = (
            select(SettlementItem.created_at, SettlementItem.out)
            .join(
                Order,
                (col(Order.chain_id) == col(SettlementItem.chain_id))
                & (col(Order.vault) == col(SettlementItem.vault))
                & (col(Order.request_id) == col(SettlementItem.request_id)),
            )
            .where(
                col(SettlementItem.chain_id) == chain_id,
                col(SettlementItem.vault) == vault.lower(),
                col(SettlementItem.kind) == ItemKind.SETTLE,
                col(SettlementItem.state).not_in(_NOT_PAID),
                col(SettlementItem.created_at) >= since,
                col(SettlementItem.created_at) < until,
                col(Order.order_type) == Side.SELL,
            )
        )
        return await self._database.read(
            "reading what redeems were paid",
            lambda session: [(at, units) for at, units in session.exec(chosen)],
        )
