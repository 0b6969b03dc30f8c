"""What a request comes to, from its claims and the broker's book."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from activities.settling import Decline, settlement_item
from models.broker import BrokerOrder, BrokerStatus
from models.messages import EnqueueInput
from models.order import REFUND_CODES, Reason
from models.records import ClaimState, ItemKind, Placement, SettlementItem
from models.requests import Side
from tests.builders import (
    SHARE,
    USDT,
    broker_order,
    ended,
    filled,
    order_request,
    placement,
    vault_request,
)

NOW = datetime(2026, 1, 5, 15, 1, tzinfo=UTC)
VOID = placement(attempt=1, state=ClaimState.VOID, quantity=0)


def item(
    kind: ItemKind,
    claims: list[Placement],
    orders: list[BrokerOrder],
    side: Side = Side.BUY,
    reason: Reason = Reason.NONE,
) -> SettlementItem | Decline:
    message = EnqueueInput(request=order_request(side=side), version=1, kind=kind, reason=reason)
    return settlement_item(message, vault_request(side=side), claims, orders, 6, NOW)


def settled(*args: object, **more: object) -> SettlementItem:
    made = item(ItemKind.SETTLE, *args, **more)  # type: ignore[arg-type]
    assert isinstance(made, SettlementItem)
    return made


def test_settle__a_full_buy__takes_cost_and_fee_and_gives_shares() -> None:
    made = settled([placement()], [filled(broker_order())])
    assert (made.taken, made.out, made.fee) == (799_980_000, 4 * SHARE, 3_980_000)
    assert (made.filled, made.average_price) == (4 * SHARE, Decimal(199))
    assert made.kind is ItemKind.SETTLE


def test_settle__a_part_of_a_sell__takes_shares_and_pays_net_of_fee() -> None:
    sold = ended(filled(broker_order(side=Side.SELL), 3))
    made = settled([placement(side=Side.SELL)], [sold], side=Side.SELL)
    assert (made.taken, made.out, made.fee) == (3 * SHARE, 594_015_000, 2_985_000)


def test_settle__fills_of_two_attempts__are_added_up_at_their_prices() -> None:
    claims = [placement(), placement(attempt=2)]
    first = ended(filled(broker_order(price=Decimal(198)), 1))
    made = settled(claims, [filled(broker_order(attempt=2), 4), first])
    assert made.filled == 5 * SHARE
    assert made.taken - made.fee == (198 + 4 * 199) * USDT


def test_settle__fills_of_two_attempts_beyond_the_escrow__settle_what_it_covers() -> None:
    claims = [placement(), placement(attempt=2)]
    late = ended(filled(broker_order(), 4))
    made = settled(claims, [filled(broker_order(attempt=2), 4), late])
    escrow = vault_request().amount
    per_share = made.taken // (made.out // SHARE)
    assert made.taken <= escrow < made.taken + per_share
    assert made.filled >= 4 * SHARE


def test_settle__sells_of_two_attempts_beyond_the_escrow__settle_what_it_holds() -> None:
    claims = [placement(side=Side.SELL), placement(side=Side.SELL, attempt=2)]
    late = ended(filled(broker_order(side=Side.SELL), 4))
    made = settled(
        claims, [filled(broker_order(side=Side.SELL, attempt=2), 4), late], side=Side.SELL
    )
    assert made.taken == vault_request(side=Side.SELL).amount // SHARE * SHARE


@pytest.mark.parametrize("kind", list(ItemKind))
def test_item__fill_without_a_price__waits_for_it(kind: ItemKind) -> None:
    unpriced = filled(broker_order()).model_copy(update={"average_price": Decimal(0)})
    declined = item(kind, [placement()], [unpriced])
    assert isinstance(declined, Decline)
    assert "price" in declined.why


def test_settle__more_filled_than_asked__leaves_the_rest_to_the_house() -> None:
    made = settled([placement(quantity=4)], [filled(broker_order(quantity=6))])
    assert made.filled == 4 * SHARE


def test_settle__an_order_that_is_no_claims__is_not_counted() -> None:
    stranger = filled(broker_order(attempt=7))
    made = settled([placement()], [filled(broker_order()), stranger])
    assert made.filled == 4 * SHARE


def test_fill_hash__same_fills_in_any_order__is_the_same() -> None:
    claims = [placement(), placement(attempt=2)]
    orders = [ended(filled(broker_order(), 1)), filled(broker_order(attempt=2))]
    first, second = settled(claims, orders), settled(claims, orders[::-1])
    other = settled(claims, [ended(filled(broker_order(), 2)), orders[1]])
    assert first.fill_hash == second.fill_hash != other.fill_hash
    assert len(first.fill_hash) == 66


@pytest.mark.parametrize("kind", list(ItemKind))
@pytest.mark.parametrize(
    ("claims", "orders", "why"),
    [
        ([placement()], [broker_order()], "can still fill"),
        ([placement()], [filled(broker_order(), 1)], "can still fill"),
        ([placement()], [broker_order(status=BrokerStatus.CANCELLING)], "can still fill"),
        ([placement()], [broker_order(status=BrokerStatus.UNKNOWN)], "can still fill"),
        ([placement(state=ClaimState.CLAIMED)], [], "outcome is not known"),
        ([placement()], [], "not in the book yet"),
        ([VOID, placement(attempt=2, state=ClaimState.CLAIMED)], [], "attempt 2 was claimed"),
        ([placement(state=ClaimState.ABSENT)], [broker_order()], "can still fill"),
        ([placement(state=ClaimState.REJECTED)], [broker_order()], "can still fill"),
    ],
)
def test_item__anything_not_proven__is_declined(
    kind: ItemKind, claims: list[Placement], orders: list[BrokerOrder], why: str
) -> None:
    made = item(kind, claims, orders)
    assert isinstance(made, Decline)
    assert why in made.why


def test_settle__nothing_filled__is_declined() -> None:
    made = item(ItemKind.SETTLE, [placement()], [ended(broker_order())])
    assert isinstance(made, Decline)


@pytest.mark.parametrize(
    ("claims", "orders"),
    [
        ([], []),
        ([VOID], []),
        ([placement(state=ClaimState.ABSENT)], []),
        ([placement(state=ClaimState.REJECTED)], []),
        ([placement()], [ended(broker_order())]),
        ([placement()], [broker_order(status=BrokerStatus.FILL_CANCELLED)]),
    ],
)
def test_refund__nothing_was_traded__carries_its_reason(
    claims: list[Placement], orders: list[BrokerOrder]
) -> None:
    made = item(ItemKind.REFUND, claims, orders, reason=Reason.USER_CANCELLED)
    assert isinstance(made, SettlementItem)
    assert made.kind is ItemKind.REFUND
    assert made.reason_code == REFUND_CODES[Reason.USER_CANCELLED]
    assert (made.taken, made.out, made.fee) == (0, 0, 0)


@pytest.mark.parametrize(
    "claims",
    [
        [placement(), placement(attempt=2, state=ClaimState.VOID)],
        [placement(state=ClaimState.ABSENT)],
        [placement(state=ClaimState.CLAIMED)],
    ],
)
def test_refund__a_fill_that_came_late__is_settled_instead(claims: list[Placement]) -> None:
    made = item(ItemKind.REFUND, claims, [ended(filled(broker_order(), 2))])
    assert isinstance(made, SettlementItem)
    assert (made.kind, made.filled) == (ItemKind.SETTLE, 2 * SHARE)
    assert made.reason_code == 0
