"""What reconcile puts right itself: where the vault, or a workflow, says how it must be.

ROW_MISSING   a workflow runs and its row is gone: written again from the vault
ROW_BEHIND    the vault has an end, the row has none, a workflow runs: it is told to look
ROW_EARLY     the row says an end, the vault none, a workflow runs: the end is taken back
ITEM_MISSING  an order waits for a settlement item that is not there: its workflow begins anew
RESERVATION   a request has ended and still sets something aside: given back
HOLDS         the table of holds is not what the control workflow says: written as it says
STRANGER      an order at the broker that is not ours: only told, nobody here may touch it
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from activities.clock import utc_now
from activities.observations import (
    HOLDS,
    ITEM_MISSING,
    RESERVATION,
    ROW_BEHIND,
    ROW_EARLY,
    ROW_MISSING,
    STRANGER,
)
from activities.reconcile_view import View, busy
from models.cases import Case
from models.control import ControlState
from models.drafts import Observation
from models.order import TERMINAL_STATUSES, Stage
from models.records import OPEN_CLAIMS, Finding, HoldRow
from models.requests import VaultStatus, order_workflow_id

if TYPE_CHECKING:
    from clients.gateway import WorkflowGateway
    from clients.store.store import Store

_WAITS_FOR_ITS_ITEM = frozenset({Stage.SETTLING, Stage.AWAITING_APPROVAL})
_UNTRUE_END = "its row said an end that the vault does not know; its workflow goes on"
_LOST_ROW = "its row was lost and written again; its workflow goes on"


class Mending:
    """Looks, and mends what stood in two runs; saying or doing it again is harmless."""

    def __init__(self, store: Store, gateway: WorkflowGateway) -> None:
        self._store = store
        self._gateway = gateway
        self._state: ControlState | None = None

    async def seen(self, view: View) -> list[Observation]:
        """What is there to be mended or told.

        Raises:
            SourceUnavailable: the store could not be asked.
        """
        quiet = [case for case in view.cases if case.asked and not busy(case)]
        found = [one for case in quiet for one in _of(case, view)]
        found += _strangers(view)
        self._state = await self._gateway.control_state()
        if self._state is not None:
            rows = await self._store.holds.active()
            found += _holds(rows, self._state)
        return found

    async def mend(self, view: View, standing: Sequence[Finding]) -> int:
        """Put right what stands; how many that were.

        Raises:
            SourceUnavailable: store or Temporal could not be told; the next run does it.
        """
        kinds = {finding.key: finding.kind for finding in standing}
        mended = 0
        for case in view.cases:
            for seen in _of(case, view):
                if kinds.get(seen.key) == seen.kind:
                    await self._mend(case, seen.kind)
                    mended += 1
        if HOLDS in kinds.values() and self._state is not None:
            await self._store.holds.repair(self._state, utc_now())
            mended += 1
        return mended

    async def _mend(self, case: Case, kind: str) -> None:
        if kind == RESERVATION:
            await self._store.placements.release(case.request_id, utc_now())
            return
        if kind == ROW_MISSING:
            await self._write_row(case)
        if kind == ROW_EARLY and case.row is not None:
            row = case.row
            about = (row.chain_id, row.vault, row.request_id)
            await self._store.orders.reopen(*about, _UNTRUE_END, utc_now())
        for signal in ("wake", "settled"):
            await self._gateway.signal_order(_workflow_id(case), signal)

    async def _write_row(self, case: Case) -> None:
        """The row as a new run would write it, at a stage that a resume looks for.

        Its workflow numbers its writes higher, so that whatever it says next counts.
        """
        terms = case.terms
        if terms is None:
            return
        admitted = await self._store.orders.admit(
            terms,
            workflow_id=_workflow_id(case),
            symbol=case.symbol,
            tx_hash="",
            now=utc_now(),
        )
        if admitted.order.stage is not Stage.CONFIRMING or case.claims or case.item is not None:
            return
        await self._store.orders.update(
            terms.chain_id,
            terms.vault,
            case.request_id,
            admitted.version,
            {"stage": Stage.HELD, "waiting_for": _LOST_ROW},
            now=utc_now(),
        )


def _of(case: Case, view: View) -> Iterator[Observation]:
    """What is wrong with one request that no step is in flight of."""
    runs = _workflow_id(case) in view.running
    about = case.request_id
    if case.row is None and case.status is VaultStatus.OPEN and runs and case.terms is not None:
        yield Observation(f"row:{about}:missing", ROW_MISSING, "a workflow runs, the row is gone")
    if _behind(case) and runs:
        words = f"the vault has {case.status.name} it, the row does not say so"
        yield Observation(f"row:{about}:behind", ROW_BEHIND, words)
    if _early(case) and runs:
        yield Observation(f"row:{about}:early", ROW_EARLY, "the row says an end, the vault none")
    if _without_item(case) and runs:
        yield Observation(
            f"item:{about}:missing", ITEM_MISSING, "it waits for an item that is gone"
        )
    for remark in _leaked(case):
        words = f"{remark} of an ended request still sets something aside"
        yield Observation(f"reservation:{remark}", RESERVATION, words)


def _behind(case: Case) -> bool:
    ended = case.status not in (VaultStatus.OPEN, VaultStatus.NONE)
    return ended and case.row is not None and case.row.status not in TERMINAL_STATUSES


def _early(case: Case) -> bool:
    ended = case.row is not None and case.row.status in TERMINAL_STATUSES
    return ended and case.status is VaultStatus.OPEN


def _without_item(case: Case) -> bool:
    row = case.row
    waits = row is not None and row.stage in _WAITS_FOR_ITS_ITEM
    return waits and case.item is None and case.status is VaultStatus.OPEN


def _leaked(case: Case) -> Iterator[str]:
    """Remarks of claims that hold something for a request that row and vault call ended."""
    ended = case.row is not None and case.row.status in TERMINAL_STATUSES
    if not ended or case.status in (VaultStatus.OPEN, VaultStatus.NONE):
        return
    if any(order.alive for order in case.orders):
        return
    for claim in case.claims:
        if claim.released_at is None and claim.state in OPEN_CLAIMS:
            yield claim.remark


def _strangers(view: View) -> Iterator[Observation]:
    for order in view.others:
        if order.filled or order.alive:
            words = (
                f"order {order.order_id} {order.side} {order.quantity} {order.symbol} is not ours, "
                f"filled {order.filled}: {order.status}"
            )
            yield Observation(f"stranger:{order.order_id}", STRANGER, words)


def _holds(rows: Collection[HoldRow], state: ControlState) -> Iterator[Observation]:
    told, true = {row.key for row in rows}, {hold.key for hold in state.holds}
    for key in sorted(told ^ true):
        where = "only in the table" if key in told else "missing in the table"
        yield Observation(f"hold:{key}", HOLDS, f"hold {key} is {where}")


def _workflow_id(case: Case) -> str:
    known = case.terms or case.row
    return order_workflow_id(known.chain_id, known.vault, case.request_id) if known else ""
