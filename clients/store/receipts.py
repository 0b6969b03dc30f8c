"""Receipts: an order's audit entries, with their way to signed heads of the log."""

from clients.store.audit import AuditLog
from models.audit import Sealed, SignedHead
from models.errors import Conflict
from models.order import TERMINAL_STATUSES, Order
from models.receipt import Json, ended, receipt_of, segment_of

_PAGE = 1000


class Receipts:
    """Made anew each time it is asked for, from the log alone."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    async def of_order(self, order: Order) -> Json:
        """The receipt of an order that has ended.

        It tells as much as the newest signed head covers: asked later it may tell more, never
        anything else.

        Raises:
            Conflict: it has not ended, or no signed head covers its end yet.
        """
        key = str(order.internal_id)
        if order.status not in TERMINAL_STATUSES:
            raise Conflict("receipt", key, f"the order is {order.stage.value}, it has not ended")
        entries = await self._audit.sealed_of(order.request_id)
        heads = await self._audit.heads_from(entries[0].seq if entries else 1)
        covered = [row for row in entries if heads and row.seq <= heads[-1].seq]
        if not ended(covered):
            detail = "no signed head covers its end yet: ask again in a minute, or see bronco audit"
            raise Conflict("receipt", key, detail)
        segments = [
            await self._segment(rows, head) for head, rows in _by_head(covered, heads) if rows
        ]
        return receipt_of(order.request_id, covered, segments)

    async def _segment(self, own: list[Sealed], head: SignedHead) -> Json:
        rows: list[Sealed] = []
        after = own[0].seq - 1
        while after < head.seq:
            page = await self._audit.sealed(after, head.seq, _PAGE)
            if not page or page[0].seq != after + 1:
                raise Conflict("receipt", f"entry {after + 1}", "it is gone: bronco audit verify")
            rows += page
            after = page[-1].seq
        return segment_of(rows, (row.seq for row in own), head)


def _by_head(
    entries: list[Sealed], heads: list[SignedHead]
) -> list[tuple[SignedHead, list[Sealed]]]:
    """Each entry with the first head that covers it; both in the chain's order."""
    found, start = list[tuple[SignedHead, list[Sealed]]](), 0
    for head in heads:
        end = start
        while end < len(entries) and entries[end].seq <= head.seq:
            end += 1
        found.append((head, entries[start:end]))
        start = end
    return found
