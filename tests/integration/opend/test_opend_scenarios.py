"""What was seen once is seen again: recordings and the scenarios that come with the simulator."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from simulators.opend.arguments import parse
from simulators.opend.options import OpenDOptions
from tests.integration.opend.rig import ERROR, OK, TIMEOUT, Rig, running_rig
from tests.waiting import eventually

# In the recorded session somebody halts, moves prices and breaks an answer between these.
THIN: dict[str, Any] = {"depth_shares": 100, "depth_levels": 2, "partial_rate": 0.5, "seed": 11}


@asynccontextmanager
async def replayed(scenario: str, *more: str) -> AsyncIterator[Rig]:
    options = parse(["--scenario", scenario, *more])
    chosen = {f.name: getattr(options, f.name) for f in fields(OpenDOptions)}
    for own in ("port", "control_port"):
        del chosen[own]
    async with running_rig(**chosen) as rig:
        yield rig


async def program(rig: Rig, told: Callable[[str], None]) -> list[Any]:
    """A client that knows nothing of what is done to it, and what it saw. Told at its steps."""
    seen: list[Any] = []
    first = await rig.placed(quantity=700, price=200, remark="first")
    await rig.until(lambda: rig.pushed(first)[-1:] == ["FILLED_ALL"], seconds=30)
    told("first is filled")
    seen.append(await rig.place(quantity=5, price=200, remark="refused"))
    second = await rig.placed(quantity=7, price=150, remark="second")
    await rig.until(lambda: rig.pushed(second)[-1:] == ["SUBMITTED"])
    told("second works")
    await rig.until(lambda: rig.pushed(second)[-1:] == ["FILLED_ALL"], seconds=30)
    third = await rig.placed(quantity=3, price=10, remark="third")
    await rig.until(lambda: rig.pushed(third)[-1:] == ["SUBMITTED"])
    await rig.modify(third, "CANCEL")
    await rig.until(lambda: rig.pushed(third)[-1:] == ["CANCELLED_ALL"])
    columns = ("remark", "trd_side", "qty", "price", "order_status", "dealt_qty", "dealt_avg_price")
    rows = await rig.rows("order_list_query", refresh_cache=True)
    seen.extend([row[column] for column in columns] for row in rows)
    seen.append([(p["remark"], p["order_status"], p["dealt_qty"]) for p in rig.pushes])
    # What is done after this order may come while it is still looked at, so nothing is read then.
    await rig.placed(quantity=1, price=11, remark="fourth")
    told("done")
    return seen


async def truth(rig: Rig) -> list[Any]:
    """Prices, fills and placements as the broker has them."""
    fills = [(fill.quantity, fill.price) for fill in await rig.control.fills()]
    orders = [(o.remark, o.status, o.filled, o.value) for o in await rig.control.orders()]
    placements = [(p.remark, p.outcome, p.message) for p in await rig.control.placements()]
    account = await rig.control.account()
    quote = await rig.control.quote("AAPL")
    return [fills, orders, placements, account.cash, account.positions, quote]


class Director:
    """What the control port did in the recorded session, as the program went on.

    Each step waits until the one before has shown, as whoever wants a recording that repeats must.
    """

    def __init__(self, rig: Rig) -> None:
        self._control = rig.control
        self.steps = {name: asyncio.Event() for name in ("first is filled", "second works", "done")}

    def told(self, step: str) -> None:
        self.steps[step].set()

    async def direct(self) -> None:
        await eventually(self._book_is_empty)
        await self._control.set_halt("AAPL")
        await self._control.call("step", steps=3)
        await self._control.fault("reject", message="Not today.")
        await self._control.set_halt("AAPL", on=False)
        while await eventually(self._what_ended) == "book":
            await self._control.call("step")
        await self.steps["second works"].wait()
        await self._control.set_price("AAPL", Decimal("149.50"))
        await self.steps["done"].wait()
        await eventually(self._last_works)
        third = next(o for o in await self._control.orders() if o.remark == "third")
        await self._control.fault("late_fill", order_id=third.id)
        assert await self._control.day_roll() == 1
        await self._control.set_price("AAPL", Decimal("151"))
        await self._control.call("step")

    async def _last_works(self) -> bool:
        return (await self._control.orders())[-1].status == "SUBMITTED"

    async def _book_is_empty(self) -> bool:
        return not (await self._control.call("book", code="AAPL"))["asks"]

    async def _what_ended(self) -> str:
        order = (await self._control.orders())[0]
        if order.filled == order.quantity:
            return "order"
        return "book" if await self._book_is_empty() else ""


async def test_recording__replayed_into_a_new_simulator__client_sees_the_same(
    tmp_path: Path,
) -> None:
    file = tmp_path / "session.jsonl"
    async with running_rig(**THIN, record=file) as rig:
        director = Director(rig)
        seen, _ = await asyncio.gather(program(rig, director.told), director.direct())
        known = await truth(rig)
    assert seen[0] == (ERROR, "Not today.")
    assert len(known[0]) > 5
    async with replayed(str(file)) as rig:
        assert await program(rig, lambda step: None) == seen
        await eventually(lambda: ended(rig))
        assert await truth(rig) == known
        assert (await rig.control.call("scenario"))["refused"] == []


async def ended(rig: Rig) -> bool:
    return bool((await rig.control.call("scenario"))["left"] == 0)


async def test_recording__prices_that_moved_by_themselves__end_at_the_same(tmp_path: Path) -> None:
    file = tmp_path / "prices.jsonl"
    async with running_rig(price_interval_seconds=0.01, record=file) as rig:
        await eventually(lambda: len(file.read_text().splitlines()) > 20)
        await rig.control.set_halt("MSFT")
    steps = file.read_text().count('"step"')
    assert steps >= 20
    async with replayed(str(file), "--speed", "10") as again, running_rig() as plain:
        await eventually(lambda: ended(again))
        await plain.control.call("step", steps=steps)
        for code in ("AAPL", "SIRI"):
            assert await again.control.quote(code) == await plain.control.quote(code)
        assert again.server.gateway.venue.market.stock("MSFT").halted


async def test_scenario__halt_in_mid_order__rest_fills_at_the_price_after_it() -> None:
    async with replayed("halt-in-mid-order", "--speed", "50") as rig:
        order_id = await rig.placed(quantity=1000, price=195)
        await rig.until(lambda: rig.pushed(order_id)[-1:] == ["FILLED_ALL"], seconds=30)
        prices = [fill.price for fill in await rig.control.fills()]
        before = [price for price in prices if price < 191]
        assert before == sorted(before) == prices[: len(before)]
        assert set(before) <= {Decimal("190.01"), Decimal("190.02"), Decimal("190.03")}
        assert set(prices[len(before) :]) == {
            *(Decimal("192.01"), Decimal("192.02"), Decimal("192.03")),
        }


async def test_scenario__ambiguous_placement__as_its_file_says() -> None:
    async with replayed("ambiguous-placement", "--no-limits") as rig:
        answers = []
        for remark in ("1", "2", "3", "4", "5"):
            code, answer = await rig.place(quantity=1, remark=remark)
            answers.append((code, answer if code == ERROR else ""))
            if answers[-1] == (ERROR, "Disconnect"):
                await rig.renew()
        assert answers == [
            *((ERROR, TIMEOUT), (ERROR, TIMEOUT)),
            *((ERROR, "Disconnect"), (ERROR, "Disconnect"), (OK, "")),
        ]
        assert [order.remark for order in await rig.control.orders()] == ["1", "3", "5"]
