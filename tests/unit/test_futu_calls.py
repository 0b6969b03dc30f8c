"""What a bulk read makes of a list and a history that do not say the same."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from clients.futu_calls import Book, TradeCalls
from clients.futu_vendor import Notes, Vendor
from models.broker import BrokerStatus

FUTU = SimpleNamespace(TrdMarket=SimpleNamespace(US="US"))
SINCE = datetime(2026, 1, 5, tzinfo=UTC)


class Table:
    """One order with a status and what it dealt of ten."""

    def __init__(self, status: str, dealt: float) -> None:
        self._row = {
            "order_id": "7",
            "code": "US.AAPL",
            "trd_side": "BUY",
            "order_status": status,
            "qty": 10.0,
            "price": 190.0,
            "dealt_qty": dealt,
            "dealt_avg_price": 189.5,
            "last_err_msg": "",
            "remark": "b1:x:1",
        }

    def to_dict(self, _orient: str) -> list[dict[str, Any]]:
        return [self._row]


class Context:
    """Answers both queries at once."""

    def __init__(self, listed: Table, past: Table) -> None:
        self.notes = Notes()
        self._listed, self._past = listed, past

    def order_list_query(self, **_: Any) -> tuple[int, Table]:
        return 0, self._listed

    def history_order_list_query(self, **_: Any) -> tuple[int, Table]:
        return 0, self._past


def read(listed: Table, past: Table) -> Book:
    calls = TradeCalls(Vendor(FUTU, None, None), 1002, "SIMULATE")
    return calls.book(Context(listed, past), SINCE)


@pytest.mark.parametrize(
    ("listed", "past", "status", "filled"),
    [
        (Table("FILLED_PART", 4), Table("FILLED_ALL", 10), BrokerStatus.FILLED, 10),
        (Table("FILLED_ALL", 10), Table("CANCELLED_PART", 4), BrokerStatus.FILLED, 10),
        (Table("SUBMITTED", 0), Table("CANCELLED_ALL", 0), BrokerStatus.WORKING, 0),
        (Table("FILL_CANCELLED", 10), Table("FILLED_ALL", 10), BrokerStatus.FILL_CANCELLED, 0),
        (Table("FILLED_ALL", 10), Table("FILL_CANCELLED", 10), BrokerStatus.FILL_CANCELLED, 0),
        (Table("FILL_CANCELLED", 0), Table("FILL_CANCELLED", 9), BrokerStatus.FILL_CANCELLED, 0),
    ],
)
def test_book__list_and_history_differ__keeps_what_tells_more(
    listed: Table, past: Table, status: BrokerStatus, filled: int
) -> None:
    book = read(listed, past)
    (order,) = book.orders
    assert book.history
    assert (order.status, order.filled) == (status, filled)
