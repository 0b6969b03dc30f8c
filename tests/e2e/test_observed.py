"""A desk as its operators see it: alerts in a real Prometheus, traces at a collector, logs.

Alerts: the rules are ours with every `for` of a second. What a rule takes ages from is made older
in the database, where waiting would take minutes. Those that take longer: test_alert_faults.py.
"""

import json
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import pytest_asyncio
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from activities.spans import ids_of
from bronco.devchain import ADMIN
from bronco.stack import Stack
from clients.flags import Flags
from clients.keys import UnsignedTx
from clients.wallet import Requested
from models.errors import SigningRefused
from models.order import Order, OrderStatus, Stage
from tests.e2e.collector import Collector
from tests.e2e.desk import DOLLAR, PRICE, SYMBOL, Desk
from tests.e2e.splits import FEED
from tests.e2e.watching import OLD, TOKEN, Watched, age
from tests.waiting import eventually
from workers.build import WORKFLOWS
from workers.clients import settler
from workers.runner import sandbox
from workers.tracing import OrderTracing

pytestmark = pytest.mark.soak  # a stack, a Prometheus and a collector of its own

_ANSWER = int(PRICE) * 10**8
"""The feed's, dollars at 8 decimals."""
TOO_LITTLE = 150 * DOLLAR
WHOLE = {"chain event", "place", "quote", "follow", "settle", "order"}


class Traced(NamedTuple):
    """A deposit that ended, and the spans of all."""

    desk: Desk
    collected: Collector
    made: Requested
    row: Order


@pytest_asyncio.fixture(scope="module")
async def traced(shared_watched: Watched) -> Traced:
    desk, _, collected = shared_watched
    made = await desk.deposit()
    row = await desk.end(made, OrderStatus.EXECUTED)
    root = ids_of(row.workflow_id)
    linked = (f"{root.trace:032x}", f"{root.span:016x}")

    def whole() -> bool:
        names = {one.name for one in collected.of(linked[0])}
        return names >= WHOLE and any(linked in one.links for one in collected.spans)

    await eventually(whole, timeout=30)
    return Traced(desk, collected, made, row)


async def test_nothing__is_wrong__nothing_fires(watched: Watched, traced: Traced) -> None:
    assert traced.row.status is OrderStatus.EXECUTED
    assert await watched.look.names() - {OLD} == set()
    told = {one["metric"]["__name__"] for one in await watched.look.query('{__name__!=""}')}
    assert {"temporal_workflow_completed_total", "bronco_signatures_total"} <= told
    assert "temporal_activity_schedule_to_start_latency_seconds_bucket" in told
    assert not [name for name in told if name.startswith("bronco_") and "test" in name]


async def test_pause_and_halt__fire_until_lifted(watched: Watched) -> None:
    desk, look, _ = watched
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
    desk, look, _ = watched
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
    desk, look, _ = watched
    await desk.control.call("set_clock", to="2026-06-01T12:00Z")
    await desk.control.set_market("open")
    feed, admin = desk.stack.chain.feeds[SYMBOL], desk.staff(ADMIN)
    await admin.send(FEED, feed, "setRound", _ANSWER, int(time.time()) - 2 * 86_400)
    await look.fires("ClockSkew", "FeedOld")
    await desk.control.call("set_clock", to=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    await admin.send(FEED, feed, "setAnswer", _ANSWER)
    await look.is_quiet("ClockSkew", "FeedOld")


async def test_broker__out__is_down_and_trips_the_breaker(watched: Watched) -> None:
    desk, look, _ = watched
    names = ("BrokerDown", "SourceDown", "BreakerTripped")
    await desk.control.outage()
    await look.fires(*names)
    await desk.control.outage(on=False)
    await look.is_quiet(*names)


async def test_signer__asked_for_something_else__refuses_and_says_so(watched: Watched) -> None:
    desk, look, _ = watched
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


async def test_order__from_chain_event_to_settlement__is_one_trace(traced: Traced) -> None:
    root = ids_of(traced.row.workflow_id)
    spans = traced.collected.of(f"{root.trace:032x}")
    by_name = {one.name: one for one in spans}
    own = by_name["order"]
    assert own.span == f"{root.span:016x}"
    assert own.parent == ""
    assert own.attributes["order_id"] == traced.made.request_id
    known = {one.span for one in spans}
    assert {one.parent for one in spans} - {""} <= known, "every span has its parent"
    assert by_name["chain event"].parent == own.span
    assert by_name["chain event"].attributes["order_id"] == traced.made.request_id
    assert by_name["RunWorkflow:DepositWorkflow"].parent in known
    assert by_name["place"].parent == by_name["RunActivity:place_order"].span
    steps = [by_name[name] for name in ("place", "quote", "follow", "settle")]
    assert all(own.begun <= one.begun <= one.ended for one in steps)
    assert [one.name for one in spans].index("place") < [one.name for one in spans].index("settle")


async def test_batch__that_settles_an_order__links_to_its_trace(traced: Traced) -> None:
    root = ids_of(traced.row.workflow_id)
    wanted = (f"{root.trace:032x}", f"{root.span:016x}")
    (batch,) = [one for one in traced.collected.spans if wanted in one.links]
    assert batch.name == "batch"
    assert batch.attributes["tx_hash"] == traced.row.settle_tx_hash
    (settle,) = [one for one in traced.collected.of(wanted[0]) if one.name == "settle"]
    assert settle.links == {(batch.trace, batch.span)}


async def test_traces__of_what_runs_for_ever__are_none(traced: Traced) -> None:
    spans = traced.collected.spans
    orders = {one.trace for one in spans if one.name == "chain event"}
    assert {one.name for one in spans if one.trace not in orders} == {"batch"}
    assert set(traced.collected.headers) == {f"Bearer {TOKEN}"}
    assert not [one for one in traced.collected.spans if TOKEN in one.text]


@pytest.mark.parametrize("traces", [True, False], ids=["traced", "untraced"])
async def test_history__of_a_traced_order__replays_with_and_without(
    traced: Traced, traces: bool
) -> None:
    history = await traced.desk.workflow(traced.made).fetch_history()
    assert b"_tracer-data" in history.events[0].SerializeToString()
    replayer = Replayer(
        workflows=list(WORKFLOWS),
        workflow_runner=sandbox(),
        data_converter=pydantic_data_converter,
        interceptors=[OrderTracing()] if traces else [],
    )
    await replayer.replay_workflow(WorkflowHistory(traced.row.workflow_id, history.events))


def lines(running: Stack) -> Iterator[dict[str, object]]:
    """Every line that our workers and the API wrote."""
    for name in ("worker", "watcher", "api"):
        text = (running.options.directory / f"{name}.log").read_text()
        for line in text.splitlines():
            yield json.loads(line)


async def test_logs__of_an_orders_work__are_json_with_its_id(traced: Traced) -> None:
    said = list(lines(traced.desk.stack))
    about = [line for line in said if traced.made.request_id in json.dumps(line)]
    assert {line.get("order_id") for line in about} == {traced.made.request_id}
    assert all("order_id" in line for line in said if line["event"] == "order_step")
    steps = {line["activity"] for line in about if line["event"] == "order_step"}
    assert {"admit", "place_order", "enqueue_settlement", "close_order"} <= steps
    assert all({"event", "level", "logger", "at"} <= set(line) for line in about)
    assert TOKEN not in json.dumps(said)
