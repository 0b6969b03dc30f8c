"""Waiting before an order may be sent: visibly, wakeably, and until the deadline at the longest."""

from models.messages import PlaceOrderResult, PlaceOutcome
from models.order import Stage
from workflows.order_steps import OrderSteps

WAIT_STAGES = {
    PlaceOutcome.HELD: Stage.HELD,
    PlaceOutcome.WAITING_SESSION: Stage.WAITING_SESSION,
    PlaceOutcome.NO_HEADROOM: Stage.HELD,
    PlaceOutcome.SOURCE_DOWN: Stage.HELD,
    PlaceOutcome.RATE_LIMITED: Stage.QUEUED,
    PlaceOutcome.NOT_CONFIRMED: Stage.CONFIRMING,
}
_QUICK_WAITS = frozenset({PlaceOutcome.RATE_LIMITED, PlaceOutcome.NOT_CONFIRMED})
_STILL_QUICK = 4
_QUICK_SECONDS = 5.0
_GROWTH = 1.5
_MOST_GROWTH = 10.0
SLOWEST_RETRY_SECONDS = 30.0


class OrderGate:
    """Where an order waits between two tries to place it."""

    def __init__(self, steps: OrderSteps) -> None:
        self._steps = steps
        self._state = steps.state
        self._registered: Stage | None = None
        self._outcome: PlaceOutcome | None = None
        self._waits = 0

    def passed(self) -> None:
        """The row says something else now: the next wait, if any, is a new one."""
        self._registered, self._outcome, self._waits = None, None, 0

    async def wait(self, placed: PlaceOrderResult) -> None:
        """Register the wait on the row, check once more, and only then sleep.

        A resume wakes the rows it finds waiting; one that was just about to wait re-checks itself.
        """
        self._waits = self._waits + 1 if placed.outcome is self._outcome else 1
        self._outcome = placed.outcome
        if await self._register(WAIT_STAGES[placed.outcome], placed):
            return
        self._steps.renew()
        await self._steps.woken(min(self._patience(placed), self._state.until_expiry()))

    async def _register(self, stage: Stage, placed: PlaceOrderResult) -> bool:
        """Whether a resume may have missed us: the row said only now that we wait for one."""
        short = placed.retry_seconds <= _QUICK_SECONDS
        quick = placed.outcome in _QUICK_WAITS and short and self._waits <= _STILL_QUICK
        # Its place in line changes; every other wait reads the same each time.
        if quick or (stage is self._registered and stage is not Stage.QUEUED):
            self._state.show(stage, placed.detail)
            return False
        first, self._registered = self._registered is None, stage
        await self._steps.record(stage, placed.detail)
        return first and stage is not Stage.QUEUED

    def _patience(self, placed: PlaceOrderResult) -> float:
        """Seconds until the next try without being woken; longer the longer it lasts."""
        least = placed.retry_seconds
        if least <= 0:
            return self._state.policy.gate_backstop
        if placed.outcome is PlaceOutcome.RATE_LIMITED:
            # When it is due, to the second: who comes later loses its place in line.
            return least
        grown = least * min(_GROWTH ** min(self._waits - 1, 20), _MOST_GROWTH)
        return max(least, min(grown, SLOWEST_RETRY_SECONDS))
