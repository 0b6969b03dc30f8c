"""Ten thousand orders, and how long a page of them takes: `python -m tests.pages [DATABASE_URL]`.

Without a URL it measures a new SQLite file. What is there is left alone, and rows are added to it.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from sqlalchemy import insert

from api.views import OrderPage, OrderView
from clients.store import Store, upgrade
from clients.store.engine import create_database_engine
from models.drafts import OrderFilter, Page
from models.order import Order, OrderStatus, Stage
from models.requests import Side
from tests.contracts.builders import CHAIN, NOW, VAULT, request_id

ORDERS = 10_000
PAGE = 50
_ENDS = ((OrderStatus.EXECUTED, Stage.SETTLED), (OrderStatus.FAILED, Stage.REFUNDED))
FILTERS = {
    "all": OrderFilter(),
    "status": OrderFilter(status=OrderStatus.EXECUTED),
    "rare stage": OrderFilter(stage=Stage.HELD),
    "side": OrderFilter(side=Side.SELL),
    "user": OrderFilter(user="0x" + "0" * 39 + "7"),
    "symbol": OrderFilter(symbol="TSLA"),
    "status and side": OrderFilter(status=OrderStatus.FAILED, side=Side.BUY),
    "nothing": OrderFilter(symbol="NONE"),
}


def seed(url: str, count: int = ORDERS, *, first: int = 1) -> None:
    """Write so many ended orders, of several users, symbols and days; five of them are held."""
    engine = create_database_engine(url)
    rows = list(_rows(count, first))
    with engine.begin() as connection:
        for start in range(0, count, 1_000):
            connection.execute(insert(Order), rows[start : start + 1_000])
    engine.dispose()


def _rows(count: int, first: int) -> Iterator[dict[str, Any]]:
    for n in range(first, first + count):
        status, stage = _ENDS[n % 10 == 0]
        if n % (count // 5 or 1) == 0:
            status, stage = OrderStatus.PENDING, Stage.HELD
        at = NOW.replace(tzinfo=None) - timedelta(minutes=max(0, count - n))
        yield Order(
            chain_id=CHAIN,
            vault=VAULT.lower(),
            request_number=n,
            request_id=request_id(n + 5 * 10**9),
            workflow_id=f"order-{n}",
            tx_hash=request_id(n + 6 * 10**9),
            user_addr=f"0x{n % 50:040x}",
            symbol=("AAPL", "TSLA", "MSFT")[n % 3],
            order_type=(Side.BUY, Side.SELL)[n % 4 == 0],
            usdt_amount=10**9,
            spent=951_550_600,
            received=5 * 10**18,
            fee=950_600,
            average_price=Decimal("190.12"),
            status=status,
            stage=stage,
            created_at=at - timedelta(seconds=9),
            updated_at=at,
        ).model_dump(exclude={"internal_id"})


async def deep_cursor(store: Store, pages: int = 100) -> str:
    """The cursor of a page far back."""
    cursor = ""
    for _ in range(pages):
        cursor = (await store.orders.page(OrderFilter(), cursor, PAGE)).next_cursor
    return cursor


async def milliseconds(asked: Callable[[], Awaitable[object]], times: int) -> list[float]:
    """How long each of so many took, sorted."""
    found: list[float] = []
    for _ in range(times):
        begun = time.perf_counter()
        await asked()
        found.append((time.perf_counter() - begun) * 1000)
    return sorted(found)


async def answer(store: Store, chosen: OrderFilter, cursor: str = "") -> str:
    """A page as it goes over the wire."""
    page: Page[Order] = await store.orders.page(chosen, cursor, PAGE)
    views = [OrderView.model_validate(row) for row in page.items]
    return OrderPage(orders=views, next_cursor=page.next_cursor).model_dump_json()


async def measure(url: str) -> None:
    """Print p50 and p99 of each kind of page."""
    store = Store(url)
    deep = await deep_cursor(store)
    kinds = {name: (chosen, "") for name, chosen in FILTERS.items()} | {
        "deep": (FILTERS["all"], deep)
    }
    for name, (chosen, cursor) in kinds.items():
        before = store.statements
        took = await milliseconds(partial(answer, store, chosen, cursor), 200)
        each = (store.statements - before) / len(took)
        p50, p99 = statistics.median(took), took[int(len(took) * 0.99)]
        sys.stdout.write(f"{name:16} p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  statements {each:g}\n")
    store.close()


def main() -> None:
    """Seed and measure."""
    with tempfile.TemporaryDirectory() as home:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{home}/bronco.db"
        upgrade(url)
        seed(url)
        asyncio.run(measure(url))


if __name__ == "__main__":
    main()
