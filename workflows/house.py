"""One verb on one house position: weighed, decided by one or two persons, done once."""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.broker import BrokerActivities
from activities.flattening import FlattenActivities, HousePlacing
from activities.house import HouseActivities
from activities.resolving import ResolvingActivities
from models.house import FlattenStep, HouseInput, HouseOutcome, HouseVerb
from models.messages import (
    CancelOrderInput,
    PlaceOrderInput,
    PlaceOutcome,
    Resolution,
    ResolveInput,
)
from models.requests import QUEUE_CONTROL, QUEUE_PLACE
from workflows.policies import ASK, CANCEL, WEIGH, once

_TRIES = 3
_ORDER_SECONDS = 120.0
_PLACE_SECONDS = 60.0
_LOOK_SECONDS, _SLOWEST_LOOK_SECONDS = 1.0, 15.0
_CANCEL_AGAIN_SECONDS = 30.0
_ONE_MOMENT = frozenset({PlaceOutcome.PLACED, PlaceOutcome.RESOLVE})


@workflow.defn(name="HouseWorkflow")
class HouseWorkflow:
    """A run may be lost and begun again anywhere: each begins with what store and book say."""

    @workflow.init
    def __init__(self, message: HouseInput) -> None:
        self._message = message
        self._stopped = False
        self._working_since = 0.0
        self._words = ""
        self._looks = self._failures = self._rejected = 0
        self._cancel_at = 0.0

    @workflow.signal(description="Trade no more; what works at the broker is cancelled.")
    def stop(self, *args: Any) -> None:
        """Trade no more."""
        self._stopped = True

    @workflow.query(description="In words, what it does or waits for.")
    def waits(self) -> str:
        """In words, what it does or waits for."""
        return self._words

    @workflow.run
    async def run(self, message: HouseInput) -> HouseOutcome:
        """What the verb does, or did."""
        weighed = await workflow.execute_activity_method(
            HouseActivities.weigh_house,
            message,
            task_queue=QUEUE_CONTROL,
            summary=f"{message.verb} position {message.position_id}",
            **WEIGH,
        )
        if weighed.refused or weighed.waits or not message.act or weighed.done:
            return weighed
        outcome = await self._flatten() if message.verb is HouseVerb.FLATTEN else weighed
        self._show(outcome.words or outcome.waits)
        return outcome

    async def _flatten(self) -> HouseOutcome:
        """Round after round until nothing is left; an order that is open is followed first."""
        while True:
            step = await workflow.execute_activity_method(
                FlattenActivities.look_at_house_orders,
                self._message.position_id,
                task_queue=QUEUE_CONTROL,
                **ASK,
            )
            if step.open:
                await self._follow(step)
            elif not step.outstanding:
                return await self._close()
            elif self._stopped or self._rejected >= _TRIES:
                return self._given_up(step)
            else:
                await self._place(step)
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(self._message)

    async def _place(self, step: FlattenStep) -> None:
        self._working_since, self._cancel_at = 0.0, 0.0
        words = f"{step.side} {abs(step.outstanding)} {step.symbol}"
        self._show(f"round {step.number}: {words}")
        message = PlaceOrderInput(request=step.request, attempt=1, version=0)
        try:
            placed = await workflow.execute_activity_method(
                HousePlacing.place_house_order,
                message,
                task_queue=QUEUE_PLACE,
                summary=words,
                **once(_PLACE_SECONDS),
            )
        except ActivityError:
            # The step broke: what became of it is asked before anything follows.
            self._failures += 1
            await self._resolve(step)
            await self._pause(min(2.0**self._failures, _SLOWEST_LOOK_SECONDS))
            return
        if placed.outcome in _ONE_MOMENT:
            self._looks = 0
            return
        self._rejected += placed.outcome is PlaceOutcome.REJECTED
        self._show(f"round {step.number} waits: {placed.detail}")
        await self._pause(max(placed.retry_seconds, _LOOK_SECONDS))

    async def _follow(self, step: FlattenStep) -> None:
        if step.order is None:
            await self._resolve(step)
            return
        now = workflow.time()
        self._working_since = self._working_since or now
        late = now - self._working_since > _ORDER_SECONDS
        if (late or self._stopped) and now >= self._cancel_at:
            self._cancel_at = now + _CANCEL_AGAIN_SECONDS
            await self._cancel(step, step.order.order_id)
        self._looks += 1
        await self._pause(min(_LOOK_SECONDS * 1.2**self._looks, _SLOWEST_LOOK_SECONDS))

    async def _resolve(self, step: FlattenStep) -> None:
        """Ask the broker's book what became of a round; nothing is sent before that is certain."""
        message = ResolveInput(request=step.request, attempt=1, version=0)
        resolved = await workflow.execute_activity_method(
            ResolvingActivities.resolve_placement, message, task_queue=QUEUE_CONTROL, **ASK
        )
        if resolved.resolution is Resolution.WAIT:
            self._show(f"round {step.number}: {resolved.detail}")
            await self._pause(resolved.retry_seconds or _LOOK_SECONDS)

    async def _cancel(self, step: FlattenStep, order_id: str) -> None:
        message = CancelOrderInput(
            request=step.request,
            attempt=1,
            broker_order_id=order_id,
            version=0,
            why="the house stops" if self._stopped else "it did not fill in time",
        )
        try:
            await workflow.execute_activity_method(
                BrokerActivities.cancel_order, message, task_queue=QUEUE_CONTROL, **CANCEL
            )
        except ActivityError:
            # The book is looked at next, and the cancel asked for again.
            self._cancel_at = 0.0

    async def _close(self) -> HouseOutcome:
        return await workflow.execute_activity_method(
            FlattenActivities.close_flattened,
            self._message,
            task_queue=QUEUE_CONTROL,
            summary="nothing is left: close it",
            **ASK,
        )

    def _given_up(self, step: FlattenStep) -> HouseOutcome:
        why = "stopped" if self._stopped else f"the broker refused it {self._rejected} times"
        words = f"{why}; {step.outstanding} {step.symbol} of it are left"
        return HouseOutcome(verb=HouseVerb.FLATTEN, waits=words)

    def _show(self, words: str) -> None:
        self._words = words
        workflow.set_current_details(words)

    async def _pause(self, seconds: float) -> None:
        stopped = self._stopped
        try:
            await workflow.wait_condition(lambda: self._stopped is not stopped, timeout=seconds)
        except TimeoutError:
            return
