"""The guards of price and market by name: what stops an order says which one, with its numbers."""

from dataclasses import dataclass
from enum import StrEnum


class Guard(StrEnum):
    """Which check stopped an order; shown to users and counted, so a name stays what it is."""

    SESSION = "session"
    HALT = "halt"
    SPLIT = "split"
    FEED_UNREADABLE = "feed unreadable"
    FEED_ANSWER = "feed answer"
    FEED_DECIMALS = "feed decimals"
    FEED_ROUND = "feed round"
    FEED_FUTURE = "feed from the future"
    FEED_STALE = "feed stale"
    FEED_JUMP = "feed jump"
    USDT_BAND = "usdt band"
    QUOTE_MISSING = "quote missing"
    QUOTE_CROSSED = "quote crossed"
    QUOTE_SPREAD = "quote spread"
    QUOTE_TICK = "quote tick"
    DEVIATION = "deviation"


@dataclass(frozen=True)
class Trip:
    """A guard that tripped. words: what was seen and what is allowed."""

    guard: Guard
    words: str

    def __str__(self) -> str:
        """Guard and numbers."""
        return f"{self.guard}: {self.words}"
