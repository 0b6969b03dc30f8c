"""A day's statement: what agrees, and what does not, line by line."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlmodel import Session, SQLModel

from api.statements import Format, write_statement
from clients.store import Store
from clients.store.engine import create_database_engine
from models.broker import BrokerStatus
from models.errors import InvalidInput
from models.records import BrokerOrderRow, ClaimState, ItemKind, ItemState, Placement
from models.requests import Side, remark_of
from models.statement import Difference, StatementTotals
from tests.contracts.builders import NOW, request_id, settlement_item

THAT_DAY = date(2026, 1, 5)
FIVE = 5 * 10**18
PRICE = Decimal("190.01")
# 5 shares at 190.01 dollars, and 10 basis points of it.
COST, FEE = 950_050_000, 950_050
SETTLED: dict[str, Any] = {"taken": COST + FEE, "out": FIVE, "fee": FEE, "filled": FIVE}


def keep(url: str, *rows: SQLModel) -> None:
    engine = create_database_engine(url)
    with Session(engine) as session:
        session.add_all(rows)
        session.commit()
    engine.dispose()


def confirm(n: int, at: datetime = NOW, **changes: Any) -> BrokerOrderRow:
    fields: dict[str, Any] = {
        "order_id": f"B{n}",
        "remark": remark_of(request_id(n), 1),
        "symbol": "AAPL",
        "side": Side.BUY,
        "quantity": 5,
        "price": PRICE,
        "status": BrokerStatus.FILLED,
        "filled": 5,
        "average_price": PRICE,
        "seen_at": at,
        "changed_at": at,
        "filled_at": at,
    }
    return BrokerOrderRow(**fields | changes)


def claim(n: int, attempt: int = 1) -> Placement:
    return Placement(
        request_id=request_id(n),
        attempt=attempt,
        remark=remark_of(request_id(n), attempt),
        symbol="AAPL",
        side=Side.BUY,
        quantity=5,
        price=PRICE,
        state=ClaimState.PLACED,
        send_by=NOW,
        created_at=NOW,
    )


async def read(store: Store, day: date = THAT_DAY) -> dict[str, Difference]:
    """What does not agree, by broker order or request."""
    lines = [line async for line in store.day_statements.lines(day, 6)]
    return {line.broker_order_id or line.request_id: line.difference for line in lines}


async def test_statement__each_kind_of_difference__is_marked(
    store: Store, migrated_url: str
) -> None:
    mined = {"state": ItemState.FINAL}
    keep(
        migrated_url,
        *(confirm(n) for n in range(1, 6)),
        confirm(6, remark="by hand"),
        *(claim(n) for n in (*range(1, 6), 7)),
        settlement_item(1, **SETTLED | mined),
        settlement_item(2, **SETTLED),
        settlement_item(3, **SETTLED | mined | {"filled": FIVE - 1}),
        settlement_item(4, **SETTLED | mined | {"taken": COST + FEE + 1}),
        settlement_item(5, kind=ItemKind.REFUND, **SETTLED | mined),
        settlement_item(7, **SETTLED | mined),
    )
    assert await read(store) == {
        "B1": Difference.NONE,
        "B2": Difference.NOT_SETTLED,
        "B3": Difference.SHARES,
        "B4": Difference.VALUE,
        "B5": Difference.NOT_SETTLED,
        "B6": Difference.FOREIGN,
        request_id(7): Difference.NO_CONFIRM,
    }


async def test_statement__sums__count_each_settlement_once(store: Store, migrated_url: str) -> None:
    """One request in two orders: both are confirmed, and it is settled once."""
    second = claim(1, 2)
    keep(
        migrated_url,
        confirm(1, filled=2),
        confirm(2, filled=3, remark=second.remark),
        claim(1),
        second,
        settlement_item(1, **SETTLED, state=ItemState.MINED),
    )
    totals = StatementTotals()
    async for line in store.day_statements.lines(THAT_DAY, 6):
        totals.add(line)
    assert totals == StatementTotals(
        lines=2,
        shares_bought=5,
        bought_usd="950.05",
        taken_units=str(COST + FEE),
        fee_units=str(FEE),
    )


async def test_statement__day__is_new_yorks(store: Store, migrated_url: str) -> None:
    begin = datetime(2026, 1, 5, 5, tzinfo=UTC)
    moments = (begin - timedelta(microseconds=1), begin, begin + timedelta(days=1))
    keep(migrated_url, *(confirm(n, at) for n, at in enumerate(moments, 1)))
    assert set(await read(store)) == {"B2"}
    assert set(await read(store, date(2026, 1, 4))) == {"B1"}
    for year in (1, 1999, 9999):
        with pytest.raises(InvalidInput, match="date="):
            await read(store, date(year, 12, 31))


async def test_statement__more_than_a_page__holds_each_line_once(
    store: Store, migrated_url: str
) -> None:
    keep(migrated_url, *(confirm(n) for n in range(1, 902)))
    before = store.statements
    assert len(await read(store)) == 901
    assert store.statements - before <= 16


async def test_statement__csv__is_inert_and_ends_with_the_sums(
    store: Store, migrated_url: str
) -> None:
    keep(migrated_url, confirm(1, order_id="=1+1", remark="by hand"))
    text = "".join([part async for part in write_statement(store, THAT_DAY, 6, Format.CSV)])
    head, line, totals = text.splitlines()
    assert head.startswith("date,at,symbol,side,broker_order_id")
    assert ",'=1+1," in line
    assert totals.startswith('2026-01-05,TOTAL,"{')
