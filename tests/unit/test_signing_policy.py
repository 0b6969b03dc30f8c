"""What a batch counts as at worst, and what of it is signed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.approvals import Approval, approved_refund, approved_settlement
from clients.policy import ALLOWED, SettlePolicy
from models.chain import SettleItem
from models.errors import SigningRefused
from models.money import SHARE_SCALE
from tests.signing import (
    BATCH,
    FILLER,
    POLICY,
    USDT,
    VAULT_ADDRESS,
    back,
    batch,
    bought,
    request_id,
    sold,
    tx,
)

AMOUNTS = st.integers(0, 2**128 - 1)


def test_check__deposit_and_redeem__count_what_each_can_take() -> None:
    signing = POLICY.check(tx())
    assert (signing.items, signing.usdt, signing.shares) == (3, 950 * USDT, 5 * SHARE_SCALE)
    assert signing.cost == 40 * 10**15


@pytest.mark.parametrize("data", [FILLER, batch()])
def test_check__a_batch_that_changes_nothing__passes_to_use_up_a_nonce(data: str) -> None:
    assert POLICY.check(tx(data=data)).uses == ()


@pytest.mark.parametrize("price", [USDT // 100, 190 * USDT, 999_999 * USDT])
def test_check__any_price_a_share_can_have__tells_the_sides_apart(price: int) -> None:
    share = POLICY.max_shares
    deposit = POLICY.check(tx(data=batch(bought(1, share, price)))).uses[0]
    redeem = POLICY.check(tx(data=batch(sold(1, POLICY.max_usdt, price)))).uses[0]
    assert (deposit.usdt, deposit.shares) == (0, share)
    assert (redeem.usdt, redeem.shares) == (POLICY.max_usdt, 0)


def test_check__usdt_with_18_decimals__counts_as_both_where_it_could_be_both() -> None:
    unit = 10**18
    policy = SettlePolicy(
        chain_id=31337,
        vault=VAULT_ADDRESS,
        max_usdt=10_000 * unit,
        lowest_price=unit // 100,
        highest_price=10**6 * unit,
    )
    penny, dear = (
        policy.check(tx(data=batch(bought(1, 5 * SHARE_SCALE, price)))).uses[0]
        for price in (2 * unit, 190 * unit)
    )
    assert (penny.usdt, penny.shares) == (5 * unit, 5 * SHARE_SCALE)
    assert (dear.usdt, dear.shares) == (0, 5 * SHARE_SCALE)


@given(taken=AMOUNTS, out=AMOUNTS)
def test_check__any_amounts__are_never_counted_as_nothing(taken: int, out: int) -> None:
    """Whatever the vault takes an item for, what it lets out is counted or it is not signed."""
    item = SettleItem(n=1, request_id=request_id(1), taken=taken, out=out, fee=0)
    try:
        (use,) = POLICY.check(tx(data=batch(item))).uses
    except SigningRefused:
        return
    assert out in (use.usdt, use.shares)
    assert use.usdt <= POLICY.max_usdt
    assert use.shares <= POLICY.max_shares
    as_redeem = out * SHARE_SCALE <= POLICY.highest_price * taken
    if as_redeem and use.usdt == 0 and out:  # a price the vault could accept was left out
        assert out * SHARE_SCALE < POLICY.lowest_price * taken


def test_check__at_each_limit__passes_and_one_more_does_not() -> None:
    full = (bought(1, POLICY.max_shares // 2), bought(2, POLICY.max_shares // 2))
    assert POLICY.check(tx(data=batch(*full))).shares == POLICY.max_shares
    with pytest.raises(SigningRefused, match=r"share units, allowed"):
        POLICY.check(tx(data=batch(*full, bought(3, 1))))
    paid = (sold(1, POLICY.max_usdt // 2), sold(2, POLICY.max_usdt // 2))
    assert POLICY.check(tx(data=batch(*paid))).usdt == POLICY.max_usdt
    with pytest.raises(SigningRefused, match=r"USDT units, allowed"):
        POLICY.check(tx(data=batch(*paid, sold(3, 1))))


def test_check__one_item_too_large__is_named() -> None:
    with pytest.raises(SigningRefused, match="for request 42"):
        POLICY.check(tx(data=batch(back(1), sold(42, POLICY.max_usdt + 1), bought(2))))


def test_check__bump__is_the_same_content_at_another_cost() -> None:
    first, dearer = POLICY.check(tx()), POLICY.check(tx(max_fee=44 * 10**9))
    assert first.content == dearer.content
    assert first.cost < dearer.cost
    assert POLICY.check(tx(data=BATCH.upper().replace("0X", "0x"))).content == first.content


def test_allowed__as_it_stands__ends_requests_and_nothing_else() -> None:
    """Whoever adds a function shows here, and in the tests of bad requests, what it could do."""
    assert set(ALLOWED) == {"settle", "settleWithApprovals", "refundWithApprovals"}


def test_check__approved_item__is_held_to_the_same_limits() -> None:
    """Approvals go past the vault's limits, not past the signer's."""
    given = [Approval("0x" + "11" * 20, b"\x01" * 65)]
    at_most = approved_settlement(sold(7, POLICY.max_usdt), 1, given)
    (use,) = POLICY.check(tx(data=at_most)).uses
    assert (use.n, use.usdt) == (7, POLICY.max_usdt)
    with pytest.raises(SigningRefused, match="for request 7"):
        POLICY.check(tx(data=approved_settlement(sold(7, POLICY.max_usdt + 1), 1, given)))
    (use,) = POLICY.check(tx(data=approved_refund(back(8), 1, given))).uses
    assert (use.n, use.usdt, use.shares) == (8, 0, 0)
    with pytest.raises(SigningRefused, match="request 0"):
        POLICY.check(tx(data=approved_refund(back(0), 1, given)))
