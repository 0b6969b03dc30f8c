"""What watchers and reconcile find, as metrics and log events."""

import math
import re
import time
from collections.abc import Mapping
from datetime import UTC

import structlog

from activities.alarms import SettlementAlarm
from activities.observations import KINDS
from bronco.metrics import (
    AUDIT_BROKEN,
    AUDIT_CHECKED_AT,
    CHAIN_BACKLOG,
    CHAIN_HEAD,
    CHAIN_STALLED,
    CHAIN_STARTED,
    FINDINGS,
    FLOAT_USD,
    FREE_USDT,
    ISSUED_SHARES,
    LIABILITY_USDT,
    RECONCILE_ALARMS,
    RECONCILED_AT,
    REDEEM_FORECAST,
    RESERVE_SHARES,
    RESERVE_USDT,
    RESERVED_AT,
    SETTLEMENT_ALARMS,
    SOLD_SHARES,
    SOURCE_UP,
)
from models.drafts import AuditFault
from models.reserves import Reserves
from models.watch import ChainWatchStatus

_PROGRESS_SECONDS = 5.0
_REQUEST_ID = re.compile(r"0x[0-9a-f]{64}")
# Their key is a request id; of the others a transaction, a nonce or the settler.
_OF_AN_ITEM = frozenset(
    {SettlementAlarm.POISON, SettlementAlarm.UNSIGNED, SettlementAlarm.UNAPPROVED}
)
# A counter that appears with its first 1 has not increased: all are there from the start.
for _alarm in SettlementAlarm:
    SETTLEMENT_ALARMS.labels(_alarm.value)
for _kind in KINDS:
    RECONCILE_ALARMS.labels(_kind)
_log = structlog.get_logger(__name__)


class SourceReport:
    """Says once when a source goes and once when it comes back."""

    def __init__(self, lasts: float = math.inf) -> None:
        """lasts: seconds for which the metric has a word; a watch may go on in another process."""
        self._lasts = lasts
        self._problems: dict[str, str] = {}

    def __call__(self, source: str, problem: str) -> None:
        """Take note."""
        SOURCE_UP.tell(source, 0 if problem else 1, self._lasts)
        before = self._problems.get(source, "")
        self._problems[source] = problem
        if problem and not before:
            _log.warning("source_down", source=source, problem=problem)
        elif before and not problem:
            _log.info("source_up", source=source)


class ChainProgress:
    """How far the watcher of the chain is; a backlog is logged every few seconds."""

    def __init__(self) -> None:
        self._told_at = 0.0

    def __call__(self, status: ChainWatchStatus) -> None:
        """Take note."""
        CHAIN_BACKLOG.set(status.backlog)
        CHAIN_STARTED.set(status.started)
        CHAIN_HEAD.set(status.head)
        CHAIN_STALLED.set(status.stalled_seconds)
        now = time.monotonic()
        if status.backlog and now - self._told_at >= _PROGRESS_SECONDS:
            self._told_at = now
            _log.info(
                "chain_catching_up",
                looked_at=status.next - 1,
                of=status.count,
                started=status.started,
                per_second=status.per_second,
            )


class ReconcileLog:
    """Counts alarms and findings; a finding is logged once."""

    def alarm(self, kind: str, key: str, detail: str) -> None:
        """Somebody has to look."""
        RECONCILE_ALARMS.labels(kind).inc()
        _log.error("reconcile_alarm", kind=kind, key=key, detail=detail, **_order_in(key))

    def reserved(self, statement: Reserves) -> None:
        """What is held against what is owed."""
        RESERVE_USDT.set(statement.usdt.vault_units)
        LIABILITY_USDT.set(statement.usdt.liabilities_units)
        FREE_USDT.set(statement.float.usdt_units)
        cents = statement.float.usd_cents
        FLOAT_USD.set(math.nan if cents is None else cents)
        for one in statement.shares:
            held = math.nan if one.held is None else one.held - one.house
            RESERVE_SHARES.labels(one.symbol).set(held)
            ISSUED_SHARES.labels(one.symbol).set(float(one.issued_shares))
            SOLD_SHARES.labels(one.symbol).set(float(one.sold_shares))
        for need in statement.forecast:
            REDEEM_FORECAST.labels(str(need.days)).set(need.need_units)
        RESERVED_AT.set(statement.taken_at.replace(tzinfo=UTC).timestamp())

    def finished(self, standing: Mapping[str, int]) -> None:
        """A run has ended with so many standing findings by kind."""
        for kind in KINDS:
            FINDINGS.labels(kind).set(standing.get(kind, 0))
        RECONCILED_AT.set(time.time())


class AuditReport:
    """Whether the audit log is whole; a fault is an alarm each time it is seen."""

    def __init__(self) -> None:
        # One that never succeeds since it began would otherwise tell nothing, and alarm nobody.
        AUDIT_CHECKED_AT.set(time.time())

    def __call__(self, fault: AuditFault | None) -> None:
        """The log was looked at."""
        AUDIT_BROKEN.set(0 if fault is None else 1)
        if fault is None:
            AUDIT_CHECKED_AT.set(time.time())
        else:
            _log.error("audit_log_changed", fault=str(fault), entry=fault.seq, row=fault.entry_id)


def settlement_alarm(kind: SettlementAlarm, key: str, detail: str) -> None:
    """Somebody has to look; told as often as it is so."""
    SETTLEMENT_ALARMS.labels(kind.value).inc()
    order = _order_in(key) if kind in _OF_AN_ITEM else {}
    _log.error("settlement_alarm", kind=kind.value, key=key, detail=detail, **order)


def _order_in(key: str) -> dict[str, str]:
    found = _REQUEST_ID.search(key)
    return {"order_id": found.group()} if found else {}
