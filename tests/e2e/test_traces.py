"""One order, seen from outside: one whole trace, and its id in every line of its logs."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import pytest
import pytest_asyncio
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from activities.spans import ids_of
from bronco.stack import Stack, stack
from clients.wallet import Requested
from models.order import Order, OrderStatus
from tests.e2e.collector import Collector, collector
from tests.e2e.desk import Desk, opened, options
from tests.waiting import eventually
from workers.build import WORKFLOWS
from workers.runner import sandbox
from workers.tracing import OrderTracing

TOKEN = "planted-collector-token"
WHOLE = {"chain event", "place", "quote", "follow", "settle", "order"}


class Traced(NamedTuple):
    """A desk whose spans are collected, and a deposit that ended there."""

    desk: Desk
    collected: Collector
    made: Requested
    row: Order


@pytest_asyncio.fixture(scope="module")
async def traced(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Traced]:
    async with collector() as collected:
        chosen = options(
            tmp_path_factory.mktemp("traced"),
            traces_url=collected.url,
            traces_headers=f"authorization=Bearer {TOKEN}",
        )
        async with stack(chosen) as running, opened(running) as desk:
            made = await desk.deposit()
            row = await desk.end(made, OrderStatus.EXECUTED)
            trace = f"{ids_of(row.workflow_id).trace:032x}"

            def whole() -> bool:
                names = {one.name for one in collected.of(trace)}
                return names >= WHOLE and any(one.name == "batch" for one in collected.spans)

            await eventually(whole, timeout=30)
            yield Traced(desk, collected, made, row)
            await desk.prove()


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
    (batch,) = [one for one in traced.collected.spans if one.name == "batch"]
    assert batch.links == {wanted}
    assert batch.attributes["tx_hash"] == traced.row.settle_tx_hash
    (settle,) = [one for one in traced.collected.of(wanted[0]) if one.name == "settle"]
    assert settle.links == {(batch.trace, batch.span)}


async def test_traces__of_what_runs_for_ever__are_none(traced: Traced) -> None:
    root = f"{ids_of(traced.row.workflow_id).trace:032x}"
    others = {one.name for one in traced.collected.spans if one.trace != root}
    assert others == {"batch"}
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
    about = [
        line
        for line in lines(traced.desk.stack)
        if traced.made.request_id in json.dumps(line) or line.get("event") == "order_step"
    ]
    assert {line["order_id"] for line in about} == {traced.made.request_id}
    steps = {line["activity"] for line in about if line["event"] == "order_step"}
    assert {"admit", "place_order", "enqueue_settlement", "close_order"} <= steps
    assert all({"event", "level", "logger", "at"} <= set(line) for line in about)
    assert TOKEN not in json.dumps(list(lines(traced.desk.stack)))
