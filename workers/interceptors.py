"""What every activity leaves behind: how long it took, how it ended, whose its log lines are."""

import time
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars, reset_contextvars
from temporalio import activity
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from bronco.logs import order_of
from bronco.metrics import ACTIVITY_SECONDS
from models.errors import FinalError, RetryableError, UnknownOutcome

_log = structlog.get_logger(__name__)
_OUTCOMES = ((RetryableError, "retryable"), (UnknownOutcome, "unknown"), (FinalError, "final"))


class MetricsInterceptor(Interceptor):
    """Measures activities; labels are names and kinds only."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap the next one."""
        return _Measured(super().intercept_activity(next))


class _Measured(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """Run and measure."""
        began, outcome, whose = time.monotonic(), "ok", _whose()
        bound = bind_contextvars(**whose)
        try:
            return await super().execute_activity(input)
        except Exception as error:
            outcome = next((word for kind, word in _OUTCOMES if isinstance(error, kind)), "error")
            raise
        finally:
            took = time.monotonic() - began
            if "order_id" in whose:
                _tell(outcome, took)
            reset_contextvars(**bound)
            ACTIVITY_SECONDS.labels(activity.info().activity_type, outcome).observe(took)


def _tell(outcome: str, took: float) -> None:
    """One line for each step of an order."""
    done = {"activity": activity.info().activity_type, "attempt": activity.info().attempt}
    _log.info("order_step", **done, outcome=outcome, milliseconds=int(took * 1000))


def _whose() -> dict[str, str]:
    """Fields of every line that is logged meanwhile, by whatever library."""
    workflow_id = activity.info().workflow_id or ""
    order = order_of(workflow_id)
    return {"workflow_id": workflow_id} | ({"order_id": order} if order else {})
