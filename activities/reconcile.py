"""Vault, workflows, store and broker compared: nudges, books and alarms; sends nothing itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from temporalio import activity

from activities.beating import beating
from activities.clock import utc_now
from activities.equations import seen_equations
from activities.freezing import Freezing
from activities.house_due import due_and_stale, quiet_cases
from activities.mending import Mending
from activities.observations import (
    HOUSE,
    HOUSE_STALE,
    ITEM_REFUSED,
    ITEM_STUCK,
    NO_WORKFLOW,
    ORDERS,
    ROW,
    ROW_BEHIND,
    due_words,
    house_key,
    observed,
    strangers,
)
from activities.reconcile_view import ReconcileReader, View, busy
from activities.reserves import Reserving, seen_short
from models.assets import AssetBook, UnknownAsset
from models.cases import Case, HouseDue
from models.chain import RejectionKind
from models.control import FailureLimit, HoldCommand, HoldKind
from models.drafts import Observation
from models.errors import Conflict
from models.invariants import (
    Violation,
    ended_once,
    orders_claimed,
)
from models.messages import ReconcileResult
from models.order import TERMINAL_STATUSES, Stage
from models.records import Finding, HousePosition, ItemState
from models.requests import OrderRequest, VaultStatus, order_workflow_id
from models.reserves import Reserves
from models.verdict import rejection_kind

if TYPE_CHECKING:
    from clients.gateway import WorkflowGateway
    from clients.store.store import Store

_NUDGED = frozenset({NO_WORKFLOW, ROW_BEHIND})
_ALARMED = "alarmed"
_NEVER = FailureLimit()
_WAITING = frozenset({ItemState.PENDING, ItemState.SENT})


class ReconcileReport(Protocol):
    """What the process around the activity makes of it: metrics and logs."""

    def alarm(self, kind: str, key: str, detail: str) -> None:
        """Somebody has to look; said once per finding."""

    def reserved(self, statement: Reserves) -> None:
        """What is held against what is owed, as this run saw it."""

    def finished(self, standing: Mapping[str, int]) -> None:
        """A run has ended with so many standing findings by kind."""


class ReconcileActivities:
    """Counts a mismatch only when two consecutive runs saw it and no step was in flight."""

    def __init__(
        self,
        reader: ReconcileReader,
        store: Store,
        gateway: WorkflowGateway,
        assets: AssetBook,
        report: ReconcileReport,
        *,
        stuck_after: timedelta = timedelta(minutes=2),
        failures: FailureLimit = _NEVER,
        reserving: Reserving | None = None,
    ) -> None:
        self._reader = reader
        self._store = store
        self._gateway = gateway
        self._assets = assets
        self._report = report
        self._stuck_after = stuck_after
        self._reserving = reserving
        self._mending = Mending(store, gateway)
        self._freezing = Freezing(store, gateway, failures)

    @activity.defn(name="reconcile")
    async def reconcile(self) -> ReconcileResult:
        """One run. Repeating it is harmless: what it does is idempotent by its own key."""
        async with beating():
            return await self._run()

    async def _run(self) -> ReconcileResult:
        run = await self._store.findings.next_run()
        if activity.info().attempt > 1:
            # A second try of one run must not count as the second of two runs.
            run -= 1
        view = await self._reader.read()
        missing = self._without_workflow(view)
        missing_due, stale = await due_and_stale(view, self._store)
        due = {house_key(one): one for one in missing_due}
        seen = [
            *(Observation(key, NO_WORKFLOW, "no workflow runs") for key in missing),
            *(Observation(key, HOUSE, due_words(one)) for key, one in due.items()),
            *(Observation(f"stale:{house_key(one)}", HOUSE_STALE, due_words(one)) for one in stale),
            *self._rows(view),
            *(observed(ORDERS, violation) for violation in await self._unclaimed(view)),
            *self._items(view),
            *seen_equations(view),
            *await self._reserves(view),
            *await self._mending.seen(view),
        ]
        standing = await self._store.findings.observe(run, seen)
        started = await self._start([missing[f.key] for f in standing if f.key in missing])
        booked = await self._book([due[f.key] for f in standing if f.key in due])
        mended = await self._mending.mend(view, standing)
        houses = await self._hold(view, standing)
        await self._freezing.apply(view, seen, standing, utc_now(), houses)
        alarms = await self._alarm(standing)
        self._report.finished(Counter(finding.kind for finding in standing))
        return ReconcileResult(
            run=run,
            requests=len(view.open),
            started=started,
            nudged=await self._nudge(view),
            booked=booked,
            mended=mended,
            findings=len(standing),
            alarms=alarms,
        )

    # --- what is seen -----------------------------------------------------------------------------

    def _without_workflow(self, view: View) -> dict[str, OrderRequest]:
        """Open requests and unfinished rows that nobody works on, by finding key.

        And ends that went with their request when a reorganisation took it: the row must say so.
        """
        wanted = {
            request.request_id.lower(): OrderRequest(
                chain_id=request.chain_id,
                vault=request.vault,
                n=request.n,
                request_id=request.request_id,
                side=request.side,
                user=request.owner,
                symbol=self._symbol(request.asset),
                created_block=request.created_block,
            )
            for request in view.open
        }
        gone = (case.row for case in view.cases if case.asked and case.status is VaultStatus.NONE)
        vanished = [row for row in gone if row is not None and row.stage is not Stage.ORPHANED]
        for row in (*view.unfinished, *vanished):
            # Ended on chain, but its workflow died before it could say so on the row.
            wanted[row.request_id] = OrderRequest(
                chain_id=row.chain_id,
                vault=row.vault,
                n=row.request_number,
                request_id=row.request_id,
                side=row.order_type,
                user=row.user_addr,
                symbol=row.symbol,
                tx_hash=row.tx_hash,
                created_block=row.created_block,
            )
        return {
            f"workflow:{request_id}": request
            for request_id, request in wanted.items()
            if order_workflow_id(request.chain_id, request.vault, request_id) not in view.running
        }

    def _rows(self, view: View) -> Iterable[Observation]:
        """Rows that say another end than the vault, and orders that should not be."""
        yield from (seen for case in view.cases if not case.asked for seen in strangers(case))
        quiet = [case for case in view.cases if case.asked and not busy(case)]
        told = [case for case in quiet if _says_an_end(case)]
        yield from (observed(ROW, violation) for violation in ended_once(told))

    async def _unclaimed(self, view: View) -> list[Violation]:
        """Orders that should not be; what the house has booked of one excuses it for ever."""
        quiet = quiet_cases(view).values()
        broken = {violation.key for violation in orders_claimed(quiet, view.house)}
        doubtful = [case for case in quiet if case.request_id in broken]
        ids = [order.order_id for case in doubtful for order in case.orders]
        booked = [row for each in ids for row in await self._store.house.booked(each)]
        return orders_claimed(doubtful, booked)

    async def _reserves(self, view: View) -> list[Observation]:
        if self._reserving is None:
            return []
        statement = await self._reserving.look(view, utc_now())
        self._report.reserved(statement)
        return [*seen_short(statement), *await self._reserving.seen_old(utc_now())]

    def _items(self, view: View) -> Iterable[Observation]:
        for item in (case.item for case in view.cases if case.item is not None):
            about = f"{item.request_id}:{item.state}"
            if item.state is ItemState.REJECTED:
                if rejection_kind(item.rejection) is RejectionKind.OPERATOR:
                    yield Observation(f"item:{about}", ITEM_REFUSED, item.rejection)
            elif item.state in _WAITING and utc_now() - item.updated_at > self._stuck_after:
                yield Observation(f"item:{about}", ITEM_STUCK, f"since {item.updated_at}")

    # --- what is done -----------------------------------------------------------------------------

    async def _start(self, requests: Sequence[OrderRequest]) -> int:
        for request in requests:
            await self._gateway.start_order(request)
        return len(requests)

    async def _book(self, due: Sequence[HouseDue]) -> int:
        booked = 0
        for one in due:
            position = HousePosition(
                symbol=one.symbol,
                quantity=one.quantity,
                cost=one.cost,
                cause=one.cause,
                broker_order_id=one.broker_order_id,
                request_id=one.request_id,
                shares_numerator=one.ratio.numerator,
                shares_denominator=one.ratio.denominator,
                split_epoch=one.ratio.epoch,
                created_at=utc_now(),
            )
            try:
                booked += await self._store.house.book(position)
            except Conflict as error:
                # Resolved by an operator, and grown since: theirs to decide again.
                self._report.alarm(HOUSE, house_key(one), str(error))
        return booked

    async def _hold(self, view: View, standing: Sequence[Finding]) -> frozenset[str]:
        """Hold each symbol that the house owns something of, or whose orders are not ours."""
        reasons = {
            f"house:{row.symbol}": (row.symbol, "fills that no request may claim: flatten or adopt")
            for row in await self._store.house.unresolved()
        }
        symbols = {case.request_id: case.symbol for case in view.cases}
        for finding in standing:
            symbol = symbols.get(finding.key.split(":")[1], "") if finding.kind == ORDERS else ""
            if symbol:
                reasons[f"orders:{symbol}"] = (symbol, finding.detail)
        active = {hold.key for hold in await self._store.holds.active()}
        for key, (symbol, reason) in reasons.items():
            if key not in active:
                await self._gateway.set_hold(
                    HoldCommand(
                        key=key, kind=HoldKind.HOUSE, reason=reason, who="reconcile", symbol=symbol
                    )
                )
        return frozenset(symbol for symbol, _ in reasons.values())

    async def _alarm(self, standing: Sequence[Finding]) -> int:
        fresh = [f for f in standing if f.kind not in _NUDGED and f.handled != _ALARMED]
        for finding in fresh:
            self._report.alarm(finding.kind, finding.key, finding.detail)
            await self._store.findings.mark_handled(finding.key, _ALARMED)
        return len(fresh)

    async def _nudge(self, view: View) -> int:
        """Wake the settlement when items wait longer than it should ever take."""
        stuck = sum(1 for seen in self._items(view) if seen.kind == ITEM_STUCK)
        if stuck:
            await self._gateway.wake_settlement()
        return stuck

    def _symbol(self, token: str) -> str:
        try:
            return self._assets.of_token(token).symbol
        except UnknownAsset:
            return ""


def _says_an_end(case: Case) -> bool:
    """Until then the workflow is still to speak, and whether one runs is looked at elsewhere."""
    if case.row is None:
        return case.status is not VaultStatus.OPEN
    return case.row.status in TERMINAL_STATUSES
