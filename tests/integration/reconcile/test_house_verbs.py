"""Which verb a house position takes: weighed against vault, store and broker, done in the store."""

from datetime import UTC, datetime
from decimal import Decimal

from temporalio.testing import ActivityEnvironment

from activities.house import HouseActivities
from models.broker import BrokerOrder, BrokerStatus
from models.house import FLATTEN, HouseInput, HouseOutcome, HouseVerb, house_id
from models.records import HousePosition
from models.requests import Side, VaultRequest, remark_of
from models.splits import ONE_TO_ONE
from tests.integration.reconcile.office import SYMBOL, Office
from tests.integration.reconcile.test_reconcile import open_request, placed, refunded, twice

LIMIT = Decimal(1000)


async def late_fill(office: Office, filled: int = 1) -> HousePosition:
    """Filled after its refund; the house holds it."""
    request = await open_request(office)
    await office.claimed(request, quantity=filled)
    await office.reported(request, 0, BrokerStatus.CANCELLED)
    await refunded(office, request)
    await office.reported(request, filled)
    office.broker.shares = filled
    await twice(office)
    (row,) = await office.store.house.unresolved()
    return row


async def tell(
    office: Office,
    row: HousePosition,
    verb: HouseVerb,
    who: str = "ann",
    *,
    act: bool = True,
    limit: Decimal = LIMIT,
) -> HouseOutcome:
    assert row.id is not None
    activities = HouseActivities(
        office.reader, office.store, office.gateway, two_persons_above=limit
    )
    message = HouseInput(position_id=row.id, verb=verb, who=who, reason="seen", act=act)
    outcome: HouseOutcome = await ActivityEnvironment().run(activities.weigh_house, message)
    return outcome


async def sound(office: Office) -> None:
    """Nothing of it is left to be told."""
    await twice(office)
    kinds = {kind for kind, count in office.report.standing.items() if count}
    assert not kinds & {"HOUSE", "HOUSE_STALE", "POSITION", "ORDERS"}


async def test_write_off__shares_are_still_there__is_refused(office: Office) -> None:
    row = await late_fill(office)
    outcome = await tell(office, row, HouseVerb.WRITE_OFF)
    assert "flatten it" in outcome.refused
    assert len(await office.store.house.unresolved()) == 1


async def test_write_off__shares_are_gone__closes_it_and_reconcile_agrees(
    office: Office,
) -> None:
    row = await late_fill(office)
    office.broker.shares = 0
    looked = await tell(office, row, HouseVerb.WRITE_OFF, act=False)
    assert looked.words.startswith("written off, loss 190")
    assert not looked.done
    assert len(await office.store.house.unresolved()) == 1
    assert (await tell(office, row, HouseVerb.WRITE_OFF)).done
    assert await office.store.house.unresolved() == []
    await sound(office)


async def test_write_off__broker_does_not_answer__is_refused(office: Office) -> None:
    row = await late_fill(office)
    office.broker.shares = None
    outcome = await tell(office, row, HouseVerb.WRITE_OFF)
    assert "could not be read" in outcome.refused


async def test_write_off__worth_much__two_persons_and_nothing_before(office: Office) -> None:
    row = await late_fill(office)
    office.broker.shares = 0
    few = Decimal(100)
    for _ in range(2):
        outcome = await tell(office, row, HouseVerb.WRITE_OFF, limit=few)
        assert "second person" in outcome.waits
        assert len(await office.store.house.unresolved()) == 1
    assert (await tell(office, row, HouseVerb.WRITE_OFF, "ben", limit=few)).done


async def test_write_off__done_again__changes_nothing(office: Office) -> None:
    row = await late_fill(office)
    office.broker.shares = 0
    first = await tell(office, row, HouseVerb.WRITE_OFF)
    again = await tell(office, row, HouseVerb.WRITE_OFF, "eve")
    assert again.done
    entries = await office.store.audit.latest()
    closed = [entry.actor for entry in entries if entry.action == "house.resolved"]
    assert closed == ["ann"]
    assert first.words in again.words


async def test_adopt__request_was_refunded__is_owed_nothing(office: Office) -> None:
    row = await late_fill(office)
    outcome = await tell(office, row, HouseVerb.ADOPT)
    assert "owed nothing" in outcome.refused


async def booked_too_early(office: Office, request: VaultRequest) -> HousePosition:
    """Booked as orphaned; then the reorganisation was undone, and the request is back."""
    (order,) = await office.store.book.of_request(request.request_id)
    await office.store.house.book(
        HousePosition(
            symbol=SYMBOL,
            quantity=1,
            cost=Decimal(190),
            cause="ORPHANED",
            broker_order_id=order.order_id,
            request_id=request.request_id,
            shares_numerator=ONE_TO_ONE.numerator,
            created_at=datetime.now(UTC),
        )
    )
    (row,) = await office.store.house.unresolved()
    return row


async def test_adopt__its_request_is_back_and_may_claim_it__ends_the_alarms(
    office: Office,
) -> None:
    request = await placed(office)
    office.broker.shares = 1
    row = await booked_too_early(office, request)
    await twice(office)
    assert {"HOUSE_STALE", "POSITION"} <= set(office.report.standing)
    assert "adopt it" in (await tell(office, row, HouseVerb.FLATTEN)).refused
    outcome = await tell(office, row, HouseVerb.ADOPT)
    assert outcome.done
    assert request.request_id in outcome.words
    await sound(office)


async def test_verb__lifts_the_symbols_holds_once_nothing_is_open(office: Office) -> None:
    row = await late_fill(office)
    office.broker.shares = 0
    await office.take_holds()
    await tell(office, row, HouseVerb.WRITE_OFF)
    assert [hold.key for hold in office.gateway.lifted] == [f"house:{SYMBOL}"]


async def test_verb__another_position_of_the_symbol_is_open__holds_stay(
    office: Office,
) -> None:
    row = await late_fill(office)
    await office.take_holds()
    other = await open_request(office)
    await office.store.house.book(
        HousePosition(
            symbol=SYMBOL,
            quantity=2,
            cost=Decimal(380),
            cause="LATE_FILL",
            broker_order_id="other",
            request_id=other.request_id,
            created_at=datetime.now(UTC),
        )
    )
    office.broker.shares = 2
    assert (await tell(office, row, HouseVerb.WRITE_OFF)).done
    assert office.gateway.lifted == []


async def test_verb__position_is_not_there__is_refused(office: Office) -> None:
    row = await late_fill(office)
    outcome = await tell(office, row.model_copy(update={"id": 999}), HouseVerb.FLATTEN)
    assert "999" in outcome.refused


async def test_flatten__its_run_died_after_the_fill__reconcile_books_what_was_traded(
    office: Office,
) -> None:
    row = await late_fill(office)
    order = BrokerOrder(
        order_id="H1",
        remark=remark_of(house_id(row.id or 0, 1), 1),
        symbol=SYMBOL,
        side=Side.SELL,
        quantity=1,
        price=Decimal(190),
        status=BrokerStatus.FILLED,
        vendor_status="",
        filled=1,
        average_price=Decimal(191),
    )
    await office.store.book.apply([order], datetime.now(UTC))
    office.broker.shares = 0
    await twice(office)
    booked = await office.store.house.unresolved()
    assert [(one.cause, one.quantity) for one in booked] == [("LATE_FILL", 1), (FLATTEN, -1)]
    await sound(office)
