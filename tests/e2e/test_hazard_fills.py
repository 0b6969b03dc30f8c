"""Orders that do not simply fill: in part, refused afterwards, taken back, ended by the day."""

import time

import pytest

from clients.wallet import Requested
from models.order import OrderStatus, Reason, Stage
from models.requests import Side
from tests.e2e.desk import Desk
from tests.e2e.ledger import after_these, holdings
from tests.waiting import eventually

_BROKER_TRIES = 3
_QUOTE_KEPT_SECONDS = 1.0


async def two_shares(desk: Desk, side: Side) -> Requested:
    """A request whose order is for two shares."""
    return await (desk.deposit() if side is Side.BUY else desk.redeem(2))


async def market(desk: Desk, state: str) -> None:
    """Open or close it, and wait until no quote from before is used: each is kept for a second."""
    await desk.control.set_market(state)
    forgotten = time.monotonic() + _QUOTE_KEPT_SECONDS
    await eventually(lambda: time.monotonic() > forgotten)


async def fates(desk: Desk, made: Requested) -> list[tuple[str, int, int]]:
    """Status, shares wanted and shares filled of each of its orders, oldest first."""
    orders = await desk.orders_of(made)
    return [(order.status, order.quantity, order.filled) for order in orders]


@pytest.mark.parametrize("side", list(Side))
async def test_reject_after_accept__every_try__refunded_with_the_brokers_words(
    desk: Desk, side: Side
) -> None:
    before = await holdings(desk)
    words = "the exchange takes no orders in this symbol"
    await desk.control.fault("reject_after_accept", n=_BROKER_TRIES, message=words)
    made = await two_shares(desk, side)
    row = await desk.end(made, OrderStatus.FAILED)
    assert (row.stage, row.reason) == (Stage.REFUNDED, Reason.BROKER_REJECTED)
    assert row.retry_count == _BROKER_TRIES
    assert words in row.error_msg
    assert await fates(desk, made) == [("FAILED", 2, 0)] * _BROKER_TRIES
    assert await holdings(desk) == before


async def test_market__closed_when_it_comes__nothing_sent_until_it_opens(desk: Desk) -> None:
    sent = await desk.placed()
    await market(desk, "closed")
    made = await desk.deposit()
    row = await desk.at(made, Stage.WAITING_SESSION)
    assert row.status is OrderStatus.PENDING
    assert "closed" in row.waiting_for
    await desk.wake([made])
    await desk.looked_again(made, times=2)
    assert await desk.placed() == sent
    await market(desk, "open")
    await desk.wake([made])  # by itself it looks every 30 s
    await desk.end(made, OrderStatus.EXECUTED)
    await desk.one_order_each([made])


@pytest.mark.parametrize("side", list(Side))
async def test_order__unfilled_at_the_end_of_the_day__placed_again_when_the_market_opens(
    desk: Desk, side: Side
) -> None:
    before = await holdings(desk)
    await desk.control.fault("hold_fills", on=True)
    made = await two_shares(desk, side)
    await desk.at(made, Stage.PLACED)
    await market(desk, "closed")
    await desk.control.fault("release_fills")
    assert await desk.control.day_roll() == 1
    row = await desk.at(made, Stage.WAITING_SESSION)
    assert (row.status, row.retry_count) == (OrderStatus.PENDING, 0)
    assert await fates(desk, made) == [("CANCELLED_ALL", 2, 0)]
    await market(desk, "open")
    await desk.wake([made])
    row = await desk.end(made, OrderStatus.EXECUTED)
    assert row.attempt == 2
    assert await fates(desk, made) == [("CANCELLED_ALL", 2, 0), ("FILLED_ALL", 2, 2)]
    assert await holdings(desk) == await after_these(desk, before, [made])
