"""The audit log as evidence: the pauses it tells of, and whether it tells of every change."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models.cases import Case
from models.drafts import AuditFault
from models.invariants import Pause, Violation
from models.order import TERMINAL_STATUSES
from models.records import AuditEntry, HousePosition

AUDITED = 6
"""The invariant that is judged here: every change is on record, and the record is whole."""
_EFFECTIVE_AFTER = timedelta(seconds=2)
"""A pause on record holds at the latest this long after it was written: the lease has ended."""
_SEALED_WITHIN = timedelta(seconds=15)
"""The sealer comes each second; what is older than this has been forgotten by it."""


@dataclass(frozen=True)
class Trail:
    """What the log holds, oldest first. fault: where its chain of hashes first breaks."""

    entries: Sequence[AuditEntry]
    read_at: datetime
    fault: AuditFault | None = None


def untold(
    trail: Trail, cases: Iterable[Case], house: Iterable[HousePosition] = ()
) -> list[Violation]:
    """Every break of invariant 6: a chain that does not hold, a change that no entry tells of."""
    keys = {entry.event_key for entry in trail.entries}
    found = [*_broken(trail.fault), *_unsealed(trail)]
    actions: dict[str, set[str]] = {}
    for entry in trail.entries:
        actions.setdefault(entry.request_id, set()).add(entry.action)
    for case in cases:
        told = actions.get(case.request_id.lower(), set())
        words = [*_missing_actions(case, told), *_missing_claims(case, keys)]
        found += [Violation(AUDITED, case.request_id, word) for word in words]
    return found + [
        Violation(AUDITED, row.broker_order_id, f"no entry tells of {row.quantity} {row.cause}")
        for row in house
        if f"house:{row.broker_order_id}:{row.cause}:{row.quantity}" not in keys
    ]


def _broken(fault: AuditFault | None) -> Iterator[Violation]:
    if fault is not None:
        words = f"the chain breaks at {fault.seq} (entry {fault.entry_id}): {fault.problem}"
        yield Violation(AUDITED, "chain", words)


def _unsealed(trail: Trail) -> Iterator[Violation]:
    late = aware(trail.read_at) - _SEALED_WITHIN
    waiting = [e for e in trail.entries if e.seq is None and aware(e.at) < late]
    if waiting:
        words = f"{len(waiting)} entries are in no chain, the oldest since {waiting[0].at}"
        yield Violation(AUDITED, "chain", words)


def _missing_actions(case: Case, told: Collection[str]) -> Iterator[str]:
    """The request's own steps: admitted, what the vault was to do, how it ended."""
    wanted = ["order.admitted"] if case.row is not None else []
    if case.item is not None:
        wanted.append(f"settlement.{case.item.kind.lower()}")
    if case.row is not None and case.row.status in TERMINAL_STATUSES:
        wanted.append(f"order.{case.row.stage.lower()}")
    return (f"no entry tells of {action}" for action in wanted if action not in told)


def _missing_claims(case: Case, keys: Collection[str]) -> Iterator[str]:
    for claim in case.claims:
        action = f"placement.{claim.state.lower()}"
        if f"{action}:{claim.remark}" not in keys:
            yield f"no entry tells of {action}, attempt {claim.attempt}"


def recorded_pauses(entries: Iterable[AuditEntry]) -> list[Pause]:
    """Pauses of all trading, from audit rows, oldest first.

    A lift counts from when it was asked for, since trading opens before its row is written.
    """
    closed: dict[str, datetime] = {}
    found: list[Pause] = []
    for entry in entries:
        if entry.action not in ("hold_set", "hold_lifted"):
            continue
        data = json.loads(entry.data)
        hold = data["hold"]
        if hold["side"] or hold["symbol"]:
            continue
        if entry.action == "hold_set":
            closed.setdefault(hold["key"], aware(entry.at) + _EFFECTIVE_AFTER)
        elif hold["key"] in closed:
            since = closed.pop(hold["key"])
            until = datetime.fromisoformat(data["at"])
            found += [Pause(since, until)] if since < until else []
    return [*found, *(Pause(since) for since in closed.values())]


def aware(moment: datetime) -> datetime:
    """A stored time, which is naive UTC, with its zone."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
