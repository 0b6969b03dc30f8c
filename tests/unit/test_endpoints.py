"""What may still be inside of an OpenD, judged by looking at it again and again."""

from datetime import UTC, datetime, timedelta

import pytest

from bronco.trading import BrokerSettings
from clients.broker_endpoints import Hearing

START = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
SETTLE = timedelta(seconds=30)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def heard(*looks: tuple[bool, float]) -> float:
    """Seconds after START before which nothing is left; below zero: not known."""
    hearing = Hearing(SETTLE)
    for answered, seconds in looks:
        hearing.tell(answered, at(seconds))
    return (hearing.settled - START).total_seconds()


def test_hearing__never_heard__nothing_is_settled() -> None:
    assert heard((False, 0), (False, 100)) < 0


def test_hearing__heard_for_less_than_it_takes__nothing_is_settled() -> None:
    assert heard((True, 0), (True, 29)) < 0


def test_hearing__heard_long_enough__settles_what_is_that_old() -> None:
    assert heard((True, 0), (True, 30)) == 0
    assert heard((True, 0), (True, 30), (True, 33)) == 3


def test_hearing__silent_now__keeps_what_was_settled_and_settles_no_more() -> None:
    before = ((True, 0), (True, 40), (False, 43))
    assert heard(*before) == 10
    assert heard(*before, (True, 100), (True, 129)) == 10
    assert heard(*before, (True, 100), (True, 130)) == 100


def test_hearing__a_look_that_began_before__takes_nothing_back() -> None:
    assert heard((True, 0), (True, 60), (True, 45)) == 30


@pytest.mark.parametrize("written", ["opend", "opend:", ":11111", "opend:0", "opend:70000", "::1"])
def test_standby__not_host_and_port__is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        BrokerSettings(standby=(written,))
