"""Alerts fire in a real Prometheus while their fault is there, and end with it.

The rules are ours with every `for` of a second. What a rule takes ages from is made older in the
database, where waiting would take minutes. Those that take longer: test_alert_faults.py.
"""

import time

import pytest

from bronco.devchain import ADMIN
from clients.flags import Flags
from clients.keys import UnsignedTx
from models.errors import SigningRefused
from models.order import OrderStatus, Stage
from tests.e2e.desk import DOLLAR, PRICE, SYMBOL
from tests.e2e.splits import FEED
from tests.e2e.watching import OLD, Watched, age
from workers.clients import settler

_ANSWER = int(PRICE) * 10**8
"""The feed's, dollars at 8 decimals."""
TOO_LITTLE = 150 * DOLLAR


async def test_nothing__is_wrong__nothing_fires(watched: Watched) -> None:
    await watched.desk.end(await watched.desk.deposit(), OrderStatus.EXECUTED)
    assert await watched.look.names() - {OLD} == set()
    told = {one["metric"]["__name__"] for one in await watched.look.query('{__name__!=""}')}
    assert {"temporal_workflow_completed_total", "bronco_signatures_total"} <= told
    assert "temporal_activity_schedule_to_start_latency_seconds_bucket" in told
    assert not [name for name in told if name.startswith("bronco_") and "test" in name]


async def test_pause_and_halt__fire_until_lifted(watched: Watched) -> None:
    desk, look = watched
    flags = Flags(desk.stack.settings.redis.url.get_secret_value())
    await desk.play.pause("a test of alerts")
    await flags.halt("a test of alerts")
    names = ("HoldActive", "TradingPaused", "Halted")
    await look.fires(*names)
    await flags.unhalt()
    await flags.close()
    await desk.play.resume()
    await look.is_quiet(*names)


async def test_settler__without_ether__nothing_is_settled_and_it_says_so(watched: Watched) -> None:
    desk, look = watched
    address = desk.stack.chain.settler
    had = await desk.sender.balance(address)
    await desk.rpc.call("anvil_setBalance", address, hex(10**12))
    made = await desk.deposit(TOO_LITTLE)
    await desk.at(made, Stage.SETTLING)
    await age(desk, "settlement_items", where="state = 'PENDING'")
    await look.fires("SettlerGasLow", "SettlementAlarm", "SettlementStuck")
    await desk.rpc.call("anvil_setBalance", address, hex(had))
    await desk.end(made, OrderStatus.FAILED, seconds=90)
    await look.is_quiet("SettlerGasLow", "SettlementStuck")


async def test_clock__of_the_broker_or_a_feed__is_seen_to_be_wrong(watched: Watched) -> None:
    desk, look = watched
    await desk.control.call("set_clock", to="2026-06-01T12:00Z")
    await desk.control.set_market("open")
    feed, admin = desk.stack.chain.feeds[SYMBOL], desk.staff(ADMIN)
    await admin.send(FEED, feed, "setRound", _ANSWER, int(time.time()) - 2 * 86_400)
    await look.fires("ClockSkew", "FeedOld")
    await desk.control.call("set_clock", to=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    await admin.send(FEED, feed, "setAnswer", _ANSWER)
    await look.is_quiet("ClockSkew", "FeedOld")


async def test_broker__out__is_down_and_trips_the_breaker(watched: Watched) -> None:
    desk, look = watched
    names = ("BrokerDown", "SourceDown", "BreakerTripped")
    await desk.control.outage()
    await look.fires(*names)
    await desk.control.outage(on=False)
    await look.is_quiet(*names)


async def test_signer__asked_for_something_else__refuses_and_says_so(watched: Watched) -> None:
    desk, look = watched
    asked = settler(desk.stack.settings.signer)
    tx = UnsignedTx(
        chain_id=desk.stack.chain.chain_id,
        to=desk.stack.chain.usdt,
        nonce=0,
        gas=100_000,
        max_fee=10**9,
        max_priority_fee=1,
        data="0x",
    )
    with pytest.raises(SigningRefused):
        await asked.sign(tx)
    await asked.close()
    await look.fires("SignerRefuses")
