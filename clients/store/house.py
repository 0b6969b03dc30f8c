"""The `house_positions` table: fills that no open request may claim."""

from datetime import datetime

from sqlmodel import Session, col, select

from clients.store.engine import Database
from clients.store.inserts import write_audit
from models.columns import naive_utc
from models.drafts import AuditDraft
from models.errors import Conflict, NotFound
from models.money import plain_decimal
from models.records import HousePosition


class House:
    """Positions of the house, one row per (broker order, cause), open until resolved."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def book(self, position: HousePosition) -> bool:
        """Book a position; True when it is new or has grown.

        quantity and cost are totals of that order and cause, not increments; a smaller total is an
        old report and changes nothing. What must follow (alarm, hold) hangs on `unresolved`, since
        True can be lost with the caller.

        Raises:
            Conflict: it grew after it had been resolved.
        """
        new = _row(position)
        chosen = select(HousePosition).where(
            col(HousePosition.broker_order_id) == new.broker_order_id,
            col(HousePosition.cause) == new.cause,
        )

        def work(session: Session) -> bool:
            row = session.exec(chosen.with_for_update()).first()
            if row is None:
                row = HousePosition(**new.model_dump(exclude={"id"}))
            elif abs(new.quantity) <= abs(row.quantity):
                return False
            else:
                _require_open(row, new.quantity)
                row.quantity, row.cost = new.quantity, new.cost
            session.add(row)
            write_audit(session, _booked(row), new.created_at)
            return True

        return await self._database.write("booking a house position", work)

    async def unresolved(self) -> list[HousePosition]:
        """Positions no operator has dealt with, oldest first."""
        chosen = select(HousePosition).where(col(HousePosition.resolved_at).is_(None))
        ordered = chosen.order_by(col(HousePosition.id))
        return await self._database.read(
            "reading house positions", lambda session: list(session.exec(ordered))
        )

    async def net(self, symbol: str) -> int:
        """Signed whole shares of all unresolved positions in a symbol."""
        chosen = select(HousePosition.quantity).where(
            col(HousePosition.resolved_at).is_(None), col(HousePosition.symbol) == symbol
        )
        return await self._database.read(
            "adding up the house's position", lambda session: sum(session.exec(chosen))
        )

    async def booked(self, broker_order_id: str) -> list[HousePosition]:
        """Positions booked from one broker order, resolved ones too."""
        chosen = select(HousePosition).where(col(HousePosition.broker_order_id) == broker_order_id)
        ordered = chosen.order_by(col(HousePosition.id))
        return await self._database.read(
            "reading house positions", lambda session: list(session.exec(ordered))
        )

    async def resolve(self, position_id: int, resolution: str, *, who: str, now: datetime) -> bool:
        """Close a position with what was done about it; False when it was closed before.

        Raises:
            NotFound: no such position.
        """
        chosen = select(HousePosition).where(col(HousePosition.id) == position_id)

        def work(session: Session) -> bool:
            row = session.exec(chosen.with_for_update()).first()
            if row is None:
                raise NotFound("house position", str(position_id))
            if row.resolved_at is not None:
                return False
            row.resolution, row.resolved_at = resolution, naive_utc(now)
            data = {"symbol": row.symbol, "quantity": row.quantity, "resolution": resolution}
            key = f"house.resolved:{row.id}"
            draft = AuditDraft(key, "house.resolved", row.request_id, actor=who, data=data)
            write_audit(session, draft, now)
            return True

        return await self._database.write("resolving a house position", work)


def _row(position: HousePosition) -> HousePosition:
    values = position.model_dump(exclude={"id", "resolution", "resolved_at"})
    return HousePosition(
        **values
        | {
            "request_id": position.request_id.lower(),
            "cost": plain_decimal(position.cost),
            "created_at": naive_utc(position.created_at),
        }
    )


def _require_open(row: HousePosition, quantity: int) -> None:
    if row.resolved_at is not None:
        detail = f"grew from {row.quantity} to {quantity} after it was resolved: {row.resolution}"
        raise Conflict("house position", f"{row.broker_order_id} {row.cause}", detail)


def _booked(row: HousePosition) -> AuditDraft:
    return AuditDraft(
        event_key=f"house:{row.broker_order_id}:{row.cause}:{row.quantity}",
        action="house.booked",
        request_id=row.request_id,
        data={
            "symbol": row.symbol,
            "quantity": row.quantity,
            "cost": row.cost,
            "cause": row.cause,
            "broker_order_id": row.broker_order_id,
        },
    )
