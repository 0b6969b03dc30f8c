"""The whole run of one order, and the signals both workflow types answer to."""

from typing import Any

from temporalio import workflow

from models.approvals import ApprovalCase, ApprovalGiven
from models.decision import Decision
from models.messages import AdmitResult, CloseResult, OrderOutcome
from models.operating import OperatorAct, OperatorAnswer
from models.order import Reason, Stage
from models.records import ItemKind
from models.requests import OrderRequest, VaultStatus
from workflows.order_finish import OrderFinish
from workflows.order_operating import OrderOperating
from workflows.order_state import OrderState
from workflows.order_steps import ENDED, OrderSteps
from workflows.order_trade import OrderTrade

_SLOWEST_REFUSAL_SECONDS = 60.0
_REAPPEARED_SECONDS = 2.0
_NOT_YET = CloseResult(closed=False, status=VaultStatus.OPEN, stage=Stage.SETTLING)


class OrderRun:
    """Signals: each only wakes; whoever acts then reads the source. They never raise."""

    def __init__(self, request: OrderRequest) -> None:
        self.state = OrderState(request)
        self.steps = OrderSteps(self.state)
        self.finish = OrderFinish(self.steps)
        self.operating = OrderOperating(self.state)
        self._refusals = 1

    @workflow.signal(description="Look again: a hold was lifted or something changed.")
    def wake(self, *args: Any) -> None:
        """Look again."""
        self.state.wake()

    @workflow.signal(description="The user wants out: cancel what is not filled.")
    def cancel(self, *args: Any) -> None:
        """Cancel what is not filled."""
        self.state.cancel()

    @workflow.signal(description="A pause cancels at the broker: what is not filled waits again.")
    def recall(self, *args: Any) -> None:
        """Cancel what works at the broker, and wait at the gate."""
        self.state.recall()

    @workflow.signal(description="The broker order changed (a hint; the book is read).")
    def order_update(self, *args: Any) -> None:
        """Take a hint about the broker order."""
        self.state.see_order(*args)

    @workflow.signal(description="The vault has an end for this request (a hint; it is read).")
    def settled(self, *args: Any) -> None:
        """Take a hint that the request is settled."""
        self.state.mark_settled()

    @workflow.update(description="An approver's EIP-712 signature; answers who has signed so far.")
    async def approve(self, given: ApprovalGiven) -> ApprovalCase:
        """Take a signature; answers when it is stored."""
        return await self.finish.approval.take(given)

    @approve.validator
    def _check_approval(self, given: ApprovalGiven) -> None:
        """Refuse a wrong, repeated or unauthorised one at once, before anything is recorded."""
        self.finish.approval.check(given)

    @workflow.query(description="What has to be signed, by whom, and who has; null: nothing.")
    def approval(self) -> ApprovalCase | None:
        """The case that waits for approvals."""
        return self.finish.approval.case

    @workflow.update(description="An operator's retry, refund or cancel; answers what happens now.")
    async def operate(self, act: OperatorAct) -> OperatorAnswer:
        """Note it, then do it."""
        return await self.operating.take(act)

    @operate.validator
    def _check_act(self, act: OperatorAct) -> None:
        """Refuse at once what the order's state does not allow."""
        self.operating.check(act)

    async def carry(self) -> OrderOutcome:
        """Carry one request from its first look to its end."""
        while True:
            closed = await self._once()
            if closed.closed:
                await self.finish.approval.end()
                return self._outcome(closed)
            # A reorganisation brought it back while we were closing it, or a refund was refused:
            # from the first look on, with what store and broker say by now.
            await self.steps.pause(_REAPPEARED_SECONDS)

    async def _once(self) -> CloseResult:
        admitted = await self.steps.admit()
        trade = OrderTrade(self.steps)
        if admitted.terms is None:
            decision = await trade.withdraw(admitted.claims)
            return await self._finished(trade, decision)
        if admitted.terms.status in ENDED:
            return await self.steps.close(Reason.NONE, "")
        if admitted.item is not None:
            return await self._finished(trade, Decision(admitted.item.kind))
        return await self._finished(trade, await self._decide(trade, admitted))

    async def _decide(self, trade: OrderTrade, admitted: AdmitResult) -> Decision:
        if admitted.claims:
            # What was sent before is looked after at once; placing asks for the depth again.
            return await trade.run(admitted.claims)
        seen = await self.steps.confirm(admitted.confirmations_missing, admitted.waits_for)
        if seen is not None and seen.terms is None:
            return Decision(None, Reason.ORPHANED, "vanished while it waited for confirmations")
        if seen is not None and seen.terms is not None and seen.terms.status in ENDED:
            return Decision(None)
        return await trade.run(admitted.claims)

    async def _finished(self, trade: OrderTrade, decision: Decision) -> CloseResult:
        """Settle, refund, or report what the vault (or a reorganisation) decided.

        Not closed: a refund was refused because an attempt may still fill, so begin again with it.
        """
        while decision.kind is not None:
            self.state.decided = decision.kind
            refused = await self.steps.enqueue(decision.kind, decision.reason, decision.detail)
            if not refused:
                return await self.finish.settled(decision.reason, decision.detail)
            self.state.show(Stage.SETTLING, refused)
            self.state.decided = None
            self.steps.renew()
            await self.steps.pause(min(2.0**self._refusals, _SLOWEST_REFUSAL_SECONDS))
            self._refusals += 1
            if decision.kind is ItemKind.REFUND:
                return _NOT_YET
            decision = await trade.reconsider(decision)
        return await self.steps.close(decision.reason, decision.detail)

    def _outcome(self, closed: CloseResult) -> OrderOutcome:
        self.state.show(closed.stage, closed.detail or "done")
        return OrderOutcome(
            status=VaultStatus(closed.status), stage=Stage(closed.stage), detail=closed.detail
        )
