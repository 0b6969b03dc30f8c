"""Timeouts and retry policies by kind of activity; every activity call names one of these."""

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy


class Options(TypedDict, total=False):
    """What `workflow.execute_activity` is told beside the activity and its input."""

    schedule_to_close_timeout: timedelta
    schedule_to_start_timeout: timedelta
    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy


_FOREVER = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=10),
)

ASK = Options(start_to_close_timeout=timedelta(seconds=15), retry_policy=_FOREVER)
"""Reads and idempotent writes: asked again until the source answers."""

CANCEL = Options(
    start_to_close_timeout=timedelta(seconds=15),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=200),
        maximum_interval=timedelta(seconds=5),
        maximum_attempts=5,
    ),
)
"""Cancelling at the broker: between some tries the book is read, the order may have filled."""


def once(seconds: float) -> Options:
    """Placing: one attempt, whatever happens; the workflow finds out before anything follows.

    Where no worker takes it, it never began: the wait must not outlast a cancel or the deadline.
    """
    return Options(
        schedule_to_start_timeout=timedelta(seconds=seconds),
        start_to_close_timeout=timedelta(seconds=seconds),
        heartbeat_timeout=timedelta(seconds=6),
        retry_policy=RetryPolicy(maximum_attempts=1),
    )


WATCH = Options(
    start_to_close_timeout=timedelta(days=365),
    heartbeat_timeout=timedelta(seconds=6),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=200),
        maximum_interval=timedelta(seconds=5),
    ),
)
"""Long activities that watch something: taken over by another worker within seconds."""

LEASE = Options(
    start_to_close_timeout=timedelta(days=365),
    heartbeat_timeout=timedelta(seconds=3),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=100),
        maximum_interval=timedelta(seconds=1),
    ),
)
"""Keeping the lease: nobody trades while nobody keeps it, so it moves on sooner than a watcher."""

APPLY = Options(
    start_to_close_timeout=timedelta(seconds=6),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=100),
        maximum_interval=timedelta(seconds=2),
    ),
)
"""Making a change of control known: soon, and again until it is."""

WAKE = Options(
    start_to_close_timeout=timedelta(hours=6),
    heartbeat_timeout=timedelta(seconds=6),
    retry_policy=_FOREVER,
)
"""Paging through many orders: a retry goes on where the last heartbeat was."""

SIGN = Options(
    start_to_close_timeout=timedelta(seconds=15),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=200),
        maximum_interval=timedelta(seconds=5),
        maximum_attempts=5,
        non_retryable_error_types=["SigningRefused"],
    ),
)
"""Signing: a batch that the signer refuses gives its nonce back instead of blocking those above."""

SEND = Options(
    start_to_close_timeout=timedelta(seconds=120),
    heartbeat_timeout=timedelta(seconds=5),
    retry_policy=_FOREVER,
)
"""Sending and watching one transaction: the same bytes again, until the nonce is used. Sweeping."""

QUOTE = Options(
    schedule_to_close_timeout=timedelta(seconds=6),
    retry_policy=RetryPolicy(maximum_attempts=1),
)
"""Somebody waits for a price: it comes at once, or it is said why not."""

WEIGH = Options(
    start_to_close_timeout=timedelta(seconds=60),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=3),
)
"""What a person waits for: when the sources do not answer they are told, and ask again."""

AUDIT = Options(
    schedule_to_start_timeout=timedelta(seconds=60),
    start_to_close_timeout=timedelta(seconds=100),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=2),
        maximum_attempts=3,
        non_retryable_error_types=["SigningRefused"],
    ),
)
"""Signing the audit log's head: the next run is the real retry."""

RECONCILE = Options(
    start_to_close_timeout=timedelta(seconds=150),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=5), maximum_attempts=2),
)
"""Comparing everything: the next run, a minute later, is the real retry."""
