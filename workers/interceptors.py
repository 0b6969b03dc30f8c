"""What every activity leaves behind: how long it took, and how it ended."""

import time
from typing import Any

from temporalio import activity
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from bronco.metrics import ACTIVITY_SECONDS
from models.errors import FinalError, RetryableError, UnknownOutcome

_OUTCOMES = ((RetryableError, "retryable"), (UnknownOutcome, "unknown"), (FinalError, "final"))


class MetricsInterceptor(Interceptor):
    """Measures activities; labels are names and kinds only."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap the next one."""
        return _Measured(super().intercept_activity(next))


class _Measured(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """Run and measure."""
        began, outcome = time.monotonic(), "ok"
        try:
            return await super().execute_activity(input)
        except Exception as error:
            outcome = next((word for kind, word in _OUTCOMES if isinstance(error, kind)), "error")
            raise
        finally:
            name = activity.info().activity_type
            ACTIVITY_SECONDS.labels(name, outcome).observe(time.monotonic() - began)
