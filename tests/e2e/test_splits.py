"""A share split costs nobody anything, in whatever phase it meets a request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from bronco.devchain import DevChainPlan
from bronco.proof import NAMES, gather_truth, judge
from bronco.stack import stack
from clients.wallet import Requested
from models.money import SHARE_SCALE
from models.order import OrderStatus, Stage
from models.records import ItemState
from models.requests import Side
from tests.e2e.desk import DOLLAR, SYMBOL, Desk, opened, options
from tests.e2e.splits import LIMIT, PRICE, SYMBOLS, TOKENS, SplitDesk, side_of, tokens_moved
from tests.waiting import eventually

_REDEEMED = 10
TINY = Fraction(1, 10**9)
_FEE = Decimal("0.002")
Made = dict[str, Requested]


@asynccontextmanager
async def split_stack(home: Path) -> AsyncIterator[SplitDesk]:
    listed = (SYMBOL, *SYMBOLS)
    plan = DevChainPlan(stocks={symbol: int(PRICE) * 10**8 for symbol in listed}, users=1)
    prices = [word for symbol in SYMBOLS for word in ("--price", f"{symbol}={PRICE}")]
    chosen = options(home, plan=plan, opend=prices, orders_split_margin_seconds="1")
    async with stack(chosen) as running, opened(running) as desk:
        yield SplitDesk(desk)


@pytest_asyncio.fixture(scope="module")
async def split_desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SplitDesk]:
    async with split_stack(tmp_path_factory.mktemp("splits")) as splits:
        yield splits


def some(made: Made, *phases: str) -> list[Requested]:
    return [one for symbol, one in made.items() if symbol.startswith(phases)]


def of(*phases: str) -> list[str]:
    return [symbol for symbol in SYMBOLS if symbol.startswith(phases)]


async def brought_to_their_phases(splits: SplitDesk) -> Made:
    """One request a symbol: none filled, and only those that wait are not at the broker."""
    desk, made = splits.desk, Made()
    await desk.control.fault("hold_fills", on=True)
    await splits.halt(of("WAIT"))
    await desk.control.fault("partial_fill", n=2, quantity=splits.shares(1))
    for symbol in of("PART"):
        made[symbol] = await splits.request(symbol)
    await desk.all_at(some(made, "PART"), Stage.PLACED)
    for symbol in of("WAIT", "WORK", "FILL", "SENT", "DONE"):
        tokens = _REDEEMED if symbol.startswith("WAIT") else TOKENS
        made[symbol] = await splits.request(symbol, tokens)
    await desk.all_at(some(made, "WORK", "FILL", "SENT", "DONE"), Stage.PLACED)
    await desk.all_at(some(made, "WAIT"), Stage.HELD)
    await splits.halt(SYMBOLS)
    await desk.control.clear("hold_fills")
    await splits.halt(of("PART", "DONE"), on=False)
    await desk.all_end(some(made, "DONE"), OrderStatus.EXECUTED)
    for one in some(made, "PART"):
        await eventually(partial(filled, desk, one, splits.shares(1)))
    return made


async def filled(desk: Desk, made: Requested, shares: int) -> bool:
    return sum(order.filled for order in await desk.orders_of(made)) == shares


async def on_its_way(desk: Desk, made: Requested) -> bool:
    chain = desk.stack.chain
    item = await desk.store.items.of_request(chain.chain_id, chain.vault, made.request_id)
    return item is not None and item.state is ItemState.SENT


async def split_in_all_phases(
    splits: SplitDesk, made: Made, numerator: int, denominator: int
) -> None:
    """SENT: its settlement waits for a block; FILL: filled, and nobody told us before the split."""
    desk, before = splits.desk, splits.shares(TOKENS)
    at = await splits.schedule(numerator, denominator, seconds=100)
    await desk.rpc.call("evm_setAutomine", False)
    await splits.halt(of("SENT"), on=False)
    for one in some(made, "SENT"):
        await eventually(partial(on_its_way, desk, one))
    await desk.control.outage()
    await splits.halt(of("FILL"), on=False)
    for one in some(made, "FILL"):
        await eventually(partial(filled, desk, one, before))
    await splits.split_at_broker(numerator, denominator)
    await splits.pass_time(at)
    await desk.rpc.call("evm_setAutomine", True)
    await desk.control.outage(on=False)


@pytest.mark.parametrize("paused", [False, pytest.param(True, marks=pytest.mark.soak)])
async def test_split__in_every_phase_of_both_sides__costs_nobody_anything(
    split_desk: SplitDesk, paused: bool
) -> None:
    await split_costs_nobody_anything(split_desk, 4, paused=paused)
    await split_desk.desk.prove()


@pytest.mark.soak  # a stack each; the common split is played every time
@pytest.mark.parametrize("steps", [[(3, 2)], [(10, 1), (1, 10)]])
async def test_split__uneven_or_reverse__costs_nobody_anything(
    tmp_path: Path, steps: list[tuple[int, int]]
) -> None:
    async with split_stack(tmp_path) as splits:
        for numerator, denominator in steps:
            await split_costs_nobody_anything(splits, numerator, denominator)
            await proven_but_for_parts_of_a_share(splits)


async def proven_but_for_parts_of_a_share(splits: SplitDesk) -> None:
    """A broker pays parts of a share out in cash; everything else holds to the unit."""
    verdicts = judge(await gather_truth(splits.desk.stack))
    backing = NAMES[2]
    assert [name for name, verdict in verdicts.items() if not verdict.ok] in ([], [backing])
    positions = (await splits.desk.control.account()).positions
    for symbol, units in (await splits.held()).items():
        wanted = Fraction(units * splits.numerator, SHARE_SCALE * splits.denominator)
        assert -TINY < wanted - positions.get(symbol, 0) < 1, symbol


async def split_costs_nobody_anything(
    splits: SplitDesk, numerator: int, denominator: int = 1, *, paused: bool = False
) -> None:
    desk = splits.desk
    await splits.stock_up(_REDEEMED)
    held = await splits.held()
    made = await brought_to_their_phases(splits)
    if paused:
        await desk.play.pause("a split")
    await split_in_all_phases(splits, made, numerator, denominator)
    await splits.publish_prices()
    await splits.halt(SYMBOLS, on=False)
    if paused:
        await desk.play.resume()
    await desk.wake(some(made, "WAIT", "WORK"))
    # Longer than the slowest retry: one that asks while the link is coming back waits that long.
    await desk.all_end(list(made.values()), OrderStatus.EXECUTED, seconds=120)
    now = await splits.held()
    redeemed = {symbol: _REDEEMED if symbol.startswith("WAIT") else TOKENS for symbol in SYMBOLS}
    moved = {symbol: now[symbol] - held[symbol] for symbol in SYMBOLS}
    assert moved == {symbol: tokens_moved(symbol, redeemed[symbol]) for symbol in SYMBOLS}
    for symbol, one in made.items():
        await paid_fairly(splits, symbol, one, abs(moved[symbol]))
    await after_the_split(splits, made)


async def paid_fairly(splits: SplitDesk, symbol: str, made: Requested, units: int) -> None:
    """A token cost, or brought, what it was worth: 190 dollars and the fee."""
    (row,) = await splits.desk.rows([made])
    usdt = row.spent if side_of(symbol) is Side.BUY else row.received
    per_token = Decimal(usdt * SHARE_SCALE) / units / DOLLAR
    assert abs(per_token - PRICE) < PRICE * (_FEE + Decimal("0.002")), symbol
    assert row.filled_quantity == units


async def after_the_split(splits: SplitDesk, made: Made) -> None:
    """What was placed after it: in new shares, and the limit per token is one per share."""
    for symbol in of("WAIT", "WORK"):
        order = (await splits.desk.orders_of(made[symbol]))[-1]
        tokens = _REDEEMED if symbol == "WAITS" else TOKENS
        assert (order.quantity, order.filled) == (splits.shares(tokens),) * 2
        if side_of(symbol) is Side.BUY:
            limit = Decimal(LIMIT) / DOLLAR * splits.denominator / splits.numerator
            assert order.price == (limit / (1 + _FEE)).quantize(Decimal("0.01"), "ROUND_FLOOR")
