"""A feed that jumps is not believed at once, and not doubted for ever."""

from decimal import Decimal

from activities.jumps import JumpWatch
from models.guard import Guard

FEED, OTHER = "feed", "other"


def doubted(watch: JumpWatch, usd: str, now: float, feed: str = FEED) -> bool:
    trip = watch.trip(feed, Decimal(usd), now)
    assert trip is None or trip.guard is Guard.FEED_JUMP
    return trip is not None


def test_jump__beyond_the_bound__waits_until_it_has_stood() -> None:
    watch = JumpWatch(1500, 900)
    assert not doubted(watch, "100", 0)
    assert not doubted(watch, "115", 1)
    assert not doubted(watch, "100", 2)
    assert doubted(watch, "115.01", 10)
    assert doubted(watch, "116", 909)
    assert not doubted(watch, "116", 910)
    assert not doubted(watch, "120", 911)


def test_jump__goes_back__is_forgotten_and_begins_anew() -> None:
    watch = JumpWatch(1500, 900)
    assert not doubted(watch, "100", 0)
    assert doubted(watch, "10", 10)
    assert not doubted(watch, "101", 20)
    assert doubted(watch, "10", 915)
    assert doubted(watch, "10", 1814)
    assert not doubted(watch, "10", 1815)


def test_jump__to_ever_other_levels__is_never_believed() -> None:
    watch = JumpWatch(1500, 900)
    assert not doubted(watch, "100", 0)
    assert all(doubted(watch, str(200 * (1 + n % 2)), 800.0 * n) for n in range(1, 20))


def test_jump__of_one_feed__says_nothing_of_another() -> None:
    watch = JumpWatch(1500, 900)
    assert not doubted(watch, "100", 0)
    assert not doubted(watch, "1", 1, OTHER)
    assert doubted(watch, "100", 2, OTHER)
