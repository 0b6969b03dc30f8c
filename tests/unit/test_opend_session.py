"""The exchange's calendar in the simulator: holidays, half days, restarts across a close."""

from datetime import datetime
from pathlib import Path

import pytest

from simulators.opend.arguments import parse, words
from simulators.opend.clock import Clock
from simulators.opend.orders import Status
from simulators.opend.session import (
    AFTER_HOURS,
    AFTERNOON,
    CLOSED,
    EXCHANGE_ZONE,
    PRE_MARKET,
    Session,
    moment,
)
from tests.unit.opend_clock import ACCOUNT, Desk, desk

STATES = {"open": AFTERNOON, "closed": CLOSED, "before": PRE_MARKET, "after": AFTER_HOURS}


@pytest.mark.parametrize(
    ("at", "state"),
    [
        ("2026-11-25T03:59:59", "closed"),
        ("2026-11-25T04:00", "before"),
        ("2026-11-25T09:29:59", "before"),
        ("2026-11-25T09:30", "open"),
        ("2026-11-25T15:59:59", "open"),
        ("2026-11-25T16:00", "after"),
        ("2026-11-25T20:00", "closed"),
        ("2026-11-26T11:00", "closed"),  # Thanksgiving
        ("2026-11-27T12:59:59", "open"),  # the half day after it
        ("2026-11-27T13:00", "after"),
        ("2026-11-27T17:00", "closed"),
        ("2026-11-28T11:00", "closed"),  # a Saturday
        ("2026-07-03T11:00", "closed"),  # Independence Day, observed
        ("2026-07-06T09:30", "open"),  # summer time: 13:30 in UTC
        ("2026-07-06T13:29:59+00:00", "before"),
        ("2026-07-06T13:30+00:00", "open"),
        ("2026-12-24T13:00", "after"),
        ("2031-12-31T11:00", "open"),  # years that were not loaded at first
        ("2019-01-02T09:30", "open"),
    ],
)
def test_calendar__moment__is_what_the_exchange_does(at: str, state: str) -> None:
    clock = [moment("2026-11-25T11:00")]
    session = Session("calendar", lambda: clock[0])
    assert session.state == AFTERNOON
    clock[0] = moment(at)
    assert session.state == STATES[state]
    assert session.is_open == (state == "open")


def test_operator__word_beats_the_calendar__until_taken_back() -> None:
    session = Session("calendar", lambda: moment("2026-11-26T11:00"))
    session.override = "open"
    assert session.state == AFTERNOON
    session.override = None
    assert session.state == CLOSED


def go_to(d: Desk, at: str) -> None:
    d.clock.now = moment(at)
    d.venue.watch_clock()
    d.clock.run()


def calendar_desk(at: str, state: Path | None = None) -> Desk:
    d = desk(at=moment(at), session="calendar", state=state)
    d.venue.resume()
    return d


def test_half_day__day_orders_end_at_one__and_later_ones_wait_for_monday() -> None:
    d = calendar_desk("2026-11-27T12:00")
    live = d.place(price="180")
    d.clock.run()
    go_to(d, "2026-11-27T12:59:59")
    assert d.status(live) is Status.SUBMITTED
    go_to(d, "2026-11-27T13:00")
    assert d.status(live) is Status.CANCELLED_ALL
    queued = d.place()
    for at in ("2026-11-27T18:00", "2026-11-28T11:00", "2026-11-30T09:29"):
        go_to(d, at)
        assert d.status(queued) is Status.WAITING_SUBMIT
    go_to(d, "2026-11-30T09:30")
    assert d.status(queued) is Status.FILLED_ALL
    assert d.venue.day_list(ACCOUNT) == [queued]


def test_clock__slept_over_a_night__day_orders_ended_all_the_same() -> None:
    d = calendar_desk("2026-11-24T12:00")
    live = d.place(price="180")
    d.clock.run()
    go_to(d, "2026-11-25T12:00")
    assert d.status(live) is Status.CANCELLED_ALL
    assert d.venue.day_list(ACCOUNT) == []


@pytest.mark.parametrize(
    ("back", "status", "listed"),
    [
        ("2026-11-24T12:01", Status.SUBMITTED, 1),
        ("2026-11-24T16:01", Status.CANCELLED_ALL, 1),
        ("2026-11-25T12:00", Status.CANCELLED_ALL, 0),
        ("2026-11-26T12:00", Status.CANCELLED_ALL, 0),
    ],
)
def test_restart__after_a_close__has_ended_what_the_close_ended(
    tmp_path: Path, back: str, status: Status, listed: int
) -> None:
    first = calendar_desk("2026-11-24T12:00", tmp_path / "state.db")
    live = first.place(price="180")
    first.clock.run()
    first.venue.close()
    again = calendar_desk(back, tmp_path / "state.db")
    assert again.venue.book.orders[live.id].status is status
    assert len(again.venue.day_list(ACCOUNT)) == listed


def test_clock__set__runs_at_its_speed_from_there() -> None:
    steady = [50.0]
    clock = Clock(moment("2026-11-27T12:59"), 60.0, steady=lambda: steady[0])
    steady[0] += 1.0
    assert datetime.fromtimestamp(clock.time(), EXCHANGE_ZONE).strftime("%H:%M") == "13:00"


def test_clock__not_set__is_the_machines_whatever_the_speed() -> None:
    assert Clock(None, 60.0, real=lambda: 7.0).time() == 7.0


def test_parse__clock__is_new_yorks_and_told_again() -> None:
    options = parse(["--clock", "2026-11-27T12:59", "--session", "calendar"])
    assert options.clock == moment("2026-11-27T17:59+00:00")
    assert parse(words(options)) == options
    with pytest.raises(SystemExit):
        parse(["--clock", "noon"])
