"""The exchange's calendar: nights, weekends, holidays, half days, and both changes of the clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from activities.session import OpenLimits, session_stop
from clients.calendar import TradingCalendar, load
from models.errors import ConfigurationError
from models.guard import Guard
from models.messages import PlaceOrderResult, PlaceOutcome
from models.order import Reason
from models.sessions import BeyondCalendar, Sessions
from tests.builders import SYMBOL, vault_request

LIMITS = OpenLimits(margin=120, spread=20)
YEAR = 2026
WEEK = 7 * 86_400


def york(text: str) -> int:
    """Unix seconds of a time in New York."""
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York"))
    return int(local.timestamp())


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    return load("XNAS", datetime(YEAR, 1, 20, tzinfo=UTC))


def stop(sessions: Sessions, now: int, lifetime: int = WEEK) -> PlaceOrderResult | None:
    terms = vault_request(deadline=now + lifetime)
    return session_stop(terms, SYMBOL, sessions, now, LIMITS)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-03-06T09:29:59", "2026-03-06T09:30"),
        ("2026-03-06T09:30:00", None),
        ("2026-03-06T15:59:59", None),
        # The clock goes forward on Sunday the 8th: 9:30 is another time in UTC from Monday on.
        ("2026-03-06T16:00:00", "2026-03-09T09:30"),
        ("2026-03-07T12:00:00", "2026-03-09T09:30"),
        ("2026-03-09T09:29:59", "2026-03-09T09:30"),
        ("2026-03-09T09:30:00", None),
        # It goes back on Sunday the 1st.
        ("2026-10-30T16:00:00", "2026-11-02T09:30"),
        ("2026-11-02T08:30:00", "2026-11-02T09:30"),
        # Good Friday, and the weekend after it.
        ("2026-04-02T16:00:00", "2026-04-06T09:30"),
        ("2026-04-03T11:00:00", "2026-04-06T09:30"),
        # Independence Day falls on a Saturday: Friday is the holiday.
        ("2026-07-02T17:00:00", "2026-07-06T09:30"),
        # The day after Thanksgiving ends at one o'clock.
        ("2026-11-26T12:00:00", "2026-11-27T09:30"),
        ("2026-11-27T12:59:59", None),
        ("2026-11-27T13:00:00", "2026-11-30T09:30"),
        ("2026-12-24T13:00:00", "2026-12-28T09:30"),
    ],
)
def test_session__of_new_york__is_open_or_says_when_it_opens(
    sessions: Sessions, now: str, opens: str | None
) -> None:
    found = stop(sessions, york(now))
    if opens is None:
        assert found is None
        return
    assert found is not None
    assert (found.outcome, found.guard) == (PlaceOutcome.WAITING_SESSION, Guard.SESSION)
    until = york(opens) - york(now)
    assert until <= found.retry_seconds <= until + LIMITS.spread
    assert f"{datetime.fromisoformat(opens):%Y-%m-%d %H:%M}" in found.detail


def test_open__many_orders_wait__each_comes_at_its_own_moment(sessions: Sessions) -> None:
    now = york("2026-03-07T12:00")
    waits = set()
    for n in range(50):
        terms = vault_request(deadline=now + WEEK, request_id=f"0x{(n * 2**32) // 50:064x}")
        found = session_stop(terms, SYMBOL, sessions, now, LIMITS)
        assert found is not None
        waits.add(found.retry_seconds)
    assert len(waits) == 50
    assert 15 < max(waits) - min(waits) <= 20


@pytest.mark.parametrize(("spare", "outcome"), [(0, "REFUND"), (1, "WAITING_SESSION")])
def test_deadline__less_its_margin_not_after_the_open__is_refunded_at_once(
    sessions: Sessions, spare: int, outcome: str
) -> None:
    now = york("2026-03-07T12:00")
    lifetime = york("2026-03-09T09:30") - now + 120 + spare
    found = stop(sessions, now, lifetime)
    assert found is not None
    assert found.outcome == outcome
    assert "Mon 2026-03-09 09:30 EDT" in found.detail
    if found.outcome is PlaceOutcome.REFUND:
        assert found.reason is Reason.NO_SESSION
        assert "Mon 2026-03-09 09:32 EDT" in found.detail
    else:
        # The spread does not take the order past its last moment.
        assert found.retry_seconds < lifetime - 120


def test_calendar__not_loaded_so_far__says_nothing_at_all(sessions: Sessions) -> None:
    for moment in (sessions.opens[0] - 1, sessions.opens[-1], sessions.opens[-1] + WEEK):
        with pytest.raises(BeyondCalendar):
            sessions.is_open(moment)
        with pytest.raises(BeyondCalendar):
            sessions.next_open(moment)


async def test_calendar__a_month_has_passed__reaches_a_year_ahead_again() -> None:
    now = datetime(YEAR, 1, 20, tzinfo=UTC)
    clock = [now]
    calendar = TradingCalendar(["XNYS", ""], lambda: clock[0])
    first = await calendar.sessions("XNYS")
    clock[0] = now + timedelta(days=29)
    assert await calendar.sessions("XNYS") is first
    clock[0] = now + timedelta(days=400)
    assert (await calendar.sessions("XNYS")).next_open(clock[0].timestamp()) > first.opens[-1]


def test_calendar__exchange_unknown__is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="NOWHERE"):
        TradingCalendar(["NOWHERE"])
