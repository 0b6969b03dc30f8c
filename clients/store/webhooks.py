"""The `webhooks` table: who is told of orders' changes. Each change of it is in the audit log."""

from datetime import datetime

from sqlalchemy import delete
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from clients.store.changes import Changes
from clients.store.engine import Database
from clients.store.inserts import write_audit
from models.columns import naive_utc
from models.drafts import AuditDraft
from models.errors import NotFound
from models.webhooks import OVERLAP, Delivery, DeliveryState, Webhook


class Webhooks:
    """Endpoints. Their secrets are derived where they are needed, and never come here."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes

    async def create(
        self, endpoint_id: str, url: str, description: str, who: str, now: datetime
    ) -> Webhook:
        """Tell an endpoint of everything from now on. Idempotency key: its endpoint_id."""
        newest = (await self._changes.span()).newest

        def work(session: Session) -> Webhook:
            if (known := _find(session, endpoint_id)) is not None:
                return known
            made = Webhook(
                endpoint_id=endpoint_id,
                url=url,
                description=description,
                cursor=newest,
                created_by=who,
                created_at=naive_utc(now),
            )
            session.add(made)
            session.flush()
            _tell(session, "webhook.created", made, who, "", now)
            return made

        return await self._database.write("keeping a webhook", work)

    async def all(self) -> list[Webhook]:
        """Endpoints that were not deleted, oldest first."""
        chosen = select(Webhook).where(col(Webhook.deleted_at).is_(None))
        return await self._database.read(
            "listing webhooks", lambda session: list(session.exec(chosen.order_by(col(Webhook.id))))
        )

    async def get(self, endpoint_id: str) -> Webhook:
        """One endpoint.

        Raises:
            NotFound: there is none of this id, or it was deleted.
        """
        return await self._database.read(
            "reading a webhook", lambda session: _standing(session, endpoint_id)
        )

    async def rotate(self, endpoint_id: str, who: str, reason: str, now: datetime) -> Webhook:
        """Have the next version of its secret sign, and for a day the one before too."""

        def work(session: Session) -> Webhook:
            row = _standing(session, endpoint_id)
            row.version += 1
            row.overlap_until = naive_utc(now + OVERLAP)
            _tell(session, "webhook.rotated", row, who, reason, now)
            return row

        return await self._database.write("changing the secret of a webhook", work)

    async def disable(self, endpoint_id: str, who: str, reason: str, now: datetime) -> Webhook:
        """Send it nothing more; what happens meanwhile is kept for it. Again is harmless."""

        def work(session: Session) -> Webhook:
            row = _standing(session, endpoint_id)
            disable_row(session, row, who, reason, now)
            return row

        return await self._database.write("disabling a webhook", work)

    async def enable(self, endpoint_id: str, who: str, reason: str, now: datetime) -> Webhook:
        """Go on where it stopped. Again is harmless."""

        def work(session: Session) -> Webhook:
            row = _standing(session, endpoint_id)
            if row.disabled_at is not None:
                row.disabled_at, row.disabled_reason = None, ""
                row.failures, row.failing_since = 0, None
                for pending in session.exec(_pending(endpoint_id)):
                    pending.next_at, pending.created_at = naive_utc(now), naive_utc(now)
                _tell(session, "webhook.enabled", row, who, reason, now)
            return row

        return await self._database.write("enabling a webhook", work)

    async def delete(self, endpoint_id: str, who: str, reason: str, now: datetime) -> None:
        """Forget it and what it was not told. Its id and secret are never used again."""

        def work(session: Session) -> None:
            row = _standing(session, endpoint_id)
            row.deleted_at = naive_utc(now)
            session.execute(
                delete(Delivery)
                .where(col(Delivery.endpoint_id) == endpoint_id)
                .execution_options(synchronize_session=False)
            )
            _tell(session, "webhook.deleted", row, who, reason, now)

        await self._database.write("deleting a webhook", work)

    async def replay(self, endpoint_id: str, since: datetime, who: str, now: datetime) -> Webhook:
        """Tell it once more what happened since, with the ids of then.

        Raises:
            NotFound: there is no such endpoint.
        """
        place = await self._changes.first_since(since)

        def work(session: Session) -> Webhook:
            row = _standing(session, endpoint_id)
            session.execute(
                delete(Delivery)
                .where(
                    col(Delivery.endpoint_id) == endpoint_id,
                    col(Delivery.seq) > place,
                    col(Delivery.state) != DeliveryState.PENDING,
                )
                .execution_options(synchronize_session=False)
            )
            row.cursor = min(row.cursor, place)
            _tell(session, "webhook.replayed", row, who, f"since {since.isoformat()}", now)
            return row

        return await self._database.write("replaying a webhook", work)


def disable_row(session: Session, row: Webhook, who: str, reason: str, now: datetime) -> None:
    """Disable it, in this transaction; not again."""
    if row.disabled_at is None:
        row.disabled_at, row.disabled_reason = naive_utc(now), reason[:240]
        _tell(session, "webhook.disabled", row, who, reason, now)


def _find(session: Session, endpoint_id: str) -> Webhook | None:
    chosen = select(Webhook).where(col(Webhook.endpoint_id) == endpoint_id)
    return session.exec(chosen.with_for_update()).first()


def _standing(session: Session, endpoint_id: str) -> Webhook:
    row = _find(session, endpoint_id)
    if row is None or row.deleted_at is not None:
        raise NotFound("webhook", endpoint_id)
    return row


def _pending(endpoint_id: str) -> SelectOfScalar[Delivery]:
    return select(Delivery).where(
        col(Delivery.endpoint_id) == endpoint_id, col(Delivery.state) == DeliveryState.PENDING
    )


def _tell(
    session: Session, action: str, row: Webhook, who: str, reason: str, now: datetime
) -> None:
    """The URL may hold a secret of its owner: the entry names its host alone."""
    moment = naive_utc(now).isoformat(timespec="microseconds")
    host = row.url.split("//", 1)[-1].split("/", 1)[0].rpartition("@")[2]
    draft = AuditDraft(
        event_key=f"{action}:{row.endpoint_id}:{row.version}:{moment}",
        action=action,
        actor=who,
        data={"endpoint_id": row.endpoint_id, "host": host, "reason": reason[:240]},
    )
    write_audit(session, draft, now)
