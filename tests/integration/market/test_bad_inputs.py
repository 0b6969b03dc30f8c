"""Bad answers of feeds and broker, made where they come from: none of them sends an order."""

import math
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from models.guard import Guard
from models.messages import PlaceOutcome
from tests.integration.market.rig import Rig

UNIT = 10**8
HEARTBEAT = 86_400
Spoil = Callable[[Rig], Awaitable[None]]
_REVERTS, _EMPTY, _SHORT = "0x60006000fd", "0x", "0x600160005260206000f3"
_GAS_OUT = "0x5b600056"
_ONE_EACH = "".join(f"600161{32 * word:04x}52" for word in range(16))
# Any call is answered with sixteen words of 1.
_ONES = f"0x{_ONE_EACH}6102006000f3"


def feed(answer: int, age: int = 0) -> Spoil:
    async def spoil(rig: Rig) -> None:
        await rig.feed(answer, age)

    return spoil


def usdt(answer: int, age: int = 0, decimals: int = 8) -> Spoil:
    async def spoil(rig: Rig) -> None:
        await rig.usdt(answer, age)
        await rig.usdt_decimals(decimals)

    return spoil


def code(of: str, text: str) -> Spoil:
    async def spoil(rig: Rig) -> None:
        chain = rig.desk.chain
        where = {"feed": rig.desk.feed, "reference": rig.desk.reference}
        await rig.code(where.get(of) or chain.feeds[of], text)

    return spoil


def swapped(of: str, other: str) -> Spoil:
    """One feed's address now answers with what another contract is."""

    async def spoil(rig: Rig) -> None:
        where = {"feed": rig.desk.feed, "reference": rig.desk.reference, "vault": rig.desk.address}
        text = await rig.desk.rpc.call("eth_getCode", where[other], "latest")
        await rig.code(where.get(of) or rig.desk.chain.feeds[of], text)

    return spoil


def quote(**fields: float | bool | int | None) -> Spoil:
    """The snapshot's fields as they go over the wire; None: left out."""

    async def spoil(rig: Rig) -> None:
        def change(message: Any) -> None:
            for name, value in fields.items():
                if value is None:
                    message.ClearField(name)
                else:
                    setattr(message, name, value)

        rig.snapshot(change)

    return spoil


def broker_price(price: str) -> Spoil:
    async def spoil(rig: Rig) -> None:
        await rig.office.desk.control.set_price("AAPL", Decimal(price), pin=True)

    return spoil


async def closed(rig: Rig) -> None:
    await rig.office.desk.control.set_market("closed")


async def halted(rig: Rig) -> None:
    await rig.office.desk.control.set_halt("AAPL", True)


async def split_near(rig: Rig) -> None:
    await rig.desk.split(4, 1, seconds=20)


ANY_FEED = "feed"
CASES: list[tuple[str, Spoil, str]] = [
    ("feed zero", feed(0), ANY_FEED),
    ("feed minus one", feed(-1), ANY_FEED),
    ("feed minus price", feed(-190 * UNIT), ANY_FEED),
    ("feed least int", feed(-(2**255)), ANY_FEED),
    ("feed greatest int", feed(2**255 - 1), ANY_FEED),
    ("feed greatest int128", feed(2**127 - 1), Guard.DEVIATION),
    ("feed one unit", feed(1), Guard.DEVIATION),
    ("feed x10", feed(1900 * UNIT), Guard.DEVIATION),
    ("feed x100", feed(19_000 * UNIT), Guard.DEVIATION),
    ("feed /10", feed(19 * UNIT), Guard.DEVIATION),
    ("feed x4, a split nobody told of", feed(760 * UNIT), Guard.DEVIATION),
    ("feed /4, a split nobody told of", feed(4750 * UNIT // 100), Guard.DEVIATION),
    ("feed 18 decimals' worth", feed(190 * 10**18), Guard.DEVIATION),
    ("feed 0 decimals' worth", feed(190), Guard.DEVIATION),
    ("feed 3.2 percent above", feed(19_610_000_000), Guard.DEVIATION),
    ("feed 3.2 percent below", feed(18_400_000_000), Guard.DEVIATION),
    ("feed another stock's", feed(400 * UNIT), Guard.DEVIATION),
    ("feed stale by a little", feed(190 * UNIT, HEARTBEAT + 5), Guard.FEED_STALE),
    ("feed stale by a week", feed(190 * UNIT, 7 * HEARTBEAT), Guard.FEED_STALE),
    ("feed round not complete", feed(190 * UNIT, 2**40), ANY_FEED),
    ("feed from the future", feed(190 * UNIT, -3600), Guard.FEED_FUTURE),
    ("feed from far future", feed(190 * UNIT, -(2**60)), Guard.FEED_FUTURE),
    ("feed without code", code("feed", _EMPTY), ANY_FEED),
    ("feed reverts", code("feed", _REVERTS), ANY_FEED),
    ("feed answers one word", code("feed", _SHORT), ANY_FEED),
    ("feed eats all gas", code("feed", _GAS_OUT), ANY_FEED),
    ("reference without code", code("reference", _EMPTY), "oracle"),
    ("reference reverts", code("reference", _REVERTS), "oracle"),
    ("reference answers one word", code("reference", _SHORT), "oracle"),
    ("reference says one to everything", code("reference", _ONES), Guard.FEED_STALE),
    ("reference is a plain feed", swapped("reference", "feed"), "oracle"),
    ("reference is the vault", swapped("reference", "vault"), "oracle"),
    ("usdt zero", usdt(0), Guard.FEED_ANSWER),
    ("usdt negative", usdt(-UNIT), Guard.FEED_ANSWER),
    ("usdt least int", usdt(-(2**255)), Guard.FEED_ANSWER),
    ("usdt stale by a little", usdt(UNIT, HEARTBEAT + 5), Guard.FEED_STALE),
    ("usdt round not complete", usdt(UNIT, 2**40), Guard.FEED_ROUND),
    ("usdt from the future", usdt(UNIT, -3600), Guard.FEED_FUTURE),
    ("usdt 31 decimals", usdt(UNIT, decimals=31), Guard.FEED_DECIMALS),
    ("usdt 255 decimals", usdt(UNIT, decimals=255), Guard.FEED_DECIMALS),
    ("usdt 18 decimals, answer of 8", usdt(UNIT, decimals=18), Guard.USDT_BAND),
    ("usdt 6 decimals, answer of 8", usdt(UNIT, decimals=6), Guard.USDT_BAND),
    ("usdt just below its band", usdt(99_490_000), Guard.USDT_BAND),
    ("usdt just above its band", usdt(100_510_000), Guard.USDT_BAND),
    ("usdt at half", usdt(UNIT // 2), Guard.USDT_BAND),
    ("usdt greatest int", usdt(2**255 - 1), Guard.USDT_BAND),
    ("usdt without code", code("USDT", _EMPTY), "oracle"),
    ("usdt reverts", code("USDT", _REVERTS), "oracle"),
    ("quote without bid", quote(bidPrice=None), Guard.QUOTE_MISSING),
    ("quote without ask", quote(askPrice=None), Guard.QUOTE_MISSING),
    ("quote without bid and ask", quote(bidPrice=None, askPrice=None), Guard.QUOTE_MISSING),
    ("quote bid zero", quote(bidPrice=0.0), Guard.QUOTE_MISSING),
    ("quote ask zero", quote(askPrice=0.0), Guard.QUOTE_MISSING),
    ("quote last zero", quote(curPrice=0.0), Guard.QUOTE_MISSING),
    ("quote tick zero", quote(priceSpread=0.0), Guard.QUOTE_MISSING),
    ("quote bid NaN", quote(bidPrice=math.nan), Guard.QUOTE_MISSING),
    ("quote ask NaN", quote(askPrice=math.nan), Guard.QUOTE_MISSING),
    ("quote ask infinite", quote(askPrice=math.inf), Guard.QUOTE_MISSING),
    ("quote bid negative", quote(bidPrice=-190.0), Guard.QUOTE_MISSING),
    ("quote crossed", quote(bidPrice=190.02, askPrice=190.0), Guard.QUOTE_CROSSED),
    ("quote far crossed", quote(bidPrice=250.0, askPrice=130.0), Guard.QUOTE_CROSSED),
    ("quote just too wide", quote(bidPrice=189.0, askPrice=190.9), Guard.QUOTE_SPREAD),
    ("quote stub", quote(bidPrice=0.01, askPrice=379.99), Guard.QUOTE_SPREAD),
    ("quote on another tick", quote(priceSpread=0.05), Guard.QUOTE_TICK),
    ("broker 4 percent above", broker_price("197.60"), Guard.DEVIATION),
    ("broker 4 percent below", broker_price("182.40"), Guard.DEVIATION),
    ("broker x10", broker_price("1900"), Guard.DEVIATION),
    ("broker split", broker_price("47.50"), Guard.DEVIATION),
    ("market closed", closed, Guard.SESSION),
    ("halted", halted, Guard.HALT),
    ("suspended", quote(isSuspend=True), Guard.HALT),
    ("delisted", quote(secStatus=8), Guard.HALT),
    ("split near", split_near, Guard.SPLIT),
]


@pytest.mark.parametrize(("spoil", "guard"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
async def test_input__bad__sends_nothing_and_names_the_guard(
    rig: Rig, spoil: Spoil, guard: str
) -> None:
    await spoil(rig)
    answer = await rig.place()
    assert answer.outcome in (
        PlaceOutcome.HELD,
        PlaceOutcome.SOURCE_DOWN,
        PlaceOutcome.WAITING_SESSION,
    ), answer
    assert answer.retry_seconds > 0
    assert not answer.attempt_used
    assert guard in answer.detail
    if isinstance(guard, Guard):
        assert answer.guard == guard
    assert await rig.sent() == 0


async def test_input__good__is_placed_once(rig: Rig) -> None:
    """Nothing but the spoilt input held the others."""
    assert len(CASES) >= 50
    answer = await rig.place()
    assert answer.outcome is PlaceOutcome.PLACED, answer
    assert await rig.sent() == 1
