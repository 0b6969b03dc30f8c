"""The broker's part of an order: place once, find out what is unknown, follow the fill.

Before a fill the way out is back; after a fill the only way is forward.
"""

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ActivityError, TimeoutType
from temporalio.exceptions import TimeoutError as TemporalTimeout

from activities.placing import PlacingActivities
from activities.resolving import ResolvingActivities
from models.broker import BrokerOrder, BrokerStatus
from models.decision import Decision
from models.messages import (
    ClaimView,
    PlaceOrderInput,
    PlaceOrderResult,
    PlaceOutcome,
    Resolution,
    ResolveInput,
    ResolveResult,
)
from models.order import Reason, Stage
from models.records import ClaimState, ItemKind
from models.requests import QUEUE_CONTROL, QUEUE_PLACE, OrderRequest, Side, VaultStatus
from workflows.order_follow import OrderFollow
from workflows.order_gate import SLOWEST_RETRY_SECONDS, WAIT_STAGES, OrderGate
from workflows.order_state import bounded, over
from workflows.order_steps import ENDED, OrderSteps
from workflows.policies import ASK, once

_FIRST_LOOK_SECONDS = 2.0
# https://docs.temporal.io/develop/task-queue-priority-fairness: longer keys are refused.
_FAIRNESS_BYTES = 64
_MAY_BE_THERE = frozenset({ClaimState.CLAIMED, ClaimState.PLACED})
_CERTAIN = frozenset({Resolution.NEVER_SENT, Resolution.REJECTED, Resolution.ABSENT})
_CUT_SHORT = "an earlier run of this order ended before it was known what became of it"
_CAUSE_BYTES = 120
_BACK_TO_THE_GATE = frozenset({Reason.NONE, Reason.ORPHANED, Reason.SPLIT, Reason.PAUSED})

AGAIN = None
"""Not decided: back to the gate, perhaps with the next attempt."""


_NO_WORKER = PlaceOrderResult(
    outcome=PlaceOutcome.SOURCE_DOWN, detail="no worker at the broker takes it", retry_seconds=5.0
)


class OrderTrade:
    """Placing and following, attempt by attempt."""

    def __init__(self, steps: OrderSteps) -> None:
        self.steps = steps
        self.state = steps.state
        self._gate = OrderGate(steps)
        self._following = OrderFollow(steps)
        self._failures = 0
        self._unfilled = 0
        self._looking_back = False

    async def run(self, claims: tuple[ClaimView, ...]) -> Decision:
        """Trade until there is something to settle or nothing left to try."""
        return await self._until_decided(await self._earlier_attempts(claims))

    async def withdraw(self, claims: tuple[ClaimView, ...]) -> Decision:
        """The vault has no such request: what earlier runs sent for it is cancelled first."""
        self._following.vanished()
        decision = await self._earlier_attempts(claims)
        return decision or Decision(None, Reason.ORPHANED, "not in the vault any more")

    async def reconsider(self, decision: Decision) -> Decision:
        """What to do when store and vault refused the item: they know better than we."""
        seen = await self._following.look()
        if seen.status is VaultStatus.NONE:
            return Decision(None, Reason.ORPHANED, "not in the vault any more")
        if seen.status in ENDED:
            return Decision(None)
        order = seen.order
        if order is None or (over(order) and order.filled):
            return decision
        # A push told of a fill that the book does not know.
        return await self._until_decided(await self._follow(order))

    async def _until_decided(self, decision: Decision | None) -> Decision:
        while decision is None:
            decision = await self._one_try()
        return decision

    async def _earlier_attempts(self, claims: tuple[ClaimView, ...]) -> Decision | None:
        """A run that finds claims resolves them through the broker before anything else."""
        self._looking_back = True
        try:
            return await self._look_back(claims)
        finally:
            self._looking_back = False

    async def _look_back(self, claims: tuple[ClaimView, ...]) -> Decision | None:
        state = self.state
        state.attempt, state.order = 1, None
        on_record, state.tries = state.tries, 0
        for claim in claims:
            state.attempt = claim.attempt
            if claim.state in _MAY_BE_THERE:
                decision = await self._resolve(_CUT_SHORT)
                if decision is not None:
                    return decision
            else:
                state.tries += claim.state is ClaimState.REJECTED
                state.attempt = claim.attempt + 1
        state.tries = max(state.tries, on_record)
        return AGAIN

    async def _one_try(self) -> Decision | None:
        state = self.state
        state.recalled = False  # Nothing is at the broker: only a recall from now on counts.
        if state.cancel_wanted:
            why, words = state.cancelled_by
            return Decision(ItemKind.REFUND, why, words)
        if state.expired():
            return Decision(ItemKind.REFUND, Reason.DEADLINE, "the deadline came before a fill")
        if state.tries >= state.policy.tries:
            words = f"the broker rejected it {state.tries} times"
            return Decision(ItemKind.REFUND, Reason.BROKER_REJECTED, words)
        try:
            placed = await self._place()
        except ActivityError as error:
            if _never_began(error):
                await self._gate.wait(_NO_WORKER)
                return AGAIN
            return await self._place_failed(error)
        return await self._placed(placed)

    async def _place(self) -> PlaceOrderResult:
        state = self.state
        state.show(Stage.QUEUED, f"attempt {state.attempt}: quote, guards, claim, send")
        message = PlaceOrderInput(
            request=state.request,
            attempt=state.attempt,
            version=state.next_version(),
            retry_count=state.tries,
        )
        state.sending = True
        try:
            return await self.steps.shielded(
                lambda: workflow.execute_activity_method(
                    PlacingActivities.place_order,
                    message,
                    task_queue=QUEUE_PLACE,
                    summary=f"attempt {message.attempt}",
                    priority=_turn(state.request),
                    **once(state.policy.place_timeout),
                )
            )
        finally:
            state.sending = False

    async def _place_failed(self, error: ActivityError) -> Decision | None:
        """The step itself broke (worker died, time out, a bug): unknown until it is resolved."""
        self._failures += 1
        decision = await self._resolve(f"the step that sends it broke: {error.cause or error}")
        if decision is None and self._failures > 1:
            words = f"placing failed {self._failures} times: {error.cause or error}"
            await self.steps.record(Stage.HELD, words)
            self.steps.renew()
            pause = min(2.0**self._failures, SLOWEST_RETRY_SECONDS, self.state.until_expiry())
            await self.steps.woken(pause)
        return decision

    async def _placed(self, placed: PlaceOrderResult) -> Decision | None:
        match placed.outcome:
            case PlaceOutcome.PLACED if placed.order is not None:
                return await self._follow(placed.order)
            case PlaceOutcome.REJECTED:
                return await self._rejected(placed.detail)
            case PlaceOutcome.REFUND:
                return Decision(ItemKind.REFUND, placed.reason, placed.detail)
            case PlaceOutcome.ENDED:
                return Decision(None, detail=placed.detail)
            case PlaceOutcome.GONE:
                return Decision(None, Reason.ORPHANED, placed.detail)
        if placed.outcome not in WAIT_STAGES:
            return await self._resolve(placed.detail)
        self._failures = 0
        self.state.attempt += placed.attempt_used
        await self._gate.wait(placed)
        return AGAIN

    async def _rejected(self, detail: str) -> Decision | None:
        """The broker answered no to this very order: that counts as a try."""
        state = self.state
        state.tries += 1
        state.attempt += 1
        state.order = None
        await self._tell(Stage.QUEUED, f"try {state.tries} was rejected: {detail}")
        if state.tries >= state.policy.tries:
            return Decision(ItemKind.REFUND, Reason.BROKER_REJECTED, detail)
        await self.steps.pause(min(state.policy.try_pause, state.until_expiry()))
        return AGAIN

    async def _resolve(self, cause: str) -> Decision | None:
        """Ask until it is certain what became of the attempt; nothing is sent before that."""
        resolved = await self._until_known(cause)
        match resolved.resolution:
            case Resolution.FOUND if resolved.order is not None:
                return await self._follow(resolved.order)
            case Resolution.REJECTED:
                return await self._rejected(resolved.detail)
        self.state.attempt += 1
        if resolved.resolution is Resolution.NEVER_SENT:
            return AGAIN
        return Decision(ItemKind.REFUND, Reason.PROVEN_ABSENT, resolved.detail)

    async def _until_known(self, cause: str) -> ResolveResult:
        pause, self.state.resolving = 0.0, True
        while True:
            resolved = await self._ask_what_became(cause)
            if _known(resolved):
                self.state.resolving = False
                return resolved
            if pause == 0.0:
                await self._tell(Stage.UNKNOWN, resolved.detail)
            self.steps.renew()
            pause = max(pause * 1.25, resolved.retry_seconds or _FIRST_LOOK_SECONDS)
            pause = min(pause, SLOWEST_RETRY_SECONDS)
            await self.steps.woken(pause)

    async def _tell(self, stage: Stage, words: str) -> None:
        """Write what is no wait to the row: a resume looks there, so the next wait is written."""
        await self.steps.record(stage, words)
        if workflow.patched("waits-are-told-anew"):
            self._gate.passed()

    async def _ask_what_became(self, cause: str) -> ResolveResult:
        state = self.state
        message = ResolveInput(
            request=state.request,
            attempt=state.attempt,
            version=state.next_version(),
            cause=bounded(cause, _CAUSE_BYTES),
        )
        return await self.steps.shielded(
            lambda: workflow.execute_activity_method(
                ResolvingActivities.resolve_placement, message, task_queue=QUEUE_CONTROL, **ASK
            )
        )

    async def _follow(self, order: BrokerOrder) -> Decision | None:
        """Until the order is over; then what was filled is settled, or nothing was."""
        state = self.state
        state.adopt(order)
        self._gate.passed()
        self._failures = 0
        state.show_progress(Stage.PLACED, f"order {order.order_id} works at the broker")
        return await self._after(await self._following.until_over())

    async def _after(self, why: Reason) -> Decision | None:
        state = self.state
        order = state.order
        if order is None:
            return AGAIN
        if order.filled > 0:
            return Decision(ItemKind.SETTLE)
        if order.status is BrokerStatus.REJECTED:
            return await self._rejected(order.error or "rejected after it was accepted")
        state.attempt += 1
        state.order = None
        words = f"order {order.order_id} ended without a fill"
        if self._following.moot:
            return Decision(None, why, words)
        if why not in _BACK_TO_THE_GATE:
            return Decision(ItemKind.REFUND, why, words)
        # The day's end, a split, a pause, an operator, or a request that is back.
        if not self._looking_back and why is not Reason.PAUSED:
            self._unfilled += 1
            self.steps.renew()
            pause = state.policy.try_pause * 2.0 ** min(self._unfilled - 1, 10)
            pause = min(pause, max(SLOWEST_RETRY_SECONDS, state.policy.try_pause))
            await self.steps.pause(min(pause, state.until_expiry()))
        return AGAIN


def _known(resolved: ResolveResult) -> bool:
    """Whether it is certain what became of the attempt."""
    if resolved.resolution is Resolution.FOUND:
        return resolved.order is not None
    return resolved.resolution in _CERTAIN


def _turn(request: OrderRequest) -> Priority:
    """Fair by owner; a redeem weighs three deposits, since its owner waits for money."""
    weight = 3.0 if request.side is Side.SELL else 1.0
    return Priority(fairness_key=request.user[:_FAIRNESS_BYTES], fairness_weight=weight)


def _never_began(error: ActivityError) -> bool:
    """Whether no worker took the step, which the server then gives to none any more."""
    cause = error.cause
    return isinstance(cause, TemporalTimeout) and cause.type is TimeoutType.SCHEDULE_TO_START
