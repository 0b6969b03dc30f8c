"""The line of a whole day's crowd, on a real Redis by a clock that is stepped."""

import random
from collections import Counter

import pytest

from models.line import Waiter
from models.requests import Side
from tests.contracts.line import *  # noqa: F403
from tests.contracts.line import LIMIT, WINDOW, Crowd


@pytest.fixture
def flags_url(redis_url: str) -> str:
    return redis_url


async def test_line__300_wait__every_window_is_used_in_full_and_never_more(crowd: Crowd) -> None:
    for each in range(300):
        crowd.comes(f"d{each}", 0.0)

    await crowd.until(600.0)

    assert crowd.busiest_window() == LIMIT
    # 300 at 15 a window: the last burst goes out at the 19th window's end.
    assert len(crowd.served) == 300
    assert max(crowd.served.values()) < 19 * WINDOW + 1
    assert crowd.order == [f"d{each}" for each in range(300)], "who comes first is served first"


async def test_line__redeem_comes_to_300_deposits__has_the_next_slot(crowd: Crowd) -> None:
    for each in range(300):
        crowd.comes(f"d{each}", 0.0)
    crowd.comes("redeem", 1.0, Side.SELL)

    await crowd.until(60.0)

    assert crowd.served["redeem"] == pytest.approx(WINDOW, abs=0.01)


async def test_line__300_redeems__let_a_deposit_through_after_three(crowd: Crowd) -> None:
    for each in range(300):
        crowd.comes(f"r{each}", 0.0, Side.SELL)
        crowd.comes(f"d{each}", 0.0)

    await crowd.until(290.0)

    # In the first two windows there was nobody to let through yet.
    sides = Counter(name[0] for name in crowd.order[2 * LIMIT :])
    assert sides["r"] / sides["d"] == pytest.approx(3, rel=0.1)


async def test_line__one_owner_has_95_of_100__others_wait_for_one_of_his_at_most(
    crowd: Crowd,
) -> None:
    for each in range(285):
        crowd.comes(f"whale{each}", 0.0, owner="whale")
    for each in range(15):
        crowd.comes(f"minnow{each}", 0.5)

    await crowd.until(2 * WINDOW + 1)

    assert max(crowd.served[f"minnow{each}"] for each in range(15)) < 2 * WINDOW + 1
    # 15 of his went before anybody else was there, and his next one came before theirs.
    assert crowd.order[LIMIT + 1 : LIMIT + 14] == [f"minnow{each}" for each in range(13)]


async def test_line__owner_spends_his_turns__is_no_better_off_than_others(crowd: Crowd) -> None:
    for each in range(60):
        crowd.comes(f"a{each}", 0.0, owner="a")
        crowd.comes(f"b{each}", 0.1, owner="b")

    await crowd.until(5 * WINDOW)

    # After his first burst they take turns.
    shares = Counter(name[0] for name in crowd.order[LIMIT:])
    assert abs(shares["a"] - shares["b"]) <= 2


async def test_line__those_ahead_are_away_until_later__a_free_slot_is_not_wasted(
    crowd: Crowd,
) -> None:
    crowd.limit = 1
    for each in range(5):
        crowd.comes(f"d{each}", 0.0)
    await crowd.until(1.0)
    # d3 was told to be back 45 s after it came: the slot of those who left is d4's, who asks.
    await crowd.line.leave("d1")
    await crowd.line.leave("d2")

    crowd.now = WINDOW + 0.001
    assert (await crowd.ask(Waiter("d4", "slot d4", Side.BUY, "d4"))).mine


async def test_line__those_ahead_are_due__keep_their_turn(crowd: Crowd) -> None:
    crowd.limit = 1
    for each in range(3):
        crowd.comes(f"d{each}", 0.0)
    await crowd.until(1.0)

    crowd.now = WINDOW + 0.001
    turn = await crowd.ask(Waiter("new", "slot new", Side.BUY, "new"))
    assert not turn.mine
    assert (await crowd.ask(Waiter("d1", "slot d1", Side.BUY, "d1"))).mine


@pytest.mark.parametrize("seed", range(6))
async def test_line__any_crowd__all_who_live_are_served_at_the_windows_pace(
    crowd: Crowd, seed: int
) -> None:
    """Late, dying, of few owners and many: never more than the window, hardly less."""
    dice = random.Random(seed)
    crowd.limit, crowd.window = dice.randint(1, 6), dice.choice([0.5, 3.0, 30.0])
    crowd.late = dice.choice([0.0, 0.05 * crowd.window])
    names = [f"o{each}" for each in range(60)]
    for name in names:
        side = dice.choice([Side.SELL, Side.BUY])
        crowd.comes(name, dice.random() * crowd.window, side, f"owner{dice.randint(0, 5)}")
    await crowd.until(crowd.window)
    crowd.dead = set(dice.sample(names, 10)) - set(crowd.served)

    windows = 60 / crowd.limit + 4
    await crowd.until(crowd.window * windows * 1.2 + 10 * len(crowd.dead))

    assert set(crowd.served) == set(names) - crowd.dead
    assert crowd.busiest_window() <= crowd.limit
