"""When an exchange trades, as plain numbers: Unix seconds, whatever zone and calendar made them."""

from bisect import bisect_right
from dataclasses import dataclass

from models.errors import SourceUnavailable


class BeyondCalendar(SourceUnavailable):
    """The calendar that was loaded does not reach this moment."""

    def __init__(self, exchange: str, moment: float) -> None:
        problem = f"it does not reach {moment:.0f}"
        super().__init__("calendar", f"reading the sessions of {exchange}", problem)


@dataclass(frozen=True)
class Sessions:
    """Sessions of one exchange, in order; each holds from opens[i] until before closes[i]."""

    exchange: str
    zone: str
    opens: tuple[int, ...]
    closes: tuple[int, ...]

    def is_open(self, now: float) -> bool:
        """Whether regular trading goes on. Raises BeyondCalendar."""
        return now < self.closes[self._begun(now)]

    def next_open(self, now: float) -> int:
        """The first open after now. Raises BeyondCalendar."""
        return self.opens[self._begun(now) + 1]

    def _begun(self, now: float) -> int:
        """The newest session that has begun; one more is known after it."""
        begun = bisect_right(self.opens, now) - 1
        if begun < 0 or begun + 1 >= len(self.opens):
            raise BeyondCalendar(self.exchange, now)
        return begun
