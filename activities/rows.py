"""The order's row reports what happens; that it cannot be written changes nothing that happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from temporalio import activity

from activities.clock import utc_now
from models.drafts import AuditDraft
from models.errors import Conflict, NotFound
from models.requests import OrderRequest

if TYPE_CHECKING:
    from clients.store.store import Store


async def show(
    store: Store,
    request: OrderRequest,
    version: int,
    changes: Mapping[str, object],
    audit: AuditDraft | None = None,
) -> None:
    """Write a row, where no newer writer was there already, and the audit entry.

    A row that a lost database has forgotten, or that shows an end a reorganisation undid, is left
    as it is: the end of the order writes it again. The audit entry is written all the same.

    Raises:
        SourceUnavailable: the store could not be asked.
    """
    try:
        await store.orders.update(
            request.chain_id,
            request.vault,
            request.request_id,
            version,
            changes,
            audit=audit,
            now=utc_now(),
        )
    except (NotFound, Conflict) as error:
        activity.logger.warning("row_not_written", extra={"detail": str(error)})
        if audit is not None:
            await store.audit.append(audit, utc_now())
