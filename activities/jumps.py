"""What a feed said last: an answer far from it is believed only once it has stood a while."""

from dataclasses import dataclass
from decimal import Decimal

from models.guard import Guard, Trip
from models.money import BPS


@dataclass(frozen=True)
class _Level:
    """A price per token in dollars, and when this process first saw it (Unix seconds)."""

    usd: Decimal
    since: float


class JumpWatch:
    """Per feed, in memory: a process that starts anew believes the first answer it sees.

    bps: how far an answer may be from the last believed one. hold: seconds for which an answer
    further away is not believed; when it, or one near it, still stands then, it is the new level.
    """

    def __init__(self, bps: int, hold: float) -> None:
        self._bps = bps
        self._hold = hold
        self._believed: dict[str, Decimal] = {}
        self._doubted: dict[str, _Level] = {}

    def trip(self, feed: str, usd: Decimal, now: float) -> Trip | None:
        """Why this answer is not believed yet; None when it is, and then it is remembered."""
        last = self._believed.get(feed)
        if last is None or self._near(usd, last) or self._stood(feed, usd, now):
            self._believed[feed] = usd
            self._doubted.pop(feed, None)
            return None
        left = self._doubted[feed].since + self._hold - now
        words = f"from {last} to {usd} USD, more than {self._bps} basis points at once"
        return Trip(Guard.FEED_JUMP, f"{words}; believed if it still stands in {left:.0f} s")

    def _stood(self, feed: str, usd: Decimal, now: float) -> bool:
        doubted = self._doubted.get(feed)
        if doubted is None or not self._near(usd, doubted.usd):
            self._doubted[feed] = doubted = _Level(usd, now)
        return now - doubted.since >= self._hold

    def _near(self, usd: Decimal, other: Decimal) -> bool:
        return abs(usd - other) * BPS <= other * self._bps
