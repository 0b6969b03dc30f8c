"""`bronco opend ctl` against a running simulator."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bronco.processes import free_port
from simulators.opend import ctl
from simulators.opend.control_port import VERBS
from simulators.opend.options import OpenDOptions
from simulators.opend.scenario import locate
from simulators.opend.server import OpenDServer
from tests.integration.opend.raw import raw_client

# One working line a command; a new command needs one here.
LINES = {
    "account": "account 1002",
    "book": "book AAPL",
    "clear": "clear reject",
    "connections": "connections",
    "counts": "counts",
    "day_roll": "day-roll",
    "fault": "fault reject n=3 message=no",
    "faults": "faults",
    "fills": "fills",
    "orders": "orders 1002",
    "placements": "placements",
    "quote": "quote AAPL",
    "scenario": "scenario",
    "set_cash": "set-cash 500.25 --account 1002",
    "set_clock": "set-clock 2026-11-27T12:59",
    "set_halt": "set-halt AAPL off",
    "set_latency": "set-latency --ack 0.5",
    "set_limits": "set-limits off",
    "set_market": "set-market auto",
    "set_position": "set-position AAPL 7",
    "set_price": "set-price AAPL 191.5 --pin",
    "step": "step 2",
    "split": "split AAPL 4 --denominator 2",
}


@pytest.fixture(scope="module")
async def simulator() -> AsyncIterator[OpenDServer]:
    still: dict[str, Any] = {"price_interval_seconds": 0, "scenario": locate("halt-in-mid-order")}
    options = OpenDOptions(port=free_port(), control_port=0, **still)
    server = OpenDServer(options)
    await server.start()
    yield server
    await server.close()


async def ask(simulator: OpenDServer, line: str) -> int:
    """The exit code, as of a terminal of its own."""
    words = ["--json", "--control-port", str(simulator.control_port), *line.split()]
    return await asyncio.to_thread(ctl.main, words)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda: json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("verb", sorted(VERBS))
async def test_command__as_typed__is_done(simulator: OpenDServer, verb: str, told: Any) -> None:
    assert await ask(simulator, LINES[verb]) == ctl.DONE
    assert isinstance(told(), dict)


async def test_fault__parameters__arrive_as_what_they_are(
    simulator: OpenDServer, told: Any
) -> None:
    for line in ("clear", "fault reject n=2 message=5", "fault no_push", "fault hold_fills"):
        assert await ask(simulator, line) == ctl.DONE
    assert await ask(simulator, "fault hold_fills off") == ctl.DONE
    faults = simulator.gateway.faults
    struck = [faults.strike_request("PlaceOrder") for _ in range(3)]
    assert [fault.message if fault else None for fault in struck] == ["5", "5", None]
    assert (faults.is_on("no_push"), faults.is_on("hold_fills")) == (True, False)
    assert await ask(simulator, "clear") == ctl.DONE
    assert not faults.is_on("no_push")


async def test_fault__order_by_its_number__is_found(simulator: OpenDServer, told: Any) -> None:
    async with raw_client(simulator.port) as client:
        placed = await client.ask("PlaceOrder", client.order(1, remark="17"))
    for named in (f"order_id={placed.s2c.orderIDEx}", "remark=17"):
        assert await ask(simulator, f"fault over_fill {named} quantity=2") == ctl.DONE
    (order,) = (o for o in simulator.gateway.venue.book.orders.values() if o.remark == "17")
    assert order.filled == 14


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("quote NOPE", "quote: Unknown stock NOPE: this simulator lists AAPL"),
        ("fault nope", "no fault is named 'nope'; these are: answer_"),
        ("clear nope", "no fault is named 'nope'"),
        ("fault delay", "needs seconds above 0"),
        ("set-clock noon", "Invalid isoformat string: 'noon'"),
        ("set-market ajar", "state 'ajar' is none of"),
    ],
)
async def test_command__refused__code_1_and_a_sentence(
    simulator: OpenDServer, line: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await ask(simulator, line) == ctl.FAILED
    complaint = capsys.readouterr().err
    assert complaint.startswith("opend ctl: ")
    assert sentence in complaint


async def test_command__nobody_there__says_how_to_start_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = free_port()
    assert await asyncio.to_thread(ctl.main, ["--control-port", str(port), "orders"]) == ctl.FAILED
    assert f"nothing listens at 127.0.0.1:{port}: start" in capsys.readouterr().err


async def exchange(port: int, line: bytes) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(line + b"\n")
    answer = json.loads(await reader.readline())
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"{}", 'a command is a JSON object with a "verb"'),
        (b"[1]", 'a command is a JSON object with a "verb"'),
        (b'{"verb": "fly"}', "unknown verb 'fly'; these exist: account, "),
        (b'{"verb": "quote"}', "quote: missing a required argument: 'code'; it takes code: str"),
        (b"no json", "JSONDecodeError"),
    ],
)
async def test_port__line_that_is_no_command__refused_in_words(
    simulator: OpenDServer, line: bytes, sentence: str
) -> None:
    answer = await exchange(simulator.control_port, line)
    assert answer["ok"] is False
    assert sentence in answer["error"]
