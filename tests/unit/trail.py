"""An audit log that tells of everything some requests went through."""

from collections.abc import Iterable, Iterator

from bronco.trail import Trail
from models.cases import Case
from models.order import TERMINAL_STATUSES
from models.records import AuditEntry
from tests.unit.test_invariants import NAIVE, NOW


def told(request_id: str, action: str, key: str = "", *, sealed: bool = True) -> AuditEntry:
    """One entry."""
    return AuditEntry(
        event_key=key or f"{action}:{request_id}",
        request_id=request_id,
        action=action,
        at=NAIVE,
        seq=1 if sealed else None,
    )


def trail_of(cases: Iterable[Case]) -> Trail:
    """The log of these requests, whole and sealed."""
    return Trail([entry for case in cases for entry in _of(case)], NOW)


def _of(case: Case) -> Iterator[AuditEntry]:
    if case.row is not None:
        yield told(case.request_id, "order.admitted")
    for claim in case.claims:
        action = f"placement.{claim.state.lower()}"
        yield told(case.request_id, action, f"{action}:{claim.remark}")
    if case.item is not None:
        yield told(case.request_id, f"settlement.{case.item.kind.lower()}")
    if case.row is not None and case.row.status in TERMINAL_STATUSES:
        yield told(case.request_id, f"order.{case.row.stage.lower()}")
