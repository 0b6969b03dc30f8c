"""The `webhook_deliveries` table: what each endpoint was told, and what it is still to be told."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, exists, func, or_, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from clients.store.changes import Changes
from clients.store.engine import Database
from clients.store.inserts import insert_absent
from clients.store.webhooks import disable_row
from models.changes import Change, ChangeKind
from models.columns import naive_utc
from models.drafts import Page
from models.webhooks import (
    NOT_KEPT,
    Backlog,
    Delivery,
    DeliveryState,
    RetryPolicy,
    Sent,
    Webhook,
)

SENDER = "bronco"
_AT_ONCE = 500
_SURELY_DOWN = 5
"""So many failures in a row mean that the endpoint is down, not that one change is too much."""


class Deliveries:
    """Each change is told at least once, an order's changes one after the other."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes

    async def fan_out(self, endpoint: Webhook, now: datetime) -> int:
        """Write down what an endpoint is to be told of next; returns how many changes were seen."""
        page = await self._changes.after(endpoint.cursor, _AT_ONCE)
        if not page:
            return 0

        def work(session: Session) -> int:
            moved = (
                update(Webhook)
                .where(
                    col(Webhook.endpoint_id) == endpoint.endpoint_id,
                    col(Webhook.cursor) == endpoint.cursor,
                    col(Webhook.deleted_at).is_(None),
                )
                .values(cursor=page[-1].seq)
                .execution_options(synchronize_session=False)
            )
            if not session.execute(moved).rowcount:  # type: ignore[attr-defined]
                return 0  # another worker was sooner, or a replay went back
            for change in page:
                if change.kind is ChangeKind.ORDER and change.moved:
                    insert_absent(session, _row(endpoint, change, naive_utc(now)), "seq")
            return len(page)

        return await self._database.write("writing down deliveries", work)

    async def take(
        self, endpoint: Webhook, limit: int, lease: timedelta, now: datetime
    ) -> list[tuple[Delivery, Change | None]]:
        """Deliveries that are due, ours until the lease ends; None: the change is forgotten.

        Of each order only the oldest that is pending: the next one waits until that one ended.
        """
        moment = naive_utc(now)
        one = 1 if endpoint.failures >= _SURELY_DOWN else limit

        chosen = select(Delivery).where(*_due(endpoint.endpoint_id, moment))
        ordered = chosen.order_by(col(Delivery.seq)).limit(one)
        due = await self._database.read(
            "looking for deliveries", lambda session: list(session.exec(ordered))
        )

        def work(session: Session) -> list[tuple[Delivery, Change | None]]:
            mine = [row for row in due if _leased(session, row, moment, moment + lease)]
            return [(row, _change(session, row.seq)) for row in mine]

        # Nothing is written, and no writer kept waiting, while nothing is due.
        return await self._database.write("taking deliveries", work) if due else []

    async def note(
        self, delivery: Delivery, sent: Sent, policy: RetryPolicy, now: datetime
    ) -> DeliveryState:
        """Write down what came of a send, and when it is tried again."""
        moment = naive_utc(now)

        def work(session: Session) -> DeliveryState:
            row = session.get(Delivery, delivery.id, with_for_update=True)
            if row is None:
                return DeliveryState.FAILED  # deleted meanwhile, with its endpoint
            row.attempts += 1
            row.last_status, row.last_error = sent.status, sent.error[:240]
            row.leased_until = None
            if sent.ok or sent is NOT_KEPT or moment - row.created_at > policy.lifetime:
                row.state = DeliveryState.DELIVERED if sent.ok else DeliveryState.FAILED
                row.ended_at = moment
            else:
                row.next_at = moment + policy.pause(row.attempts)
            session.flush()
            if sent is not NOT_KEPT:
                _note_endpoint(session, row, sent, policy, now)
            return row.state

        return await self._database.write("noting a delivery", work)

    async def page(self, endpoint_id: str, after: int = 0, limit: int = 100) -> Page[Delivery]:
        """Deliveries of an endpoint, newest change first. after: place of the last one seen."""
        chosen = select(Delivery).where(col(Delivery.endpoint_id) == endpoint_id)
        if after:
            chosen = chosen.where(col(Delivery.seq) < after)
        newest = chosen.order_by(col(Delivery.seq).desc()).limit(limit + 1)
        rows = await self._database.read(
            "listing deliveries", lambda session: list(session.exec(newest))
        )
        return Page(rows[:limit], str(rows[limit - 1].seq) if len(rows) > limit else "")

    async def backlog(self, endpoint_ids: Sequence[str]) -> Backlog:
        """How much these endpoints are still to be told, and what was given up."""
        grouped = (
            select(Delivery.state, func.count(), func.min(Delivery.created_at))
            .where(
                col(Delivery.state) != DeliveryState.DELIVERED,
                col(Delivery.endpoint_id).in_(endpoint_ids),
            )
            .group_by(col(Delivery.state))
        )
        rows = await self._database.read(
            "counting deliveries", lambda session: list(session.exec(grouped))
        )
        found = {DeliveryState(state): (count, oldest) for state, count, oldest in rows}
        pending, oldest = found.get(DeliveryState.PENDING, (0, None))
        failed, _ = found.get(DeliveryState.FAILED, (0, None))
        return Backlog(pending, failed, oldest)

    async def prune(self, before: datetime, limit: int = _AT_ONCE) -> int:
        """Forget deliveries that ended and are older than a moment; returns how many."""
        old = select(Delivery.id).where(
            col(Delivery.created_at) < naive_utc(before),
            col(Delivery.state) != DeliveryState.PENDING,
        )

        def work(session: Session) -> int:
            ids = session.exec(old.limit(limit)).all()
            session.execute(
                delete(Delivery)
                .where(col(Delivery.id).in_(ids))
                .execution_options(synchronize_session=False)
            )
            return len(ids)

        return await self._database.write("forgetting old deliveries", work)


def _row(endpoint: Webhook, change: Change, now: datetime) -> Delivery:
    return Delivery(
        endpoint_id=endpoint.endpoint_id,
        seq=change.seq or 0,
        request_id=change.request_id,
        state=DeliveryState.PENDING,
        next_at=now,
        created_at=now,
    )


def _due(endpoint_id: str, now: datetime) -> list[ColumnElement[bool]]:
    earlier = aliased(Delivery)
    waits_for = exists().where(
        col(earlier.endpoint_id) == endpoint_id,
        col(earlier.state) == DeliveryState.PENDING,
        col(earlier.request_id) == col(Delivery.request_id),
        col(earlier.seq) < col(Delivery.seq),
    )
    leased = col(Delivery.leased_until)
    return [
        col(Delivery.endpoint_id) == endpoint_id,
        col(Delivery.state) == DeliveryState.PENDING,
        col(Delivery.next_at) <= now,
        or_(leased.is_(None), leased < now),
        ~waits_for,
    ]


def _leased(session: Session, row: Delivery, now: datetime, until: datetime) -> bool:
    """Whether it is ours: another worker may have taken it since it was read."""
    free = or_(col(Delivery.leased_until).is_(None), col(Delivery.leased_until) < now)
    taken = (
        update(Delivery)
        .where(col(Delivery.id) == row.id, col(Delivery.state) == DeliveryState.PENDING, free)
        .values(leased_until=until)
        .execution_options(synchronize_session=False)
    )
    return bool(session.execute(taken).rowcount)  # type: ignore[attr-defined]


def _change(session: Session, seq: int) -> Change | None:
    return session.exec(select(Change).where(col(Change.seq) == seq)).first()


def _note_endpoint(
    session: Session, row: Delivery, sent: Sent, policy: RetryPolicy, now: datetime
) -> None:
    chosen = select(Webhook).where(col(Webhook.endpoint_id) == row.endpoint_id)
    endpoint = session.exec(chosen.with_for_update()).first()
    if endpoint is None:
        return
    if sent.ok:
        if endpoint.failures >= _SURELY_DOWN:
            _hurry(session, row.endpoint_id, naive_utc(now))
        endpoint.failures, endpoint.failing_since = 0, None
        return
    endpoint.failures += 1
    endpoint.failing_since = endpoint.failing_since or naive_utc(now)
    if sent.gone:
        disable_row(session, endpoint, SENDER, "it answered 410 Gone", now)
    elif naive_utc(now) - endpoint.failing_since > policy.lifetime:
        words = f"it has failed since {endpoint.failing_since.isoformat()}Z: {sent.error}"
        disable_row(session, endpoint, SENDER, words, now)


def _hurry(session: Session, endpoint_id: str, now: datetime) -> None:
    """It is back: what waits for its next try is due at once."""
    session.execute(
        update(Delivery)
        .where(
            col(Delivery.endpoint_id) == endpoint_id,
            col(Delivery.state) == DeliveryState.PENDING,
            col(Delivery.next_at) > now,
        )
        .values(next_at=now)
        .execution_options(synchronize_session=False)
    )
