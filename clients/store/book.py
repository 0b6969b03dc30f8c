"""The `broker_orders` and `broker_snapshots` tables: the broker's book as last seen."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, update
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from clients.store.attempts import ENDED, book_read_since, remarks_of
from clients.store.engine import Database
from clients.store.inserts import write_audit
from clients.store.merging import merged
from clients.store.reservations import holding_reservations
from models.broker import LONGEST_LOOK_BACK, BookSnapshot, BrokerOrder, BrokerStatus
from models.columns import naive_utc
from models.drafts import AuditDraft
from models.money import plain_decimal
from models.records import BrokerOrderRow, BrokerSnapshotRow, ClaimState, Placement
from models.requests import parse_remark

_CHUNK = 500
_KEPT = timedelta(days=7)
_LIVE = frozenset(BrokerStatus) - ENDED


class BrokerBook:
    """The broker's orders; reports may arrive late, twice and out of order."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(self, orders: Sequence[BrokerOrder], now: datetime) -> list[BrokerOrder]:
        """Merge reports into the book; returns the orders that changed, as they now stand.

        Filled never shrinks except by FILL_CANCELLED, which is for ever; a dead order comes alive
        only by more fill. After a lost connection an order may be returned that had changed before:
        none that changed is left out.
        """
        if not orders:
            return []
        changed: dict[str, BrokerOrder] = {}
        await self._database.write(
            "applying broker orders",
            lambda session: _merge(session, orders, naive_utc(now), changed),
        )
        return list(changed.values())

    async def record_snapshot(self, snapshot: BookSnapshot) -> int:
        """Merge a bulk read and record it, in one transaction; returns the snapshot's row id.

        The same read recorded twice is one row: absence is proven by two reads, never by one.
        One that does not reach back to every claim that asks is not complete. Rows of reads a week
        old are dropped on the way.
        """
        return await self._record(snapshot, {})

    async def apply_snapshot(self, snapshot: BookSnapshot) -> list[BrokerOrder]:
        """record_snapshot, but returns the orders that changed."""
        changed: dict[str, BrokerOrder] = {}
        await self._record(snapshot, changed)
        return list(changed.values())

    async def by_remark(self, remark: str) -> BrokerOrder | None:
        """The order with this remark; None when no read or push ever held one.

        Where the broker holds several: the one its claim names, else the first. The others break
        an invariant, which reconcile tells of; the one that is the request's must still end.
        """
        chosen = select(BrokerOrderRow).where(col(BrokerOrderRow.remark) == remark)
        found = await self._list(chosen.order_by(col(BrokerOrderRow.order_id)))
        if len(found) <= 1:
            return found[0] if found else None
        named = await self._database.read(
            "reading a claim's order",
            lambda session: session.exec(
                select(Placement.broker_order_id).where(col(Placement.remark) == remark)
            ).first(),
        )
        return next((order for order in found if order.order_id == named), found[0])

    async def by_order_id(self, order_id: str) -> BrokerOrder | None:
        """The order with this broker id; None when no read or push ever held it."""
        chosen = select(BrokerOrderRow).where(col(BrokerOrderRow.order_id) == order_id)
        return next(iter(await self._list(chosen)), None)

    async def of_request(self, request_id: str) -> list[BrokerOrder]:
        """Orders whose remark is an attempt of the request."""
        chosen = select(BrokerOrderRow).where(*remarks_of(request_id))
        return await self._list(chosen.order_by(col(BrokerOrderRow.remark)))

    async def fill_times(self, request_id: str) -> dict[str, datetime | None]:
        """By remark, when the fills of a request were last seen to change; None: not known."""
        chosen = select(BrokerOrderRow.remark, BrokerOrderRow.filled_at).where(
            *remarks_of(request_id), col(BrokerOrderRow.filled) > 0
        )
        return await self._database.read(
            "reading when fills were seen", lambda session: dict(session.exec(chosen).all())
        )

    async def complete_snapshots_after(
        self, begun_after: datetime, connected_after: datetime
    ) -> list[BrokerSnapshotRow]:
        """Complete reads begun after, on a connection made after, oldest first.

        Each begun when the one before had ended: two pollers reading at the same moment may have
        been told the same stale book, and prove no more than one of them. Nothing read more than
        LONGEST_LOOK_BACK after `connected_after` (when the order could be sent last) is among them:
        it does not reach that far.
        """
        chosen = select(BrokerSnapshotRow).where(
            col(BrokerSnapshotRow.complete).is_(True),
            col(BrokerSnapshotRow.begun_at) > naive_utc(begun_after),
            col(BrokerSnapshotRow.begun_at) < naive_utc(connected_after) + LONGEST_LOOK_BACK,
            col(BrokerSnapshotRow.connected_at) > naive_utc(connected_after),
        )
        ordered = chosen.order_by(col(BrokerSnapshotRow.begun_at), col(BrokerSnapshotRow.id))
        return await self._database.read(
            "reading snapshots", lambda session: _one_after_another(session.exec(ordered))
        )

    async def latest_snapshot(self) -> BrokerSnapshotRow | None:
        """The newest complete read; None when there never was one."""
        chosen = select(BrokerSnapshotRow).where(col(BrokerSnapshotRow.complete).is_(True))
        newest = chosen.order_by(col(BrokerSnapshotRow.begun_at).desc()).limit(1)
        return await self._database.read(
            "reading the newest snapshot", lambda session: session.exec(newest).first()
        )

    async def read_since(self, moment: datetime) -> bool:
        """Whether a complete read that began after the moment is on record."""
        return await self._database.read(
            "looking for a read of the book", lambda session: book_read_since(session, moment)
        )

    async def oldest_unended(self, besides: Collection[str]) -> datetime | None:
        """Since when an end may be missing here; None when none is. besides: ids not asked for.

        Open claims that no order in the book answers yet, and orders that live in it.
        """
        moments = await self._database.read(
            "reading what has not ended",
            lambda session: [*_unanswered(session), *_living(session, besides)],
        )
        return min(moments, default=None)

    async def live(self) -> list[BrokerOrder]:
        """Orders that something can still happen to."""
        chosen = select(BrokerOrderRow).where(col(BrokerOrderRow.status).in_(_LIVE))
        return await self._list(chosen.order_by(col(BrokerOrderRow.order_id)))

    async def changed_since(self, moment: datetime) -> list[BrokerOrder]:
        """Orders that changed since, oldest change first."""
        chosen = select(BrokerOrderRow).where(col(BrokerOrderRow.changed_at) >= naive_utc(moment))
        return await self._list(chosen.order_by(col(BrokerOrderRow.changed_at)))

    async def _record(self, snapshot: BookSnapshot, changed: dict[str, BrokerOrder]) -> int:
        seen_at = naive_utc(snapshot.ended_at)

        def work(session: Session) -> int:
            _merge(session, snapshot.orders, seen_at, changed)
            _mark_seen(session, [order.order_id for order in snapshot.orders], seen_at)
            same = select(BrokerSnapshotRow).where(
                col(BrokerSnapshotRow.begun_at) == naive_utc(snapshot.begun_at),
                col(BrokerSnapshotRow.connection) == snapshot.connection,
            )
            row = session.exec(same).first() or _snapshot_row(snapshot)
            row.complete = row.complete and _reaches_all(session, snapshot)
            session.add(row)
            session.flush()
            _forget_reads_before(session, seen_at - _KEPT)
            return row.id or 0

        return await self._database.write("recording a snapshot", work)

    async def _list(self, chosen: SelectOfScalar[BrokerOrderRow]) -> list[BrokerOrder]:
        return await self._database.read(
            "reading the broker's book",
            lambda session: [_order(row) for row in session.exec(chosen)],
        )


def _merge(
    session: Session,
    orders: Sequence[BrokerOrder],
    now: datetime,
    changed: dict[str, BrokerOrder],
) -> None:
    """Merge reports, noting in `changed` what became of those that changed something."""
    rows: dict[str, BrokerOrderRow] = {}
    for ids in _chunks({order.order_id for order in orders}):
        chosen = select(BrokerOrderRow).where(col(BrokerOrderRow.order_id).in_(ids))
        ordered = chosen.order_by(col(BrokerOrderRow.order_id)).with_for_update()
        rows |= {row.order_id: row for row in session.exec(ordered)}
    for report in orders:
        row = rows.get(report.order_id)
        known = _order(row) if row is not None else None
        after = _plain(merged(known, report) if known is not None else report)
        if after == known:
            continue
        rows[report.order_id] = _write(session, row, after, now)
        changed[report.order_id] = after


def _write(
    session: Session, row: BrokerOrderRow | None, order: BrokerOrder, now: datetime
) -> BrokerOrderRow:
    values = order.model_dump() | {"seen_at": now, "changed_at": now}
    known_filled = row.filled if row is not None else 0
    if order.filled != known_filled:
        values["filled_at"] = now
    if row is None:
        row = BrokerOrderRow(**values)
    else:
        row.sqlmodel_update(values)
    session.add(row)
    if order.filled != known_filled or order.status in ENDED:
        write_audit(session, _reported(order), now)
    return row


def _reported(order: BrokerOrder) -> AuditDraft:
    """The entry of what the broker says of an order's fills, or of its end."""
    ours = parse_remark(order.remark)
    said = f"{order.filled}:{order.average_price}:{order.status.value}"
    return AuditDraft(
        event_key=f"broker:{order.order_id}:{said}"[:191],
        action="broker.reported",
        request_id=ours[0] if ours is not None else "",
        actor="broker",
        data={
            "broker_order_id": order.order_id,
            "remark": order.remark,
            "status": order.status.value,
            "filled": order.filled,
            "average_price": order.average_price,
            "error": order.error,
        },
    )


def _unanswered(session: Session) -> Iterable[datetime]:
    """When claims were made whose outcome is not known, or whose order was never seen."""
    claimed = select(Placement.created_at).join(
        BrokerOrderRow, col(BrokerOrderRow.remark) == col(Placement.remark), isouter=True
    )
    lost = claimed.where(
        *holding_reservations(),
        or_(
            col(Placement.state) == ClaimState.CLAIMED,
            col(BrokerOrderRow.order_id).is_(None),
        ),
    )
    return session.exec(lost)


def _living(session: Session, besides: Collection[str]) -> Iterable[datetime]:
    """When live orders were claimed, or, where that is not known, when they last changed."""
    chosen = select(
        BrokerOrderRow.order_id, BrokerOrderRow.changed_at, col(Placement.created_at)
    ).join(Placement, col(Placement.remark) == col(BrokerOrderRow.remark), isouter=True)
    found = session.exec(chosen.where(col(BrokerOrderRow.status).in_(_LIVE)))
    return [
        min(changed_at, claimed_at or changed_at)
        for order_id, changed_at, claimed_at in found
        if order_id not in besides
    ]


def _reaches_all(session: Session, snapshot: BookSnapshot) -> bool:
    """Whether the read would hold the order of every open claim, had it been made.

    Claims too old for any read are left out; no read counts as proof for them.
    """
    oldest = naive_utc(snapshot.begun_at) - LONGEST_LOOK_BACK
    missed = select(Placement.id).where(
        *holding_reservations(),
        col(Placement.state) == ClaimState.CLAIMED,
        col(Placement.created_at) < naive_utc(snapshot.reaches),
        col(Placement.send_by) > oldest,
    )
    return session.exec(missed.limit(1)).first() is None


def _one_after_another(rows: Iterable[BrokerSnapshotRow]) -> list[BrokerSnapshotRow]:
    """Those of the reads, ordered by their beginning, that do not overlap an earlier one."""
    kept: list[BrokerSnapshotRow] = []
    for row in rows:
        if not kept or row.begun_at >= kept[-1].ended_at:
            kept.append(row)
    return kept


def _forget_reads_before(session: Session, moment: datetime) -> None:
    session.execute(
        delete(BrokerSnapshotRow)
        .where(col(BrokerSnapshotRow.begun_at) < moment)
        .execution_options(synchronize_session=False)
    )


def _mark_seen(session: Session, order_ids: list[str], now: datetime) -> None:
    session.flush()
    for ids in _chunks(set(order_ids)):
        session.execute(
            update(BrokerOrderRow)
            .where(col(BrokerOrderRow.order_id).in_(ids))
            .values(seen_at=now)
            .execution_options(synchronize_session=False)
        )


def _chunks(order_ids: Iterable[str]) -> list[list[str]]:
    """In one order for all writers, so that they wait for each other instead of deadlocking."""
    ordered = sorted(order_ids)
    return [ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK)]


def _order(row: BrokerOrderRow) -> BrokerOrder:
    return BrokerOrder(**row.model_dump(exclude={"seen_at", "changed_at"}))


def _plain(order: BrokerOrder) -> BrokerOrder:
    """As it will read from the database."""
    prices = {
        "price": plain_decimal(order.price),
        "average_price": plain_decimal(order.average_price),
    }
    return order.model_copy(update=prices)


def _snapshot_row(snapshot: BookSnapshot) -> BrokerSnapshotRow:
    return BrokerSnapshotRow(
        begun_at=naive_utc(snapshot.begun_at),
        ended_at=naive_utc(snapshot.ended_at),
        connection=snapshot.connection,
        connected_at=naive_utc(snapshot.connected_at),
        complete=snapshot.complete,
        order_count=len(snapshot.orders),
    )
