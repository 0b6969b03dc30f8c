"""Offers for gas: what replaces a waiting transaction, and never above the ceiling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.fees import FeeLimits, bumped
from models.chain import Fees

WEI = st.one_of(st.sampled_from([0, 1, 9, 10, 11, 2**128]), st.integers(0, 10**15))


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


def test_bump__the_chain_became_dearer__follows_it() -> None:
    assert bumped(fees(1, 100), fees(3, 500), 10_000) == fees(3, 500)


@pytest.mark.parametrize(("gas", "ceiling"), [(1, 900), (2_000, 500), (0, 900)])
def test_limits__dearest_offer__is_bounded_thrice(gas: int, ceiling: int) -> None:
    limits = FeeLimits(times_suggested=9, threshold=0, max_fee=1_000, max_cost=1_000_000)
    assert limits.ceiling(fees(1, 100), gas) == ceiling


def test_limits__first_offer__is_cut_at_the_maximum_fee() -> None:
    assert FeeLimits(max_fee=50).offer(fees(60, 100)) == fees(50, 50)
