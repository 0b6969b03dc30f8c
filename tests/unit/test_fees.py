"""Offers for gas: what replaces a waiting transaction, and never above the ceiling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.fees import FeeLimits, bumped
from models.chain import Fees

WEI = st.one_of(st.sampled_from([0, 1, 9, 10, 11, 99, 2**128]), st.integers(0, 10**15))
GWEI = 10**9


def fees(tip: int, cap: int) -> Fees:
    return Fees(base_fee=0, max_priority_fee=tip, max_fee=cap)


@given(WEI, WEI, WEI, WEI, WEI)
def test_bump__any_offer__a_node_would_replace_it_or_none_is_made(
    tip: int, cap: int, suggested_tip: int, suggested_cap: int, ceiling: int
) -> None:
    old = fees(min(tip, cap), cap)
    suggested = fees(min(suggested_tip, suggested_cap), suggested_cap)
    new = bumped(old, suggested, ceiling)
    if new is None:
        assert max(-(-old.max_fee * 11 // 10), old.max_fee + 1) > ceiling
        return
    assert new.max_fee <= ceiling
    assert new.max_priority_fee <= new.max_fee
    assert new.max_fee * 10 >= old.max_fee * 11
    assert new.max_priority_fee * 10 >= old.max_priority_fee * 11
    assert (new.max_fee, new.max_priority_fee) > (old.max_fee, old.max_priority_fee)


@given(WEI, WEI, WEI, WEI)
def test_bump__a_dearer_offer__is_never_replaced_by_a_cheaper_one(
    one: int, other: int, suggested: int, tip: int
) -> None:
    low, high = sorted((one, other))
    chain = fees(min(tip, suggested), suggested)
    after_low = bumped(fees(min(tip, low), low), chain, 2**200)
    after_high = bumped(fees(min(tip, high), high), chain, 2**200)
    assert after_low is not None
    assert after_high is not None
    assert after_low.max_fee <= after_high.max_fee
    assert after_low.max_priority_fee <= after_high.max_priority_fee


@given(WEI, WEI, WEI)
def test_bump__any_offer__is_whole_wei_and_a_tenth_more_rounded_up(
    cap: int, suggested: int, ceiling: int
) -> None:
    new = bumped(fees(0, cap), fees(0, suggested), ceiling)
    least = max(-(-cap * 11 // 10), cap + 1)
    if least > ceiling:
        assert new is None
        return
    assert new is not None
    assert type(new.max_fee) is int
    assert new.max_fee == (max(least, suggested) if max(least, suggested) <= ceiling else least)


@given(WEI, WEI, st.integers(0, 2**24), st.one_of(st.none(), WEI))
def test_ceiling__whatever_the_chain_says__obeys_every_bound(
    suggested: int, threshold: int, gas: int, balance: int | None
) -> None:
    limits = FeeLimits(threshold=threshold)
    ceiling = limits.ceiling(fees(0, suggested), gas, balance)
    assert ceiling <= limits.max_fee
    assert ceiling * gas <= limits.max_cost
    assert balance is None or ceiling * gas <= balance or gas == 0
    assert ceiling <= max(threshold, 5 * suggested)


def test_bumps__one_after_the_other__end_at_the_ceiling_and_go_on_when_it_rises() -> None:
    offer, ceiling, made = fees(1, 100), 1_000, 0
    while (higher := bumped(offer, fees(1, 100), ceiling)) is not None:
        offer, made = higher, made + 1
    assert offer.max_fee <= ceiling < -(-offer.max_fee * 11 // 10)
    assert made < 40
    assert bumped(offer, fees(1, 100), 2_000) is not None


def test_ceiling__chain_suggests_next_to_nothing__leaves_room_up_to_the_threshold() -> None:
    limits = FeeLimits(threshold=10 * GWEI)
    assert limits.ceiling(fees(0, 10), 1) == 10 * GWEI
    assert limits.ceiling(fees(0, 3 * GWEI), 1) == 15 * GWEI


def test_limits__gas__never_above_what_a_transaction_may_hold() -> None:
    assert FeeLimits().gas(10**18, fees(0, 1)) == 2**24


def test_bump__the_chain_became_dearer__follows_it() -> None:
    assert bumped(fees(1, 100), fees(3, 500), 10_000) == fees(3, 500)


@pytest.mark.parametrize(("gas", "ceiling"), [(1, 900), (2_000, 500), (0, 900)])
def test_limits__dearest_offer__is_bounded_thrice(gas: int, ceiling: int) -> None:
    limits = FeeLimits(times_suggested=9, threshold=0, max_fee=1_000, max_cost=1_000_000)
    assert limits.ceiling(fees(1, 100), gas) == ceiling


def test_limits__first_offer__is_cut_at_the_maximum_fee() -> None:
    assert FeeLimits(max_fee=50).offer(fees(60, 100)) == fees(50, 50)
