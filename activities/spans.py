"""Where an order's time goes, as OpenTelemetry spans. Where nobody collects them nothing happens.

One trace per order: its ids derive from the workflow id, so whoever sees the order first, in
whatever process, after whatever restart, adds to the same trace. The root span, with what only the
rows know, is written once the order has ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceFlags

from activities.clock import utc_now
from models.errors import NotFound, SourceUnavailable
from models.order import Order
from models.records import Placement, SettlementItem
from models.requests import OrderRequest

if TYPE_CHECKING:
    from clients.store.store import Store

_NANO = 10**9
_tracer = trace.get_tracer("bronco")


class Ids(NamedTuple):
    """Of a root span: 16 and 8 bytes, as whole numbers."""

    trace: int
    span: int


NEXT_IDS: ContextVar[Ids | None] = ContextVar("next_ids", default=None)
"""What the next root span is to be called; workers/tracing.py gives it those ids."""


def ids_of(name: str) -> Ids:
    """The ids of an order or a batch; never 0, which means none."""
    digest = hashlib.sha256(name.encode()).digest()
    return Ids(int.from_bytes(digest[:16], "big") | 1, int.from_bytes(digest[16:24], "big") | 1)


def context_of(name: str) -> Context:
    """The context whose spans belong to an order or a batch."""
    return trace.set_span_in_context(NonRecordingSpan(_root(name)), Context())


def wanted() -> bool:
    """Whether anybody collects spans of this process."""
    return hasattr(trace.get_tracer_provider(), "add_span_processor")


@contextmanager
def span(name: str, **attributes: str | int) -> Iterator[None]:
    """A part of what is being done; whose it is, the context says."""
    with _tracer.start_as_current_span(name, attributes=attributes):
        yield


def tell_batch(
    batch: str, items: Sequence[SettlementItem], tx_hash: str, now: datetime, **facts: str | int
) -> None:
    """A batch that has ended, with links to the orders it settles. now: naive UTC."""
    if not items or not wanted():
        return
    begun = min(item.updated_at for item in items)
    links = [Link(_root(item.workflow_id)) for item in items]
    attributes = {"batch": batch, "items": len(items), "tx_hash": tx_hash, **facts}
    _write("batch", batch, begun, now, attributes, links=links, root=True)


def tell_order(
    row: Order, claims: Iterable[Placement], item: SettlementItem | None, now: datetime
) -> None:
    """An order that has ended: the whole of it, and the waits that no activity lasts as long as.

    Told twice it is the same span twice. now: naive UTC.
    """
    if not wanted():
        return
    name = row.workflow_id
    for claim in claims:
        ends = claim.released_at or (item.created_at if item is not None else now)
        attributes = {"attempt": claim.attempt, "state": claim.state.value}
        _write("follow", name, claim.created_at, min(ends, now), attributes)
    if item is not None:
        links = [Link(_root(item.batch))] if item.batch else []
        attributes = {"kind": item.kind.value, "batch": item.batch, "tx_hash": item.tx_hash}
        _write("settle", name, item.created_at, now, attributes, links=links)
    _write("order", name, row.created_at, now, _facts(row), root=True)


async def tell_closed(store: Store, request: OrderRequest, item: SettlementItem | None) -> None:
    """As tell_order, from the rows. It only decorates: what cannot be read is left out."""
    if not wanted():
        return
    with suppress(SourceUnavailable, NotFound):
        row = await store.orders.get(request.chain_id, request.vault, request.request_id)
        claims = await store.placements.of_request(request.request_id)
        tell_order(row, claims, item, utc_now())


def _facts(row: Order) -> dict[str, str | int]:
    return {
        "order_id": row.request_id,
        "side": row.order_type.value,
        "symbol": row.symbol,
        "status": row.status.value,
        "stage": row.stage.value,
        "reason": row.reason.value,
    }


def _write(
    what: str,
    name: str,
    begun: datetime,
    ended: datetime,
    attributes: Mapping[str, str | int],
    *,
    links: Sequence[Link] = (),
    root: bool = False,
) -> None:
    context = Context() if root else context_of(name)
    token = NEXT_IDS.set(ids_of(name) if root else None)
    try:
        done = _tracer.start_span(
            what, context, attributes=dict(attributes), links=links, start_time=_nanoseconds(begun)
        )
    finally:
        NEXT_IDS.reset(token)
    done.end(max(_nanoseconds(begun), _nanoseconds(ended)))


def _root(name: str) -> SpanContext:
    ids = ids_of(name)
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(ids.trace, ids.span, is_remote=True, trace_flags=sampled)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp() * 1_000_000) * (_NANO // 1_000_000)
