"""Following an order at the broker: pushes wake, the book decides, a fill may win any race."""

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.broker import BrokerActivities
from activities.orders import OrderActivities
from models.messages import CancelOrderInput, ReadOrderInput, ReadOrderResult
from models.order import Reason, Stage
from models.requests import QUEUE_CONTROL, VaultStatus
from workflows.order_state import over
from workflows.order_steps import ENDED, OrderSteps
from workflows.policies import ASK, CANCEL


class OrderFollow:
    """Until the order is over, and why we cancelled it if we did."""

    def __init__(self, steps: OrderSteps) -> None:
        self._steps = steps
        self._state = steps.state
        self._status = VaultStatus.OPEN
        self._outdated: int | None = None
        """The attempt whose order was seen to be of shares from before a split."""

    @property
    def moot(self) -> bool:
        """Whether the vault has no open request for this order any more."""
        return self._status is not VaultStatus.OPEN

    def vanished(self) -> None:
        """The vault was asked and has no such request: the next order is cancelled at once."""
        self._status = VaultStatus.NONE

    async def until_over(self) -> Reason:
        """Follow the order; the reason for which we cancelled it, NONE when we did not."""
        state = self._state
        give_up_at = workflow.time() + state.policy.order_timeout
        why, ask_again_at = Reason.NONE, 0.0
        while state.order is not None and not over(state.order):
            why = why if why is not Reason.NONE else self._cancel_reason(give_up_at)
            wait = min(state.policy.backstop, give_up_at - workflow.time(), state.until_expiry())
            if why is not Reason.NONE:
                if workflow.time() >= ask_again_at:
                    await self._cancel(why)
                    ask_again_at = workflow.time() + state.policy.backstop
                wait = ask_again_at - workflow.time()
            if not await self._steps.woken(wait):
                await self._take_book()
        return why

    async def look(self) -> ReadOrderResult:
        """The broker's book and the vault's word."""
        message = ReadOrderInput(request=self._state.request, attempt=self._state.attempt)
        seen = await self._steps.shielded(
            lambda: workflow.execute_activity_method(OrderActivities.read_order, message, **ASK)
        )
        self._status = seen.status
        self._outdated = message.attempt if seen.outdated else None
        return seen

    async def _take_book(self) -> None:
        self._steps.renew()
        seen = await self.look()
        if seen.order is not None:
            self._state.take(seen.order)
        self._state.cancel_wanted = self._state.cancel_wanted or seen.cancel_requested

    def _cancel_reason(self, give_up_at: float) -> Reason:
        if self._status is VaultStatus.NONE:
            return Reason.ORPHANED
        if self._status in ENDED:
            return Reason.RECLAIMED
        if self._state.cancel_wanted:
            return self._state.cancelled_by[0]
        if self._is_outdated():
            return Reason.SPLIT
        if self._state.expired():
            return Reason.DEADLINE
        if self._state.recalled:
            return Reason.PAUSED
        return Reason.NOT_FILLED if workflow.time() >= give_up_at else Reason.NONE

    def _is_outdated(self) -> bool:
        """Of this order: the next one is placed in new shares, and not to be cancelled for it."""
        if self._outdated is None or self._outdated == self._state.attempt:
            return self._outdated is not None
        return not workflow.patched("outdated-is-of-one-attempt")

    async def _cancel(self, why: Reason) -> None:
        """Ask for a cancel; only the book says whether it happened, and a fill may win the race."""
        state = self._state
        if state.order is None:
            return
        state.show(Stage.CANCELLING, f"asked the broker to cancel ({why.value})")
        message = CancelOrderInput(
            request=state.request,
            attempt=state.attempt,
            broker_order_id=state.order.order_id,
            version=state.next_version(),
            why=why.value,
        )
        try:
            await self._steps.shielded(
                lambda: workflow.execute_activity_method(
                    BrokerActivities.cancel_order, message, task_queue=QUEUE_CONTROL, **CANCEL
                )
            )
        except ActivityError:
            # Whoever only asks for a cancel would miss the fill: look at the book, then ask again.
            state.wake()
