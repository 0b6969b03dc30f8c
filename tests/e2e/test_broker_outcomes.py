"""Everything that may become of a placement: the orders at the broker are those intended, exactly.

The real client over TCP, a real chain; each row says what happens and every order that may be at
the broker for it in the end. Money is compared on chain and at the broker, to the unit.
tests/e2e/test_order_life.py has the rows of orders that the broker is known to hold.
"""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
import pytest_asyncio

from bronco.stack import stack
from models.order import Reason, Stage
from models.requests import Side
from tests.e2e.desk import QUICK, Desk, opened, options
from tests.e2e.outcomes import (
    ABSENT,
    BOTH,
    CANCELLED,
    FILLED,
    NONE,
    Act,
    Case,
    Outcome,
    armed,
    check,
    check_together,
    fault,
    names,
    release,
    rows,
    working,
)
from tests.waiting import eventually

TOO_OFTEN = "下单频率太高"
REFUSED = "Insufficient buying power."
# Sent within 2 s or never, absence counts 1 s later, an answer is lost after 1 s.
QUICKER = QUICK | {
    "BRONCO_ORDERS_SEND_WINDOW_SECONDS": "2",
    "BRONCO_ORDERS_UNKNOWN_FENCE_SECONDS": "1",
    "BRONCO_BROKER_CALL_TIMEOUT_SECONDS": "1",
    "BRONCO_BROKER_CONNECT_TIMEOUT_SECONDS": "2",
}
QUOTE_KEPT_SECONDS = 1.0


@pytest_asyncio.fixture(scope="module")
async def quick_desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    chosen = options(tmp_path_factory.mktemp("outcomes"))
    async with stack(replace(chosen, settings=QUICKER)) as running, opened(running) as desk:
        yield desk


@pytest_asyncio.fixture
async def desk(quick_desk: Desk) -> AsyncIterator[Desk]:
    """Users who hold shares, a broker without faults; the invariants hold in the end."""
    await quick_desk.holding()
    yield quick_desk
    await quick_desk.calm()
    await quick_desk.prove()


# --- the placement and its answer: was it executed, and what is told ------------------------------

TOLD = (
    Outcome("refused once", armed("reject", message=REFUSED), FILLED, tries=1),
    Outcome(
        "refused each time",
        armed("reject", message=REFUSED, n=3),
        NONE,
        Reason.BROKER_REJECTED,
        tries=3,
        sides=BOTH,
    ),
    Outcome("too often", armed("reject", message="High frequency: 15 in 30 s"), FILLED),
    Outcome("too often, in Chinese", armed("reject", message=TOO_OFTEN), FILLED),
    Outcome("trading is locked", armed("reject", message="Unlock trade first."), FILLED),
    Outcome("list silent after it", armed("silence", n=3, protocol="GetOrderList"), FILLED),
)
NEVER_EXECUTED = (
    Outcome("busy, not executed", armed("reject", message="Server busy"), NONE, ABSENT),
    Outcome("refused in unknown words", armed("reject", message="It is Friday"), NONE, ABSENT),
    Outcome(
        "sent under another connection's number",
        armed("reject", message="packetID carries the connID of another connection."),
        NONE,
        ABSENT,
    ),
    Outcome(
        "retType invalid, not executed",
        armed("reject", message="invalid", ret_type=-500),
        NONE,
        ABSENT,
        sides=(Side.SELL,),
    ),
    Outcome("lost on the way with the link", armed("lost_before"), NONE, ABSENT),
    Outcome("swallowed", armed("silence"), NONE, ABSENT, sides=BOTH),
)
EXECUTED_UNTOLD = (
    Outcome("busy, executed", armed("busy_after_execution"), FILLED),
    Outcome(
        "busy, executed, English", armed("busy_after_execution", message="Server busy"), FILLED
    ),
    Outcome("refused without a word, executed", armed("busy_after_execution", message=" "), FILLED),
    Outcome(
        "refused in unknown words, executed",
        armed("busy_after_execution", message="It is Friday"),
        FILLED,
        sides=(Side.SELL,),
    ),
    Outcome("retType time-out, executed", armed("busy_after_execution", ret_type=-100), FILLED),
    Outcome("retType disconnect, executed", armed("busy_after_execution", ret_type=-200), FILLED),
    Outcome("retType unknown, executed", armed("busy_after_execution", ret_type=-400), FILLED),
    Outcome("answer lost", armed("answer_lost"), FILLED, sides=BOTH),
    Outcome("answer lost with the link", armed("answer_lost_disconnect"), FILLED),
    Outcome("answer slow, pushes first", armed("delay", seconds=0.5), FILLED),
    Outcome("answer too late", armed("delay", seconds=2), FILLED),
    Outcome("executed after it was given up", armed("late_execution", seconds=2), FILLED),
    Outcome("answer unreadable", armed("answer_garbled"), FILLED),
    Outcome("answer names no order", armed("answer_without_id"), FILLED),
    Outcome("answered twice", armed("answer_twice"), FILLED),
    Outcome("answered, then the link dies", armed("answer_then_cut"), FILLED),
)


# --- the link, and finding out --------------------------------------------------------------------


async def outage_before(case: Case) -> None:
    await case.desk.control.outage()
    await case.begin()
    await case.at(Stage.HELD)
    assert await case.desk.orders_of(case.request) == []
    await case.desk.control.outage(on=False)


async def fills_in_an_outage(case: Case) -> None:
    await case.working()
    await case.desk.control.outage()
    await case.release()
    await case.order("FILLED_ALL")
    await case.desk.control.outage(on=False)


def log_in_goes_wrong(name: str) -> Act:
    async def act(case: Case) -> None:
        await case.fault(name, n=3, protocol="InitConnect", message="not now")
        await case.fault("dropped")
        await case.begin()

    return act


def switched(name: str, *stages: Stage) -> Act:
    """On before the request, off once it is seen to wait."""

    async def act(case: Case) -> None:
        await case.fault(name, on=True)
        forgotten = time.monotonic() + QUOTE_KEPT_SECONDS
        await eventually(lambda: time.monotonic() > forgotten)
        await case.begin()
        await case.at(*stages)
        await case.fault(name, on=False)

    return act


async def list_empty_after_reconnect(case: Case) -> None:
    await case.fault("hold_fills", on=True)
    await case.fault("no_push", on=True)
    await case.fault("answer_lost")
    await case.begin()
    await case.order()
    await case.fault("list_empty_after_reconnect", n=100)
    await case.fault("dropped")
    await case.hit("list_empty_after_reconnect", times=2)
    await case.at(Stage.PLACED)
    await case.desk.control.clear()
    await case.release()


async def nobody_can_be_asked(case: Case) -> None:
    """The answer is lost, and then neither list nor history answer for a while."""
    await case.fault("no_push", on=True)
    await case.fault("answer_lost")
    await case.fault("silence", n=2, protocol="GetOrderList")
    await case.fault("reject", n=2, protocol="GetHistoryOrderList", message="Server busy")
    await case.begin()


async def day_ends_unseen(case: Case) -> None:
    """The order list of the next day does not hold the order whose answer was lost."""
    await case.fault("hold_fills", on=True)
    await case.fault("no_push", on=True)
    await case.fault("answer_lost")
    await case.begin()
    await case.order()
    await case.fault("dropped")
    assert await case.desk.control.day_roll() == 1
    await case.desk.control.clear()
    await case.release()


LINKS = (
    Outcome("OpenD is gone, then back", outage_before, FILLED),
    Outcome("fills while OpenD is gone", fills_in_an_outage, FILLED),
    Outcome("log-in silent on reconnect", log_in_goes_wrong("silence"), FILLED),
    Outcome("log-in refused on reconnect", log_in_goes_wrong("reject"), FILLED),
    Outcome("OpenD frozen", switched("frozen", Stage.HELD, Stage.UNKNOWN), FILLED),
    Outcome("OpenD logged out", switched("logged_out", Stage.HELD), FILLED),
    Outcome("links die, list empty then", list_empty_after_reconnect, FILLED),
    Outcome("nobody can be asked", nobody_can_be_asked, FILLED),
    Outcome("day ends before it is found", day_ends_unseen, (*CANCELLED, *FILLED)),
    Outcome("pushes lost", armed("no_push", on=True), FILLED),
    Outcome("list stale", working(fault("stale_list", on=True), release), FILLED),
)

ROWS = rows(*TOLD, *LINKS)


@pytest.mark.parametrize("table", [NEVER_EXECUTED, EXECUTED_UNTOLD], ids=["never", "untold"])
async def test_placements__executed_or_not_without_a_word__orders_are_those_intended(
    desk: Desk, table: Sequence[Outcome]
) -> None:
    """All at once, since each waits for the same long time."""
    await check_together(desk, rows(*table))


@pytest.mark.parametrize(("row", "side"), ROWS, ids=names(ROWS))
async def test_placement__whatever_becomes_of_it__orders_are_those_intended(
    desk: Desk, row: Outcome, side: Side
) -> None:
    await check(desk, row, side)
