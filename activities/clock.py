"""The one clock of the activities: naive UTC, as the store keeps it."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, in naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def from_unix(seconds: float) -> datetime:
    """Unix seconds in naive UTC."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def unix_now() -> float:
    """Now, in Unix seconds."""
    return time.time()
