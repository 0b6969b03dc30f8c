"""Lists of ten thousand orders: as many statements as for ten, and soon."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import pytest

from api.stats import read_stats
from clients.store import Store
from models.drafts import OrderFilter
from models.stats import percentile
from tests.contracts.builders import NOW
from tests.pages import FILTERS, ORDERS, answer, deep_cursor, milliseconds, seed

MOST_MILLISECONDS = 150
Asked = Callable[[], Awaitable[object]]


async def statements(store: Store, asked: Asked) -> int:
    before = store.statements
    await asked()
    return store.statements - before


async def counted(store: Store, cursor: str) -> dict[str, int]:
    """SQL statements of each kind of page, of the counts and of the stats."""
    kinds: dict[str, Asked] = {
        name: partial(answer, store, chosen) for name, chosen in FILTERS.items()
    }
    kinds["deep"] = lambda: answer(store, OrderFilter(), cursor)
    kinds["counts"] = store.orders.counts
    kinds["stats"] = lambda: read_stats(store, 7, NOW)
    return {name: await statements(store, asked) for name, asked in kinds.items()}


async def test_orders__ten_or_ten_thousand__as_many_statements_and_soon(
    store: Store, migrated_url: str
) -> None:
    await asyncio.to_thread(seed, migrated_url, 10)
    few = await counted(store, "")
    await asyncio.to_thread(seed_more, migrated_url)
    deep = await deep_cursor(store)
    assert await counted(store, deep) == few
    assert max(few.values()) <= 2

    # The best of some: what it costs, whatever else this machine does meanwhile.
    for name, chosen in FILTERS.items():
        took = await milliseconds(partial(answer, store, chosen), 5)
        assert took[0] <= MOST_MILLISECONDS, (name, took)
    took = await milliseconds(lambda: answer(store, OrderFilter(), deep), 5)
    assert took[0] <= MOST_MILLISECONDS, took


def seed_more(url: str) -> None:
    seed(url, ORDERS, first=11)


async def test_stats__sums_and_percentiles__are_exact(store: Store, migrated_url: str) -> None:
    await asyncio.to_thread(seed, migrated_url, 100)
    found = await read_stats(store, 7, NOW)
    assert sum(found.by_status.values()) == 100
    executed = found.by_status[next(s for s in found.by_status if s.value == "EXECUTED")]
    assert found.settle_milliseconds.orders == executed
    assert found.settle_milliseconds.p50 == found.settle_milliseconds.p99 == 9_000
    assert sum(day.orders for day in found.days) == executed
    assert sum(day.fees for day in found.days) == executed * 950_600
    nothing = await read_stats(store, 1, NOW + timedelta(days=30))
    assert (nothing.days, nothing.settle_milliseconds.p50) == ([], None)


def test_percentile__of_nothing__is_none() -> None:
    assert percentile([], 50) is None


@pytest.mark.parametrize(("percent", "wanted"), [(50, 2), (90, 4), (99, 4), (100, 4), (1, 1)])
def test_percentile__is_one_of_the_values(percent: int, wanted: int) -> None:
    assert percentile([4, 2, 3, 1], percent) == wanted
