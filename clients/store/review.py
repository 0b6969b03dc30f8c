"""All that the store holds about many requests at once: what reconcile compares."""

from collections.abc import Collection, Iterator

from sqlmodel import Session, col, select

from clients.store.engine import Database
from models.broker import BrokerOrder
from models.drafts import RequestRecords
from models.order import Order
from models.records import BrokerOrderRow, Placement, SettlementItem

_CHUNK = 400


class Review:
    """Bulk reads over several tables, a few statements for hundreds of requests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def requests(
        self, chain_id: int, vault: str, request_ids: Collection[str]
    ) -> RequestRecords:
        """Rows, items, claims and claimed orders of these requests; the unknown are absent."""
        lowered = sorted({request_id.lower() for request_id in request_ids})

        def work(session: Session) -> RequestRecords:
            found = RequestRecords([], [], [], [])
            for ids in _chunks(lowered):
                _add(session, chain_id, vault.lower(), ids, found)
            return found

        return await self._database.read("reviewing requests", work)


def _add(
    session: Session, chain_id: int, vault: str, ids: list[str], found: RequestRecords
) -> None:
    rows = select(Order).where(
        col(Order.chain_id) == chain_id,
        col(Order.vault) == vault,
        col(Order.request_id).in_(ids),
    )
    items = select(SettlementItem).where(
        col(SettlementItem.chain_id) == chain_id,
        col(SettlementItem.vault) == vault,
        col(SettlementItem.request_id).in_(ids),
    )
    claims = list(session.exec(select(Placement).where(col(Placement.request_id).in_(ids))))
    found.rows.extend(session.exec(rows))
    found.items.extend(session.exec(items))
    found.claims.extend(claims)
    remarks = [claim.remark for claim in claims]
    orders = select(BrokerOrderRow).where(col(BrokerOrderRow.remark).in_(remarks))
    if remarks:
        found.orders.extend(_order(row) for row in session.exec(orders))


def _order(row: BrokerOrderRow) -> BrokerOrder:
    return BrokerOrder(**row.model_dump(exclude={"seen_at", "changed_at"}))


def _chunks(ids: list[str]) -> Iterator[list[str]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
