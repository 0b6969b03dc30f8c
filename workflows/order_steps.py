"""One order from its first look at the vault to its end: what deposits and redeems share.

admit ▶ confirm ▶ trade (place, resolve, follow) ▶ settle or refund ▶ close
Every run begins by reading the vault and the store, so a run may be lost and begun again anywhere.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow

from activities.orders import OrderActivities
from models.approvals import approvable
from models.messages import (
    AdmitInput,
    AdmitResult,
    CloseInput,
    CloseResult,
    EnqueueInput,
    EnqueueResult,
    ReadRequestInput,
    ReadRequestResult,
    RecordStageInput,
)
from models.operating import OperatorAct
from models.order import Reason, Stage
from models.records import ItemKind
from models.requests import VaultStatus
from workflows.order_state import OrderState
from workflows.policies import ASK

T = TypeVar("T")
ENDED = frozenset({VaultStatus.SETTLED, VaultStatus.REFUNDED, VaultStatus.RECLAIMED})
_CONFIRMATION_PAUSE_SECONDS = 2.0
_SLOWEST_CONFIRMATION_SECONDS = 30.0
_OWED_GROWTH = 1.5
_CANCEL = "Cancel"
"""Memo that carries a cancel which only a signal told us from one run to the next."""
_OPERATOR = "Operator"
"""Memo beside it: who cancelled it, where it was an operator."""
_RECALL = "Recall"
"""The same for what a pause calls back."""


class OrderSteps:
    """The steps; the state lives in OrderState so that signals reach it before `run`."""

    def __init__(self, state: OrderState) -> None:
        self.state = state

    async def admit(self) -> AdmitResult:
        """Read the vault, have a row, learn what earlier runs did."""
        state = self.state
        message = AdmitInput(request=state.request, workflow_id=workflow.info().workflow_id)
        admitted = await self.shielded(
            lambda: workflow.execute_activity_method(
                OrderActivities.admit, message, summary="read the vault, have a row", **ASK
            )
        )
        state.policy = admitted.policy
        state.tries = admitted.retry_count
        state.indicative = admitted.indicative
        state.begin_versions(admitted.version)
        if workflow.memo_value(_CANCEL, default=False):
            state.cancel()
            by = workflow.memo_value(_OPERATOR, default=None)
            state.operator = OperatorAct.model_validate(by) if by else state.operator
        if workflow.memo_value(_RECALL, default=False):
            state.recall()
        if admitted.terms is not None:
            state.deadline = admitted.terms.deadline
            state.cancel_wanted = state.cancel_wanted or admitted.terms.cancel_requested
        return admitted

    async def confirm(self, missing: int, words: str) -> ReadRequestResult | None:
        """Wait until the request is deep enough; None when it already is.

        Who wants out, and whose deadline comes, waits no longer: a refund needs no depth.
        """
        state, seen, pause = self.state, None, _CONFIRMATION_PAUSE_SECONDS
        while missing > 0 and not state.cancel_wanted and not state.expired():
            state.show(Stage.CONFIRMING, f"waits: {words or f'{missing} more block(s)'}")
            self.renew()
            await self.woken(min(pause, state.until_expiry()))
            pause = min(pause * 1.25, _SLOWEST_CONFIRMATION_SECONDS)
            seen = await self.read_request()
            if seen.terms is None or seen.terms.status in ENDED:
                return seen
            state.cancel_wanted = state.cancel_wanted or seen.terms.cancel_requested
            missing, words = seen.confirmations_missing, seen.waits_for
        return seen

    async def read_request(self) -> ReadRequestResult:
        """The vault's word on this request; the row says what it waits for."""
        message = ReadRequestInput(request=self.state.request, version=self.state.next_version())
        return await self.shielded(
            lambda: workflow.execute_activity_method(OrderActivities.read_request, message, **ASK)
        )

    async def record(self, stage: Stage, words: str) -> None:
        """Show a wait on the row and in Temporal, before the wait begins."""
        state = self.state
        state.show_waiting(stage, words)
        message = RecordStageInput(
            request=state.request,
            version=state.next_version(),
            stage=stage,
            waiting_for=words[:255],
            retry_count=state.tries,
        )
        await self.shielded(
            lambda: workflow.execute_activity_method(OrderActivities.record_stage, message, **ASK)
        )

    async def enqueue(self, kind: ItemKind, reason: Reason, detail: str) -> str:
        """Write the one settlement item; why it was refused ("not provable yet"), or empty."""
        message = EnqueueInput(
            request=self.state.request,
            version=self.state.next_version(),
            kind=kind,
            reason=reason,
            detail=detail,
            began=workflow.info().start_time.timestamp(),
        )
        done = await self._enqueue_once(message)
        item = done.item
        self.state.approvable = item is not None and approvable(item.state, item.rejection)
        return "" if done.item is not None else done.refused or "no item was written"

    async def _enqueue_once(self, message: EnqueueInput) -> EnqueueResult:
        return await self.shielded(
            lambda: workflow.execute_activity_method(
                OrderActivities.enqueue_settlement, message, summary=message.kind.lower(), **ASK
            )
        )

    async def close(self, reason: Reason, detail: str) -> CloseResult:
        """Write the end on the row if the vault has one; wait for what it still owes."""
        pause = self.state.policy.backstop
        while (closed := await self._close_once(reason, detail)).stage is Stage.OWED:
            self.state.show_waiting(Stage.OWED, closed.detail)
            self.renew()
            await self.woken(pause)
            pause = min(pause * _OWED_GROWTH, self.state.policy.gate_backstop)
        return closed

    async def _close_once(self, reason: Reason, detail: str) -> CloseResult:
        message = CloseInput(
            request=self.state.request,
            version=self.state.next_version(),
            reason=reason,
            detail=detail,
        )
        return await self.shielded(
            lambda: workflow.execute_activity_method(OrderActivities.close_order, message, **ASK)
        )

    async def woken(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Wait for a signal or the backstop timer: whichever comes, the source is read next.

        True: a push about the broker order ended the wait, and nobody else asked us to look.
        """
        state = self.state
        condition = until or (lambda: state.woken or state.heard)
        try:
            await workflow.wait_condition(
                condition,
                timeout=timedelta(seconds=max(seconds, 0.001)),
                timeout_summary="backstop",
            )
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            state.cancel()
        pushed = state.heard and not state.woken
        state.woken = state.heard = False
        return pushed

    async def pause(self, seconds: float) -> None:
        """Let time pass; a cancel of the workflow counts as the user's cancel."""
        await self.woken(seconds, lambda: False)

    def renew(self) -> None:
        """Go on in a new run when the history is long: a run may be begun again anywhere.

        Only where no step is in flight and nobody waits for an answer; the server ends a run whose
        history reaches its limit.
        """
        info, most = workflow.info(), self.state.policy.run_events
        long = 0 < most <= info.get_current_history_length()
        due = long or info.is_continue_as_new_suggested()
        if due and workflow.all_handlers_finished():
            workflow.continue_as_new(self.state.request, memo=self._memo())

    def _memo(self) -> dict[str, object] | None:
        state = self.state
        told: dict[str, object] = {_CANCEL: state.cancel_wanted, _RECALL: state.recalled}
        # None keeps the memo of this run, and with it a recall that is over by now.
        if not any(told.values()) and not workflow.memo_value(_RECALL, default=False):
            return None
        if state.cancel_wanted and state.operator is not None:
            told[_OPERATOR] = state.operator.model_dump(mode="json")
        return told

    async def shielded(self, start: Callable[[], Awaitable[T]]) -> T:
        """Await a step to its end even if the workflow is cancelled meanwhile.

        A cancel from the Temporal UI means "the user wants out", never "forget what was sent".
        """
        task = asyncio.ensure_future(start())
        while True:
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                if task.cancelled():
                    raise
                self.state.cancel()
