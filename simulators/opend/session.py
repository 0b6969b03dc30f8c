"""When the venue trades: always, never, or as the New York Stock Exchange does."""

import importlib
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

# US order times are the exchange's, without a zone.
# https://openapi.futunn.com/futu-api-doc/en/trade/get-order-list.html
EXCHANGE_ZONE = ZoneInfo("America/New_York")
# Qot_Common.QotMarketState
AFTERNOON, CLOSED, PRE_MARKET, AFTER_HOURS = 5, 6, 8, 10
# Pre-market from 4:00, after-hours until 20:00.
# https://alpaca.markets/support/how-do-you-trade-in-extended-hours-with-alpaca
# On half days the late sessions end at 17:00, four hours after the close, too.
# https://www.nyse.com/markets/hours-calendars
PRE_MARKET_SECONDS = 5.5 * 3600
AFTER_HOURS_SECONDS = 4 * 3600


@dataclass(frozen=True, slots=True)
class Hours:
    """Regular sessions of some years, in seconds since 1970: holidays and half days included."""

    year: int
    opens: list[float]
    closes: list[float]

    @classmethod
    @cache
    def around(cls, year: int) -> "Hours":
        """Of a year, the one before and the one after."""
        # Imported late: it costs a second, and only the calendar needs it.
        calendars: Any = importlib.import_module("exchange_calendars")
        first, last = f"{year - 1}-01-01", f"{year + 1}-12-31"
        calendar = calendars.get_calendar("XNYS", start=first, end=last)
        table = calendar.schedule
        opens, closes = (
            [moment.timestamp() for moment in table[column]] for column in ("open", "close")
        )
        return cls(year, opens, closes)

    def state(self, at: float) -> int:
        """Qot_Common.QotMarketState; AFTERNOON is regular trading."""
        latest = bisect_right(self.opens, at) - 1
        if latest >= 0:
            ended = self.closes[latest]
            if at < ended:
                return AFTERNOON
            if at < ended + AFTER_HOURS_SECONDS:
                return AFTER_HOURS
        upcoming = latest + 1
        if upcoming < len(self.opens) and at >= self.opens[upcoming] - PRE_MARKET_SECONDS:
            return PRE_MARKET
        return CLOSED


class Session:
    """Open or closed; an operator's word (`override`) beats the mode."""

    def __init__(self, mode: str, now: Callable[[], float]) -> None:
        self._mode, self._now = mode, now
        self._hours: Hours | None = None
        self.override: str | None = None

    @property
    def follows_calendar(self) -> bool:
        """Whether days end by themselves."""
        return self._mode == "calendar"

    @property
    def is_open(self) -> bool:
        """Whether orders are matched now."""
        return self.state == AFTERNOON

    @property
    def state(self) -> int:
        """Qot_Common.QotMarketState of US stocks."""
        if self.override:
            return AFTERNOON if self.override == "open" else CLOSED
        if self.follows_calendar:
            return self._loaded().state(self._now())
        return AFTERNOON if self._mode == "always-open" else CLOSED

    @property
    def date(self) -> date:
        """Today at the exchange."""
        return datetime.fromtimestamp(self._now(), EXCHANGE_ZONE).date()

    def _loaded(self) -> Hours:
        """The hours around now: a clock that reaches another year has them loaded anew."""
        year = self.date.year
        if self._hours is None or self._hours.year != year:
            self._hours = Hours.around(year)
        return self._hours


def exchange_time(at: float) -> str:
    """A time as OpenD writes it for US stocks."""
    text = datetime.fromtimestamp(at, EXCHANGE_ZONE).strftime("%Y-%m-%d %H:%M:%S.%f")
    return text[:-3]


def moment(text: str) -> float:
    """A time as typed, at the exchange unless it names another zone, in seconds since 1970.

    Raises:
        ValueError: it is none.
    """
    typed = datetime.fromisoformat(text)
    return (typed if typed.tzinfo else typed.replace(tzinfo=EXCHANGE_ZONE)).timestamp()
