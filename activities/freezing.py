"""What reconcile must not repair holds trading until it is measured to be well again.

mismatch:…      money, positions or backing do not add up: two runs saw it, nothing was in flight
order-failures  so many orders failed in a while for reasons that are not their owners'
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from activities.equations import seen_well, stale
from activities.observations import MONEY, ORDERS, POSITION, SUPPLY_UNCOVERED
from activities.reconcile_view import busy
from models.columns import naive_utc
from models.control import FailureLimit, HoldCommand, HoldKind
from models.order import OrderStatus, Reason

if TYPE_CHECKING:
    from activities.reconcile_view import View
    from clients.gateway import WorkflowGateway
    from clients.store.store import Store
    from models.drafts import Observation
    from models.records import Finding, HoldRow

FAILURES_HOLD = "order-failures"
_MISMATCH = "mismatch"
_WHO = "reconcile"
_FROZEN: Mapping[str, str] = {
    MONEY: "the vault's USDT does not add up",
    POSITION: "the broker's shares do not add up",
    SUPPLY_UNCOVERED: "more was minted than is held",
}
"""Kinds of finding that stop trading: the whole of it for MONEY, else the symbol."""
_NOT_THE_OWNERS = frozenset({Reason.BROKER_REJECTED, Reason.PROVEN_ABSENT})
"""Ends that nobody asked for and no price explains."""


class Freezing:
    """Sets and lifts breakers' holds as one run of reconcile says; saying it again is harmless."""

    def __init__(self, store: Store, gateway: WorkflowGateway, failures: FailureLimit) -> None:
        self._store = store
        self._gateway = gateway
        self._failures = failures

    async def apply(
        self,
        view: View,
        seen: Sequence[Observation],
        standing: Sequence[Finding],
        now: datetime,
        houses: Collection[str],
    ) -> None:
        """Hold what stands, lift what is well. houses: symbols that the house holds already.

        seen: all of this run, so that one look which sees nothing wrong any more lifts.

        Raises:
            SourceUnavailable: store or Temporal could not be asked; the next run does it.
        """
        wanted = {hold.key: hold for hold in self._wanted(view, standing, now)}
        active = {row.key: row for row in await self._store.holds.active()}
        for key, hold in wanted.items():
            # What the house owns is missing from the sum until the run after it was booked.
            if key not in active and hold.symbol not in houses:
                await self._gateway.set_hold(hold)
        well = {_key(kind, symbol) for kind, symbol in seen_well(view)} | {FAILURES_HOLD}
        for row in active.values():
            breaker = row.kind == HoldKind.BREAKER and row.key in well and row.key not in wanted
            if breaker or (row.symbol not in houses and _explained(row, view, seen)):
                await self._gateway.lift_hold(_same(row))

    def _wanted(
        self, view: View, standing: Sequence[Finding], now: datetime
    ) -> Iterator[HoldCommand]:
        for finding in standing:
            if finding.kind in _FROZEN:
                yield _mismatch(finding)
        failed = self._failed(view, now)
        if self._failures.most and len(failed) >= self._failures.most:
            yield self._failing(failed)

    def _failed(self, view: View, now: datetime) -> list[Reason]:
        since = naive_utc(now) - self._failures.window
        rows = (case.row for case in view.cases)
        return [
            row.reason
            for row in rows
            if row is not None
            and row.status is OrderStatus.FAILED
            and row.reason in _NOT_THE_OWNERS
            and row.updated_at >= since
        ]

    def _failing(self, failed: Sequence[Reason]) -> HoldCommand:
        counts = ", ".join(f"{n} {reason.value}" for reason, n in Counter(failed).most_common())
        minutes = self._failures.window.total_seconds() / 60
        return HoldCommand(
            key=FAILURES_HOLD,
            kind=HoldKind.BREAKER,
            reason=f"orders fail: {counts} in {minutes:g} min; lifted when fewer than "
            f"{self._failures.most} are that young",
            who=_WHO,
        )


def _explained(row: HoldRow, view: View, seen: Sequence[Observation]) -> bool:
    """Whether it holds for orders that were nobody's, and each order of its symbol has an owner."""
    if row.kind != HoldKind.HOUSE or row.key != f"orders:{row.symbol}" or stale(view):
        return False
    of_symbol = {case.request_id for case in view.cases if case.symbol == row.symbol}
    moving = any(busy(case) for case in view.cases if case.symbol == row.symbol)
    strange = {one.key.split(":")[1] for one in seen if one.kind == ORDERS}
    return not moving and not strange & of_symbol


def _mismatch(finding: Finding) -> HoldCommand:
    symbol = "" if finding.kind == MONEY else finding.key.partition(":")[2]
    return HoldCommand(
        key=_key(finding.kind, symbol),
        kind=HoldKind.BREAKER,
        reason=f"{_FROZEN[finding.kind]}: {finding.detail}; lifted by a run that finds it well",
        who=_WHO,
        symbol=symbol,
    )


def _key(kind: str, symbol: str) -> str:
    return f"{_MISMATCH}:{kind.lower()}" + (f":{symbol}" if symbol else "")


def _same(row: HoldRow) -> HoldCommand:
    """Every hold of ours is of both sides."""
    return HoldCommand(
        key=row.key, kind=row.kind, reason="measured to be well", who=_WHO, symbol=row.symbol
    )
