"""Numbers over many orders, in a constant number of statements."""

from datetime import datetime

from sqlalchemy import select as columns
from sqlmodel import Session, col

from clients.store.days import day_of
from clients.store.engine import Database
from models.columns import naive_utc
from models.order import Order, OrderStatus
from models.requests import Side
from models.stats import Executed, Volumes, volumes_of

_MOST = 200_000
"""Newest orders that are counted: what a process can hold at once."""


class Stats:
    """Sums are made here and not in SQL: SQLite would add money as floating point."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def executed_since(self, moment: datetime) -> Volumes:
        """Volumes and durations of what was executed since; one statement."""
        chosen = (
            columns(
                col(Order.order_type),
                col(Order.spent),
                col(Order.received),
                col(Order.fee),
                col(Order.created_at),
                col(Order.updated_at),
            )
            .where(col(Order.status) == OrderStatus.EXECUTED)
            .where(col(Order.updated_at) >= naive_utc(moment))
            .order_by(col(Order.updated_at).desc())
            .limit(_MOST)
        )

        def work(session: Session) -> Volumes:
            return volumes_of(
                Executed(Side(side), spent, received, fee, day_of(ended), ended - begun)
                for side, spent, received, fee, begun, ended in session.execute(chosen)
            )

        return await self._database.read("reading volumes", work)
