"""What persons decide about the house's positions, and what its own orders have traded."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from sqlmodel import Session, col, select

from clients.store.engine import Database
from clients.store.inserts import write_audit
from models.broker import BrokerOrder
from models.columns import naive_utc
from models.drafts import AuditDraft
from models.errors import Conflict, NotFound
from models.house import HouseDecision, HouseInput, HouseStanding, HouseVerb, house_ids
from models.records import AuditEntry, BrokerOrderRow, HousePosition, Placement


class HouseDecisions:
    """A decision is its audit entry: written once, by a name, never taken back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self, position_id: int) -> HouseStanding:
        """A position, and what its own orders have become.

        Raises:
            NotFound: no such position.
        """
        return await self._database.read(
            "reading a house position", lambda session: _standing(session, position_id)
        )

    async def decide(self, verb: HouseInput, limit: Decimal, now: datetime) -> HouseDecision:
        """Put a name behind a verb; above `limit` dollars it takes two, and one counts once.

        Idempotent: the same person again changes nothing. A position that grows, or another verb,
        is decided anew.

        Raises:
            NotFound: no such position.
            Conflict: it is closed already.
        """

        def work(session: Session) -> HouseDecision:
            standing = _standing(session, verb.position_id, lock=True)
            _require_unresolved(standing.row)
            first = _told(session, "house.proposed", standing, verb.verb)
            if first is None:
                write_audit(session, _named(verb, "house.proposed", standing), now)
                proposed_by = verb.who
            else:
                proposed_by = first.actor
            second = _told(session, "house.confirmed", standing, verb.verb)
            confirmed_by = second.actor if second is not None else ""
            if not confirmed_by and standing.value > limit and not _same(proposed_by, verb.who):
                write_audit(session, _named(verb, "house.confirmed", standing), now)
                confirmed_by = verb.who
            enough = standing.value <= limit or bool(confirmed_by)
            return HouseDecision(
                approved=enough, proposed_by=proposed_by, confirmed_by=confirmed_by
            )

        return await self._database.write("deciding about a house position", work)

    async def decided(self, position_id: int, verb: HouseVerb) -> HouseDecision:
        """Who stands behind a verb by now, as `decide` left it; approved: two persons do.

        Raises:
            NotFound: no such position.
        """

        def work(session: Session) -> HouseDecision:
            standing = _standing(session, position_id)
            first = _told(session, "house.proposed", standing, verb)
            second = _told(session, "house.confirmed", standing, verb)
            return HouseDecision(
                approved=second is not None,
                proposed_by=first.actor if first is not None else "",
                confirmed_by=second.actor if second is not None else "",
            )

        return await self._database.read("reading who decided", work)

    async def close(self, verb: HouseInput, words: str, now: datetime) -> bool:
        """Close a position and what its orders traded, in one step; False: it was closed before.

        Raises:
            NotFound: no such position.
            Conflict: FLATTEN, and its orders' booked fills do not add up to it.
        """

        def work(session: Session) -> bool:
            row = _locked(session, verb.position_id)
            if row.resolved_at is not None:
                return False
            rows = [row, *_traded(session, verb.position_id)]
            left = sum(each.quantity for each in rows)
            if verb.verb is HouseVerb.FLATTEN and left:
                raise Conflict("house position", str(row.id), f"{left} shares of it are left")
            for each in rows:
                each.resolution, each.resolved_at = words[:255], naive_utc(now)
                session.add(each)
            write_audit(session, _closed(verb, words, rows), now)
            return True

        return await self._database.write("closing a house position", work)


def _locked(session: Session, position_id: int) -> HousePosition:
    chosen = select(HousePosition).where(col(HousePosition.id) == position_id)
    row = session.exec(chosen.with_for_update()).first()
    if row is None:
        raise NotFound("house position", str(position_id))
    return row


def _traded(session: Session, position_id: int) -> list[HousePosition]:
    """What was booked of its own orders and is open."""
    first, last = house_ids(position_id)
    chosen = select(HousePosition).where(
        col(HousePosition.request_id) >= first,
        col(HousePosition.request_id) <= last,
        col(HousePosition.resolved_at).is_(None),
    )
    return list(session.exec(chosen.order_by(col(HousePosition.id)).with_for_update()))


def _standing(session: Session, position_id: int, *, lock: bool = False) -> HouseStanding:
    row = _locked(session, position_id) if lock else session.get(HousePosition, position_id)
    if row is None:
        raise NotFound("house position", str(position_id))
    first, last = house_ids(position_id)
    claims = select(Placement).where(
        col(Placement.request_id) >= first, col(Placement.request_id) <= last
    )
    rounds = list(session.exec(claims.order_by(col(Placement.request_id))))
    held = select(BrokerOrderRow).where(
        col(BrokerOrderRow.remark).in_([claim.remark for claim in rounds])
    )
    orders = {order.remark: order for order in session.exec(held)} if rounds else {}
    return HouseStanding(row, [(claim, _order(orders.get(claim.remark))) for claim in rounds])


def _order(row: BrokerOrderRow | None) -> BrokerOrder | None:
    if row is None:
        return None
    return BrokerOrder(**row.model_dump(exclude={"seen_at", "changed_at", "filled_at"}))


def _key(action: str, row: HousePosition, verb: HouseVerb) -> str:
    return f"{action}:{row.id}:{verb}:{row.quantity}"


def _told(
    session: Session, action: str, standing: HouseStanding, verb: HouseVerb
) -> AuditEntry | None:
    key = _key(action, standing.row, verb)
    return session.exec(select(AuditEntry).where(col(AuditEntry.event_key) == key)).first()


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _named(verb: HouseInput, action: str, standing: HouseStanding) -> AuditDraft:
    row = standing.row
    return AuditDraft(
        event_key=_key(action, row, verb.verb),
        action=action,
        request_id=row.request_id,
        actor=verb.who,
        data={
            "position": row.id,
            "verb": verb.verb.value,
            "symbol": row.symbol,
            "quantity": row.quantity,
            "value": standing.value,
            "reason": verb.reason,
        },
    )


def _closed(verb: HouseInput, words: str, rows: Sequence[HousePosition]) -> AuditDraft:
    row = rows[0]
    return AuditDraft(
        event_key=f"house.resolved:{row.id}",
        action="house.resolved",
        request_id=row.request_id,
        actor=verb.who,
        data={
            "symbol": row.symbol,
            "quantity": row.quantity,
            "verb": verb.verb.value,
            "gain": _gain(verb, rows),
            "reason": verb.reason,
            "resolution": words,
        },
    )


def _require_unresolved(row: HousePosition) -> None:
    if row.resolved_at is not None:
        raise Conflict("house position", str(row.id), f"it is closed: {row.resolution}")


def _gain(verb: HouseInput, rows: Sequence[HousePosition]) -> Decimal:
    """Dollars that the house has won with it by now, lost = negative; what went to a user: 0."""
    if verb.verb is HouseVerb.ADOPT:
        return Decimal(0)
    return -sum((each.cost for each in rows), Decimal(0))
