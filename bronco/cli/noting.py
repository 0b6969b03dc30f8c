"""What an operator did past the control workflow, written into the audit log where that is up."""

from bronco.cli.output import warn


async def note(action: str, who: str, reason: str) -> None:
    """Append an entry; that it could not be written is said, and stops nothing."""
    from datetime import UTC, datetime

    from bronco.cli.sources import open_store
    from models.drafts import AuditDraft
    from models.errors import BroncoError

    now = datetime.now(UTC)
    key = f"{action}:{now.isoformat()}:{who}"
    draft = AuditDraft(key[:191], action, actor=who[:64], data={"reason": reason})
    try:
        with open_store() as store:
            await store.audit.append(draft, now)
    except BroncoError as error:
        warn(f"this is not in the audit log, write it down: {error}")
