"""From the written item to the end: only forward from here."""

from models.messages import CloseResult
from models.order import Reason, Stage
from workflows.order_approval import OrderApproval
from workflows.order_steps import OrderSteps

_APPROVAL_GROWTH = 1.5


class OrderFinish:
    """Waits for the vault, or for approvals where it refused; closes the row."""

    def __init__(self, steps: OrderSteps) -> None:
        self.approval = OrderApproval(steps)
        self._steps = steps

    async def settled(self, reason: Reason, detail: str) -> CloseResult:
        """Wait until the vault has an end for the request and the row shows it.

        Not closed: the store has lost its item, so begin again and write it anew.
        """
        state, approval = self._steps.state, self.approval
        state.show_progress(Stage.SETTLING, "waits for its settlement transaction")
        if state.approvable:
            await approval.look()
        pause = self._next_pause(state.policy.backstop)
        while True:
            await self._steps.woken(pause, lambda: state.settled or approval.waiting)
            state.settled = False
            await approval.keep()
            closed = await self._steps.close(reason, detail)
            if closed.closed or closed.item_missing:
                return closed
            if closed.stage is Stage.AWAITING_APPROVAL or approval.case is not None:
                await approval.look()
            pause = self._next_pause(pause)
            self._steps.renew()

    def _next_pause(self, pause: float) -> float:
        """People take hours to sign: what is waited for days is looked at ever less often."""
        policy, case = self._steps.state.policy, self.approval.case
        if case is None or not case.missing:
            return policy.backstop
        return min(pause * _APPROVAL_GROWTH, policy.gate_backstop)
