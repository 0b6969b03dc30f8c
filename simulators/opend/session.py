"""When the venue trades: always, never, or as the New York Stock Exchange does."""

import importlib
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

# US order times are the exchange's, without a zone.
# https://openapi.futunn.com/futu-api-doc/en/trade/get-order-list.html
EXCHANGE_ZONE = ZoneInfo("America/New_York")
AFTERNOON, CLOSED = 5, 6  # Qot_Common.QotMarketState


class Session:
    """Open or closed; an operator's word (`override`) beats the mode."""

    def __init__(self, mode: str, now: Callable[[], float]) -> None:
        self._mode, self._now = mode, now
        self.override: str | None = None

    @property
    def follows_calendar(self) -> bool:
        """Whether days end by themselves."""
        return self._mode == "calendar"

    @property
    def is_open(self) -> bool:
        """Whether orders are matched now."""
        if self.override:
            return self.override == "open"
        if self.follows_calendar:
            return bool(self._nyse.is_trading_minute(self._minute()))
        return self._mode == "always-open"

    @property
    def state(self) -> int:
        """Qot_Common.QotMarketState of US stocks."""
        return AFTERNOON if self.is_open else CLOSED

    @property
    def date(self) -> date:
        """Today at the exchange."""
        return self._minute().astimezone(EXCHANGE_ZONE).date()

    @cached_property
    def _nyse(self) -> Any:
        # Imported late: it costs seconds, and only this mode needs it.
        calendars = importlib.import_module("exchange_calendars")
        return calendars.get_calendar("XNYS", start=date(self._minute().year - 1, 1, 1))

    def _minute(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC).replace(second=0, microsecond=0)


def exchange_time(at: float) -> str:
    """A time as OpenD writes it for US stocks."""
    text = datetime.fromtimestamp(at, EXCHANGE_ZONE).strftime("%Y-%m-%d %H:%M:%S.%f")
    return text[:-3]
