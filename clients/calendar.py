"""Exchange calendars with holidays and half days, from exchange_calendars."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import exchange_calendars

from models.errors import ConfigurationError
from models.sessions import Sessions

# The longest closure in a century was two weeks; a new year's holidays are known long before.
_BEHIND, _AHEAD = timedelta(days=30), timedelta(days=365)
_KEPT = timedelta(days=30)


class TradingCalendar:
    """Sessions of the exchanges that the assets trade at; loaded when made, and again each month.

    Raises:
        ConfigurationError: an exchange is not known.
    """

    def __init__(
        self, exchanges: Iterable[str], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._now = now
        self._loaded = {name: (now(), load(name, now())) for name in set(exchanges) if name}

    async def sessions(self, exchange: str) -> Sessions:
        """Sessions of an exchange from a month ago to a year from now. Kept for a month."""
        at, known = self._loaded[exchange]
        now = self._now()
        if abs(now - at) > _KEPT:
            known = await asyncio.to_thread(load, exchange, now)
            self._loaded[exchange] = now, known
        return known


def load(exchange: str, now: datetime) -> Sessions:
    """The sessions around a moment.

    Raises:
        ConfigurationError: the exchange is not known.
    """
    try:
        calendar = exchange_calendars.get_calendar(
            exchange, start=f"{now - _BEHIND:%Y-%m-%d}", end=f"{now + _AHEAD:%Y-%m-%d}"
        )
    except exchange_calendars.errors.InvalidCalendarName as error:
        problem = f"exchange {exchange!r} has no calendar: use XNAS or XNYS, or nothing"
        raise ConfigurationError("BRONCO_CHAIN_ASSETS", problem) from error
    table = calendar.schedule
    return Sessions(
        exchange=exchange,
        zone=str(calendar.tz),
        opens=tuple(int(moment.timestamp()) for moment in table["open"]),
        closes=tuple(int(moment.timestamp()) for moment in table["close"]),
    )
