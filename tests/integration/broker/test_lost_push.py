"""Pushes are lost: the bulk poll finds every fill, at a price that does not grow with the orders.

`make soak` does it for an hour, with 2,000 orders open and at the product's own pace.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from activities.clock import utc_now
from bronco.trading import BrokerSettings
from models.broker import BrokerOrder, BrokerStatus
from models.columns import naive_utc
from models.requests import remark_of
from models.watch import WatchBrokerInput
from simulators.opend.limits import LIMITS
from simulators.opend.orders import OrderType, Side, Ticket
from simulators.opend.rules import DAY
from tests.builders import request_id_of
from tests.integration.broker.desk import ACCOUNT
from tests.integration.broker.office import Customer, Office, open_office
from tests.waiting import eventually

PROMISED_SECONDS = 5.0
SHIPPED = BrokerSettings()
# The list that OpenD answers from its memory is left out: the bulk read has to do it alone.
ALONE = WatchBrokerInput(list_seconds=7200.0, snapshot_seconds=SHIPPED.poll_seconds)
FEW, MANY = 100, 2000
ROUNDS = 2
HOUR = 3600.0
FILL_EVERY = 20.0
BY_THE_CLOCK = {"KeepAlive", "GetGlobalState"}
BACKGROUND = 1_000_000
"""First number of the orders that only stand in the book."""


@pytest.fixture
async def office(tmp_path: Path, log_home: Path) -> AsyncIterator[Office]:
    bound = SHIPPED.call_timeout_seconds
    async with open_office(tmp_path, log_home, call_seconds=bound, limits=True) as opened:
        await opened.desk.control.fault("no_push", on=True)
        yield opened


def stand(office: Office, number: int, price: Decimal = Decimal(150)) -> str:
    """A working order at the broker, put there without a call that would be counted."""
    remark = remark_of(request_id_of(number), 1)
    ticket = Ticket(
        *(ACCOUNT, "AAPL", Side.BUY, OrderType.NORMAL, Decimal(1), price),
        time_in_force=DAY,
        remark=remark,
    )
    order = office.desk.server.gateway.venue.place(ticket)
    return str(order.id)


def stand_many(office: Office, first: int, count: int) -> None:
    for number in range(first, first + count):
        stand(office, BACKGROUND + number)


async def calls(office: Office) -> Counter[str]:
    return Counter(
        {name: one.received for name, one in (await office.desk.control.counts()).items()}
    )


async def refused(office: Office) -> int:
    counts = await office.desk.control.counts()
    return sum(counts[name].rejected for name in LIMITS if name in counts)


async def calls_of(office: Office, rounds: int, before: int = 0) -> Counter[str]:
    """What so many bulk reads ask of OpenD: the window lets that many through, and no more.

    before: how many this office has made already.
    """
    asked, seen = await calls(office), len(office.beats)
    pace = ALONE.model_copy(update={"snapshot_seconds": 0.2})
    async with office.watching(window=(before + rounds, HOUR, 0.0), pace=pace):
        await eventually(
            lambda: any(beat["reads"] == rounds for beat in office.beats[seen:]), timeout=90
        )
    return await calls(office) - asked


def asked_for_orders(counted: Counter[str]) -> dict[str, int]:
    """What is left without what goes by the clock, whoever asks what."""
    return {name: n for name, n in counted.items() if n and name not in BY_THE_CLOCK}


async def test_bulk_read__twenty_times_the_open_orders__asks_the_broker_no_more(
    office: Office,
) -> None:
    stand_many(office, 0, FEW)
    few = await calls_of(office, ROUNDS)
    assert len(await office.store.book.live()) == FEW
    stand_many(office, FEW, MANY - FEW)
    many = await calls_of(office, ROUNDS, before=ROUNDS)
    assert len(await office.store.book.live()) == MANY

    wanted = ("GetOrderList", "GetHistoryOrderList")
    assert [few[name] for name in wanted] == [ROUNDS, ROUNDS]
    assert asked_for_orders(few) == asked_for_orders(many)
    assert await refused(office) == 0


@dataclass
class Fills:
    """Orders that the market comes down to one by one, and when workflows were told."""

    office: Office
    customers: dict[str, Customer]
    prices: dict[str, Decimal]
    told: dict[str, float]

    @classmethod
    async def stand(cls, office: Office, count: int) -> "Fills":
        """Each a step below the one before; the book's other orders are further below."""
        customers, prices, told = {}, {}, dict[str, float]()
        for step in range(count):
            customer = await office.admit()
            price = Decimal("189.00") - step * Decimal("0.10")
            order_id = stand(office, customer.request.n, price)
            customers[order_id], prices[order_id] = customer, price
        fills = cls(office, customers, prices, told)
        fills._listen()
        return fills

    def _listen(self) -> None:
        """Notes the product's time at which Temporal was given the news."""
        take = self.office.inbox.signal_order

        async def noted(workflow_id: str, signal: str, *args: Any) -> bool:
            taken = await take(workflow_id, signal, *args)
            if signal == "order_update":
                self._note(args[0])
            return taken

        self.office.inbox.signal_order = noted  # type: ignore[method-assign]

    def _note(self, order: BrokerOrder) -> None:
        if order.status is BrokerStatus.FILLED:
            self.told.setdefault(order.order_id, time.time())

    def request_id(self, order_id: str) -> str:
        return self.customers[order_id].request.request_id

    async def fill(self, order_id: str) -> None:
        """The market comes down to this order's price, and to no other's."""
        ask = self.prices[order_id] - Decimal("0.02")
        await self.office.desk.control.set_price("AAPL", ask, pin=True)

    async def happened(self) -> dict[str, float]:
        """When the broker filled each."""
        fills = await self.office.desk.control.fills()
        return {fill.order_id: fill.at for fill in fills if fill.order_id in self.prices}

    async def lags(self) -> list[float]:
        """Seconds from each fill to the news of it."""
        return [self.told[order_id] - at for order_id, at in (await self.happened()).items()]


async def test_pushes_lost__bulk_poll_alone__first_read_after_it_finds_each_fill(
    office: Office,
) -> None:
    assert SHIPPED.poll_seconds < PROMISED_SECONDS
    stand_many(office, 0, MANY)
    fills = await Fills.stand(office, 2)
    async with office.watching(window=SHIPPED.query_window, pace=ALONE):
        await eventually(lambda: office.beats and office.beats[-1]["reads"], timeout=90)
        for order_id in fills.prices:
            await fills.fill(order_id)
        await eventually(lambda: fills.told.keys() == fills.prices.keys(), timeout=90)
    assert office.desk.pushes == []
    await found_by_the_next_read(office, fills)
    assert await refused(office) == 0


async def found_by_the_next_read(office: Office, fills: Fills) -> None:
    """And of two that filled between two reads, one read finds both."""
    began = utc_now() - timedelta(hours=2)
    reads = await office.store.book.complete_snapshots_after(began, began)
    happened = await fills.happened()
    assert len(happened) == len(fills.prices)
    for order_id, at in happened.items():
        moment = naive_utc(datetime.fromtimestamp(at, UTC))
        first = next(read for read in reads if read.begun_at >= moment)
        (seen,) = (await office.store.book.fill_times(fills.request_id(order_id))).values()
        assert seen is not None
        assert seen <= first.ended_at


@pytest.mark.soak
@pytest.mark.timeout(HOUR + 600)
async def test_pushes_lost__for_an_hour__each_fill_is_told_within_five_seconds(
    office: Office,
) -> None:
    """OpenD's own memory of the list stands still as well: only its servers tell the truth."""
    stand_many(office, 0, MANY)
    fills = await Fills.stand(office, int(HOUR / FILL_EVERY))
    pace = WatchBrokerInput(snapshot_seconds=SHIPPED.poll_seconds)
    async with office.watching(window=SHIPPED.query_window, pace=pace):
        await eventually(lambda: office.beats and office.beats[-1]["reads"], timeout=90)
        await office.desk.control.fault("stale_list", on=True)
        before, began = await calls(office), time.monotonic()
        for order_id in fills.prices:
            await fills.fill(order_id)
            await eventually(partial(fills.told.get, order_id), timeout=60)
            # Never in step with the reads.
            await asyncio.sleep(FILL_EVERY * random.uniform(0.5, 1.0))
        minutes = (time.monotonic() - began) / 60
    asked = await calls(office) - before
    lags = sorted(await fills.lags())
    measured = {"fills": len(lags), "worst": lags[-1], "median": lags[len(lags) // 2]}
    measured |= {f"{name} a minute": round(n / minutes, 1) for name, n in asked.items()}
    sys.stdout.write(f"{measured}\n")
    assert office.desk.pushes == []
    assert await refused(office) == 0
    assert len(lags) == len(fills.prices)
    assert lags[-1] <= PROMISED_SECONDS
