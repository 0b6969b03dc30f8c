"""Prices that orders were decided on and filled at."""

from decimal import Decimal

from clients.store import Store
from clients.store.prices import FillSeen, PriceSeen
from models.broker import BrokerStatus
from models.columns import naive_utc
from models.drafts import AuditDraft
from models.requests import Side
from tests.contracts.builders import NOW, broker_order, later


async def priced(store: Store, number: int, quote: object) -> None:
    data = {"symbol": "AAPL", "quote": quote}
    draft = AuditDraft(f"placement.claimed:{number}", "placement.claimed", data=data)
    await store.audit.append(draft, later(number))


async def test_prices__claims_with_quotes__newest_first_and_others_left_out(store: Store) -> None:
    for number, last in ((1, "190.01"), (2, "190.07")):
        at = naive_utc(later(number)).isoformat()
        await priced(store, number, {"broker": {"last": last, "at": at}})
    await priced(store, 3, {})
    await store.audit.append(AuditDraft("order.placed:1", "order.placed"), later(4))
    assert await store.prices.seen() == [
        PriceSeen("AAPL", naive_utc(later(2)), Decimal("190.07")),
        PriceSeen("AAPL", naive_utc(later(1)), Decimal("190.01")),
    ]
    assert len(await store.prices.seen(limit=2)) == 1, "of two claims one had no quote"


async def test_fills__of_the_book__are_those_that_filled(store: Store) -> None:
    working = broker_order("B1")
    filled = broker_order("B2", filled=3, average_price=Decimal("190.02"))
    filled = filled.model_copy(update={"status": BrokerStatus.PART_FILLED})
    await store.book.apply([working, filled], NOW)
    expected = FillSeen("AAPL", naive_utc(NOW), Side.BUY, 3, Decimal("190.02"))
    assert await store.prices.fills() == [expected]


async def test_audit__older_than_an_entry__goes_on_after_it(store: Store) -> None:
    for number in range(3):
        await store.audit.append(AuditDraft(f"k{number}", "a"), later(number))
    newest = await store.audit.latest(1)
    older = await store.audit.latest(5, before=newest[0].id or 0)
    assert [entry.event_key for entry in (*newest, *older)] == ["k2", "k1", "k0"]
