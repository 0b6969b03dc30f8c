"""Who decides about the house's positions, and closing them with what their orders traded."""

from decimal import Decimal
from typing import Any

import pytest

from clients.store import Store
from models.broker import BrokerOrder, BrokerStatus
from models.drafts import ClaimDraft, ClaimKind, Headroom
from models.errors import Conflict, NotFound
from models.house import FLATTEN, HouseInput, HouseVerb, house_id
from models.records import ClaimState, HousePosition
from models.requests import Side, remark_of
from tests.contracts.builders import NOW, house_position, later

LIMIT = Decimal(500)
ROOM = Headroom(payout=0, cash=Decimal(10**6), shares=100)


async def booked(store: Store, **changes: Any) -> HousePosition:
    """Three shares that cost 570 dollars, unless said otherwise."""
    await store.house.book(house_position(**changes))
    return (await store.house.unresolved())[-1]


def verb(row: HousePosition, who: str, kind: HouseVerb = HouseVerb.FLATTEN) -> HouseInput:
    assert row.id is not None
    return HouseInput(position_id=row.id, verb=kind, who=who, reason="seen", act=True)


async def traded(store: Store, row: HousePosition, number: int, sold: int) -> BrokerOrder:
    """A round that was placed and filled."""
    assert row.id is not None
    request_id = house_id(row.id, number)
    draft = ClaimDraft(
        request_id=request_id,
        attempt=1,
        remark=remark_of(request_id, 1),
        symbol="AAPL",
        side=Side.SELL,
        quantity=3,
        price=Decimal(190),
        send_by=later(10),
        reserved_shares=3,
    )
    claimed = await store.placements.claim(draft, ROOM, NOW)
    assert claimed.kind is ClaimKind.CLAIMED
    order = BrokerOrder(
        order_id=f"H{number}",
        remark=draft.remark,
        symbol="AAPL",
        side=Side.SELL,
        quantity=3,
        price=Decimal(190),
        status=BrokerStatus.FILLED if sold == 3 else BrokerStatus.CANCELLED,
        vendor_status="",
        filled=sold,
        average_price=Decimal(191),
    )
    await store.placements.mark(
        request_id, 1, ClaimState.PLACED, broker_order_id=order.order_id, now=NOW
    )
    await store.book.apply([order], NOW)
    return order


async def book_traded(store: Store, row: HousePosition, order: BrokerOrder) -> None:
    await store.house.book(
        house_position(
            order.order_id,
            cause=FLATTEN,
            quantity=-order.filled,
            cost=-order.filled * order.average_price,
            request_id=house_id(row.id or 0, int(order.order_id[1:])),
        )
    )


async def actions(store: Store) -> list[tuple[str, str]]:
    entries = await store.audit.latest()
    return [(e.action, e.actor) for e in reversed(entries) if e.action.startswith("house.")]


async def test_decide__below_the_limit__one_person_is_enough_and_is_on_record(
    store: Store,
) -> None:
    row = await booked(store, cost=Decimal(500))
    for _ in range(2):
        decision = await store.decisions.decide(verb(row, "ann"), LIMIT, NOW)
        assert (decision.approved, decision.proposed_by) == (True, "ann")
    assert await actions(store) == [("house.booked", "bronco"), ("house.proposed", "ann")]


async def test_decide__above_the_limit__takes_two_names(store: Store) -> None:
    row = await booked(store)
    for who in ("ann", "ann", " Ann", "ANN "):
        decision = await store.decisions.decide(verb(row, who), LIMIT, NOW)
        assert not decision.approved, who
    assert not (await store.decisions.decided(row.id or 0, HouseVerb.FLATTEN)).approved
    second = await store.decisions.decide(verb(row, "ben"), LIMIT, NOW)
    assert (second.approved, second.proposed_by, second.confirmed_by) == (True, "ann", "ben")
    assert (await store.decisions.decide(verb(row, "ann"), LIMIT, NOW)).approved
    assert (await actions(store))[1:] == [("house.proposed", "ann"), ("house.confirmed", "ben")]


async def test_decide__a_short_position__is_worth_what_it_brought(store: Store) -> None:
    row = await booked(store, quantity=-3, cost=Decimal("-570.03"))
    assert not (await store.decisions.decide(verb(row, "ann"), LIMIT, NOW)).approved


async def test_decide__another_verb_or_a_position_that_grew__is_decided_anew(
    store: Store,
) -> None:
    row = await booked(store)
    for who in ("ann", "ben"):
        await store.decisions.decide(verb(row, who), LIMIT, NOW)
    other = await store.decisions.decide(verb(row, "ben", HouseVerb.WRITE_OFF), LIMIT, NOW)
    assert not other.approved
    await store.house.book(house_position(quantity=4, cost=Decimal(760)))
    assert not (await store.decisions.decide(verb(row, "ben"), LIMIT, NOW)).approved


async def test_decide__closed_or_not_there__is_refused(store: Store) -> None:
    row = await booked(store, cost=Decimal(1))
    await store.decisions.close(verb(row, "ann", HouseVerb.WRITE_OFF), "gone", NOW)
    with pytest.raises(Conflict, match="gone"):
        await store.decisions.decide(verb(row, "ann"), LIMIT, NOW)
    with pytest.raises(NotFound):
        await store.decisions.decide(
            verb(row, "ann").model_copy(update={"position_id": 999}), LIMIT, NOW
        )


async def test_standing__rounds__leave_what_they_did_not_trade(store: Store) -> None:
    row = await booked(store)
    other = await booked(store, order_id="B2")
    assert (await store.decisions.standing(row.id or 0)).step.number == 1
    await traded(store, row, 1, sold=2)
    standing = await store.decisions.standing(row.id or 0)
    assert (standing.outstanding, standing.step.number, standing.step.open) == (1, 2, False)
    await traded(store, row, 2, sold=1)
    assert (await store.decisions.standing(row.id or 0)).outstanding == 0
    assert (await store.decisions.standing(other.id or 0)).outstanding == 3


async def test_standing__a_claim_without_an_end__is_the_open_round(store: Store) -> None:
    row = await booked(store)
    request_id = house_id(row.id or 0, 1)
    await store.placements.claim(
        ClaimDraft(
            request_id=request_id,
            attempt=1,
            remark=remark_of(request_id, 1),
            symbol="AAPL",
            side=Side.SELL,
            quantity=3,
            price=Decimal(190),
            send_by=later(10),
        ),
        ROOM,
        NOW,
    )
    step = (await store.decisions.standing(row.id or 0)).step
    assert (step.open, step.number, step.request.request_id) == (True, 1, request_id)
    await store.placements.mark(request_id, 1, ClaimState.ABSENT, now=NOW)
    step = (await store.decisions.standing(row.id or 0)).step
    assert (step.open, step.number) == (False, 2)


async def test_close__flattened__closes_both_sides_once_and_tells_the_gain(store: Store) -> None:
    row = await booked(store)
    with pytest.raises(Conflict, match="3 shares of it are left"):
        await store.decisions.close(verb(row, "ann"), "flattened", NOW)
    await book_traded(store, row, await traded(store, row, 1, sold=2))
    with pytest.raises(Conflict, match="1 shares of it are left"):
        await store.decisions.close(verb(row, "ann"), "flattened", NOW)
    await book_traded(store, row, await traded(store, row, 2, sold=1))
    assert await store.house.net("AAPL") == 0
    assert await store.decisions.close(verb(row, "ann"), "flattened", NOW)
    assert not await store.decisions.close(verb(row, "ben"), "again", NOW)
    assert await store.house.unresolved() == []
    (closed,) = [e for e in await store.audit.latest() if e.action == "house.resolved"]
    assert closed.actor == "ann"
    assert '"gain":"2.97"' in closed.data


async def test_close__another_position__stays_open(store: Store) -> None:
    row = await booked(store)
    other = await booked(store, order_id="B2")
    order = await traded(store, other, 1, sold=1)
    await book_traded(store, other, order)
    await store.decisions.close(verb(row, "ann", HouseVerb.WRITE_OFF), "gone", NOW)
    left = await store.house.unresolved()
    assert [one.broker_order_id for one in left] == ["B2", "H1"]
