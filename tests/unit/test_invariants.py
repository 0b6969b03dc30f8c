"""A sound world breaks nothing; each planted fault breaks exactly its invariant."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from models.broker import BrokerOrder, BrokerStatus
from models.cases import Case, HouseDue, house_due, house_missing, make_cases
from models.chain import VaultBooks
from models.invariants import Begun, Pause, World, check_all, none_begun_while_paused
from models.order import Order, OrderStatus, Stage
from models.records import ClaimState, HousePosition, ItemKind, ItemState, SettlementItem
from models.requests import Side, VaultRequest, VaultStatus
from tests.builders import (
    SHARE,
    SYMBOL,
    USDT,
    broker_order,
    ended,
    filled,
    placement,
    request_id_of,
    vault_request,
)

NOW = datetime(2026, 1, 5, 15, tzinfo=UTC)
NAIVE = NOW.replace(tzinfo=None)


def row(terms: VaultRequest, status: OrderStatus, stage: Stage = Stage.SETTLED) -> Order:
    return Order(
        chain_id=terms.chain_id,
        vault=terms.vault,
        request_number=terms.n,
        request_id=terms.request_id,
        workflow_id="w",
        user_addr=terms.owner,
        symbol=SYMBOL,
        order_type=terms.side,
        status=status,
        stage=stage,
        created_at=NAIVE,
        updated_at=NAIVE,
    )


def item(terms: VaultRequest, shares: int, **changes: Any) -> SettlementItem:
    sold = terms.side is Side.SELL
    units, money = shares * SHARE, shares * 199 * USDT
    fields: dict[str, Any] = {
        "chain_id": terms.chain_id,
        "vault": terms.vault,
        "request_number": terms.n,
        "request_id": terms.request_id,
        "workflow_id": "w",
        "kind": ItemKind.SETTLE if shares else ItemKind.REFUND,
        "taken": units if sold else money,
        "out": money if sold else units,
        "average_price": Decimal(199),
        "state": ItemState.FINAL,
        "created_at": NAIVE,
        "updated_at": NAIVE,
    }
    return SettlementItem(**(fields | changes))


def house(order_id: str, quantity: int, cause: str = "LATE_FILL", **changes: Any) -> HousePosition:
    fields: dict[str, Any] = {
        "symbol": SYMBOL,
        "quantity": quantity,
        "cost": Decimal(0),
        "cause": cause,
        "broker_order_id": order_id,
        "created_at": NAIVE,
    }
    return HousePosition(**(fields | changes))


def case(
    n: int = 1,
    side: Side = Side.BUY,
    status: VaultStatus = VaultStatus.SETTLED,
    *,
    shares: int = 4,
    settled: int | None = 4,
    orders: tuple[BrokerOrder, ...] | None = None,
    **changes: Any,
) -> Case:
    """One request whose order filled `shares`, and whose item settles `settled` (0 = refund)."""
    terms = vault_request(n, side, status=status)
    order = broker_order(terms.request_id, side=side)
    order = filled(order, shares) if shares else ended(order)
    fields: dict[str, Any] = {
        "request_id": terms.request_id,
        "status": status,
        "terms": terms,
        "row": row(terms, _row_status(status)),
        "item": None if settled is None else item(terms, settled),
        "claims": (placement(terms.request_id, side=side),),
        "orders": (order,) if orders is None else orders,
    }
    return Case(**(fields | changes))


def _row_status(status: VaultStatus) -> OrderStatus:
    if status is VaultStatus.OPEN:
        return OrderStatus.EXECUTING
    return OrderStatus.EXECUTED if status is VaultStatus.SETTLED else OrderStatus.FAILED


BOOKS = VaultBooks(
    count=4,
    balance=1_000 * USDT + 70,
    escrow=1_000 * USDT,
    claimable=20,
    free=50,
    owed=30,
    floor=0,
    fees=0,
    min_deposit=1,
    fee_bps=50,
    paused=False,
)


def sound() -> World:
    """A settled buy, a settled redeem, a refund and a filled buy that is not settled yet."""
    cases = [
        case(1),
        case(2, Side.SELL, shares=3, settled=3),
        case(3, status=VaultStatus.REFUNDED, shares=0, settled=0),
        case(4, status=VaultStatus.OPEN, settled=None),
    ]
    ends = [("Settled", request_id_of(1)), ("Settled", request_id_of(2))]
    return World(
        cases=cases,
        supply={SYMBOL: (4 - 3) * SHARE},
        positions={SYMBOL: 4 - 3 + 4},
        books=BOOKS,
        ends=[*ends, ("Refunded", request_id_of(3))],
        owed=[30, 0],
        begun=[Begun("b1:x:1", NOW)],
        pauses=[Pause(NOW - timedelta(hours=2), NOW - timedelta(hours=1))],
    )


def with_case(changed: Case) -> World:
    world = sound()
    return replace(world, cases=[changed, *world.cases[1:]])


def test_invariants__sound_world__nothing_is_broken() -> None:
    assert check_all(sound()) == []


SETTLED = case(1)
OVER = filled(broker_order(request_id_of(1)), 5)
TWIN = filled(broker_order(request_id_of(1), order_id="F-twin"), 0).model_copy(
    update={"status": BrokerStatus.WORKING}
)
FAULTS: dict[str, tuple[set[int], World]] = {
    "settled twice": (
        {1},
        replace(sound(), ends=[*(sound().ends or ()), ("Settled", request_id_of(1))]),
    ),
    "no row": ({1}, with_case(replace(SETTLED, row=None))),
    "row says refunded": (
        {1},
        with_case(replace(SETTLED, row=row(vault_request(), OrderStatus.FAILED))),
    ),
    "row ended, vault open": (
        {1, 2, 3},
        with_case(case(1, status=VaultStatus.OPEN, row=row(vault_request(), OrderStatus.EXECUTED))),
    ),
    "settled by somebody else": ({1}, with_case(replace(SETTLED, item=None))),
    "a share too many": ({2}, replace(sound(), positions={SYMBOL: 6})),
    "a token unit too many": ({2}, replace(sound(), supply={SYMBOL: SHARE + 1})),
    "money missing": ({3}, replace(sound(), books=BOOKS.model_copy(update={"balance": 1}))),
    "escrow not of open deposits": (
        {3},
        replace(sound(), books=BOOKS.model_copy(update={"escrow": 7, "balance": 77})),
    ),
    "owed unknown": ({3}, replace(sound(), owed=[29])),
    "order without claim": ({4}, with_case(replace(SETTLED, claims=()))),
    "claim was burnt": (
        {4},
        with_case(replace(SETTLED, claims=(placement(state=ClaimState.VOID),))),
    ),
    "two live orders": (
        {4},
        with_case(
            replace(
                SETTLED, orders=(*SETTLED.orders, TWIN, TWIN.model_copy(update={"order_id": "F-3"}))
            )
        ),
    ),
    "over-filled": ({4}, with_case(replace(SETTLED, orders=(OVER,)))),
    "began while paused": ({5}, replace(sound(), pauses=[Pause(NOW - timedelta(seconds=1))])),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_invariants__planted_fault__is_found_as_its_own(fault: str) -> None:
    broken, world = FAULTS[fault]
    assert {violation.invariant for violation in check_all(world)} == broken


def test_pause__placement_began_before_or_after__is_no_violation() -> None:
    pauses = [Pause(NOW, NOW + timedelta(seconds=5))]
    begun = [Begun("before", NOW), Begun("after", NOW + timedelta(seconds=5))]
    assert none_begun_while_paused(begun, pauses) == []
    inside = [Begun("inside", NOW + timedelta(seconds=1))]
    assert [v.key for v in none_begun_while_paused(inside, pauses)] == ["inside"]


def only(due: list[HouseDue]) -> tuple[str, int, Decimal]:
    (one,) = due
    return one.cause, one.quantity, one.cost


LOST_FILL = filled(broker_order(request_id_of(1)), 1).model_copy(
    update={"status": BrokerStatus.FILL_CANCELLED}
)


@pytest.mark.parametrize(
    ("what", "subject", "due"),
    [
        ("late", case(status=VaultStatus.REFUNDED, settled=0), ("LATE_FILL", 4, 796)),
        ("late, refund open", case(status=VaultStatus.OPEN, settled=0), ("LATE_FILL", 4, 796)),
        ("more than settled", case(settled=3), ("LATE_FILL", 1, 199)),
        ("over", case(orders=(OVER,)), ("OVER_FILL", 1, 199)),
        ("reclaimed", case(status=VaultStatus.RECLAIMED), ("RECLAIMED", 4, 796)),
        ("orphaned", case(status=VaultStatus.NONE, settled=None), ("ORPHANED", 4, 796)),
        ("foreign", case(status=VaultStatus.OPEN, settled=None, claims=()), ("FOREIGN", 4, 796)),
        ("fill taken back", case(orders=(LOST_FILL,)), ("FILL_CANCELLED", -3, -597)),
        (
            "late sale",
            case(1, Side.SELL, VaultStatus.REFUNDED, settled=0),
            ("LATE_FILL", -4, -796),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_house__fill_nobody_may_claim__is_due(
    what: str, subject: Case, due: tuple[str, int, int]
) -> None:
    assert only(house_due(subject)) == (due[0], due[1], Decimal(due[2]))


@pytest.mark.parametrize(
    "subject",
    [
        case(),
        case(status=VaultStatus.OPEN, settled=None),
        case(status=VaultStatus.OPEN, shares=3, settled=3),
        case(1, Side.SELL),
        case(item=None),
    ],
)
def test_house__fills_that_belong_to_the_request__are_not_due(subject: Case) -> None:
    assert house_due(subject) == []


def test_house__booked__the_position_equation_holds_again() -> None:
    """Late fill of a refunded buy: four shares more at the broker, four booked to the house."""
    late = case(3, status=VaultStatus.REFUNDED, shares=4, settled=0)
    world = sound()
    cases = [late if one.request_id == late.request_id else one for one in world.cases]
    moved = replace(world, cases=cases, positions={SYMBOL: 9})
    assert {v.invariant for v in check_all(moved)} == {2}
    (due,) = house_due(late)
    assert check_all(replace(moved, house=[house(due.broker_order_id, due.quantity)])) == []


@pytest.mark.parametrize(
    ("booked", "to_book", "stale"),
    [
        ([], [("LATE_FILL", 4)], []),
        ([("LATE_FILL", 3)], [("LATE_FILL", 4)], []),
        ([("LATE_FILL", 4)], [], []),
        ([("OVER_FILL", 1), ("LATE_FILL", 1)], [("LATE_FILL", 3)], []),
        ([("RECLAIMED", 4)], [], []),
        ([("LATE_FILL", 5)], [], [("LATE_FILL", 5)]),
    ],
)
def test_house__booked_in_part__only_the_rest_is_booked(
    booked: list[tuple[str, int]], to_book: list[tuple[str, int]], stale: list[tuple[str, int]]
) -> None:
    due = house_due(case(status=VaultStatus.REFUNDED, settled=0))
    rows = [house(due[0].broker_order_id, quantity, cause) for cause, quantity in booked]
    more, less = house_missing(due, rows)
    assert [(one.cause, one.quantity) for one in more] == to_book
    assert [(one.cause, one.quantity) for one in less] == stale


def test_cases__from_flat_lists__are_joined_by_request() -> None:
    first, second = vault_request(1), vault_request(2)
    stranger = broker_order(request_id_of(1), remark="bought by hand", order_id="H")
    made = make_cases(
        {first.request_id: VaultStatus.OPEN, second.request_id: VaultStatus.OPEN},
        terms=[first, second],
        claims=[placement(first.request_id, 2), placement(first.request_id, 1)],
        orders=[broker_order(first.request_id, 1), broker_order(request_id_of(9)), stranger],
    )
    assert [(c.request_id, c.status, len(c.claims), len(c.orders)) for c in made] == [
        (first.request_id, VaultStatus.OPEN, 2, 1),
        (second.request_id, VaultStatus.OPEN, 0, 0),
        (request_id_of(9), VaultStatus.NONE, 0, 1),
    ]
    assert [claim.attempt for claim in made[0].claims] == [1, 2]
