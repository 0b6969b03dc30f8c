"""The `approvals` table: who signed what the vault refuses to a settler alone."""

from collections.abc import Sequence
from datetime import UTC, datetime

from eth_utils.crypto import keccak
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from clients.store.engine import Database
from clients.store.inserts import insert_absent, write_audit
from models.columns import naive_utc
from models.drafts import AuditDraft
from models.records import ApprovalRow


class Approvals:
    """Signatures, kept for good: the audit log holds the same one that the vault verifies."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, approval: ApprovalRow, actor: str) -> None:
        """Keep a signature. Idempotency key: (digest, signer)."""
        row = _row(approval)
        # A contract may sign the same anew, in other words, once its first ones count no more.
        which = keccak(text=row.signature).hex()[:16]
        draft = AuditDraft(
            event_key=f"approval:{row.digest}:{row.signer}:{which}",
            action="approval.signed",
            request_id=row.request_id,
            actor=actor or row.signer,
            data={
                "signer": row.signer,
                "signature": row.signature,
                "digest": row.digest,
                "epoch": row.epoch,
                "deadline": row.deadline,
            },
        )

        def work(session: Session) -> None:
            insert_absent(session, row, "digest")
            write_audit(session, draft, row.created_at)

        await self._database.write("keeping an approval", work)

    async def drop(self, digest: str, signer: str) -> None:
        """Count a signature no more, whose contract takes it back; the audit log keeps it."""
        chosen = select(ApprovalRow).where(
            col(ApprovalRow.digest) == digest.lower(), col(ApprovalRow.signer) == signer.lower()
        )

        def work(session: Session) -> None:
            row = session.exec(chosen.with_for_update()).first()
            if row is not None:
                session.delete(row)
                write_audit(session, _dropped(row), naive_utc(datetime.now(UTC)))

        await self._database.write("dropping an approval", work)

    async def of_request(self, chain_id: int, vault: str, request_id: str) -> Sequence[ApprovalRow]:
        """Every signature for a request, oldest first; also those that count no more."""
        chosen = select(ApprovalRow).where(
            col(ApprovalRow.chain_id) == chain_id,
            col(ApprovalRow.vault) == vault.lower(),
            col(ApprovalRow.request_id) == request_id.lower(),
        )
        return await self._read(chosen.order_by(col(ApprovalRow.id)))

    async def of_digest(self, digest: str) -> Sequence[ApprovalRow]:
        """Every signature of these terms, oldest first."""
        chosen = select(ApprovalRow).where(col(ApprovalRow.digest) == digest.lower())
        return await self._read(chosen.order_by(col(ApprovalRow.id)))

    async def _read(self, chosen: SelectOfScalar[ApprovalRow]) -> Sequence[ApprovalRow]:
        return await self._database.read(
            "reading approvals", lambda session: list(session.exec(chosen))
        )


def _row(approval: ApprovalRow) -> ApprovalRow:
    values = approval.model_dump(exclude={"id"})
    texts = ("vault", "request_id", "digest", "signer", "signature")
    lowered = {name: values[name].lower() for name in texts}
    return ApprovalRow(**values | lowered | {"created_at": naive_utc(approval.created_at)})


def _dropped(row: ApprovalRow) -> AuditDraft:
    return AuditDraft(
        event_key=f"approval.dropped:{row.id}:{row.digest}",
        action="approval.dropped",
        request_id=row.request_id,
        data={"signer": row.signer, "digest": row.digest, "epoch": row.epoch},
    )
