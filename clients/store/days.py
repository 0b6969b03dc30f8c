"""Trading days, as the exchange in New York counts them."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from models.columns import naive_utc
from models.errors import InvalidInput

_EXCHANGE = ZoneInfo("America/New_York")
_FIRST_YEAR, _LAST_YEAR = 2000, 2100


def trading_day(day: date) -> tuple[datetime, datetime]:
    """When it begins and ends, naive UTC.

    Raises:
        InvalidInput: no year in which anything was traded.
    """
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise InvalidInput("date", str(day), f"give a day from {_FIRST_YEAR} to {_LAST_YEAR}")
    begin = datetime.combine(day, time.min, _EXCHANGE)
    end = datetime.combine(day + timedelta(days=1), time.min, _EXCHANGE)
    return naive_utc(begin), naive_utc(end)


def day_of(moment: datetime) -> date:
    """The day that a moment (naive UTC) belongs to."""
    return moment.replace(tzinfo=UTC).astimezone(_EXCHANGE).date()
