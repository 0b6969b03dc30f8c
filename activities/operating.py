"""What operators do to single orders, in the audit log before it takes effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import activity

from activities.clock import utc_now
from models.drafts import AuditDraft
from models.operating import NoteActInput

if TYPE_CHECKING:
    from clients.store.store import Store


class OperatingActivities:
    """Writes down who did what to an order, and why."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @activity.defn(name="note_operator_act")
    async def note_operator_act(self, message: NoteActInput) -> None:
        """Write the entry. Idempotency key: request and act_id."""
        act, request_id = message.act, message.request.request_id
        draft = AuditDraft(
            event_key=f"operator:{request_id}:{message.act_id}",
            action=f"order.operator_{act.verb.value}",
            request_id=request_id,
            actor=act.who,
            data={"reason": act.reason, "stage": message.stage.value},
        )
        await self._store.audit.append(draft, utc_now())
