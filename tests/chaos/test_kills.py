"""kill -9 of each part, with 20 orders in flight: nothing is lost, nothing is doubled."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import httpx
import pytest
import pytest_asyncio

from bronco.devchain import DevChainPlan
from bronco.processes import ManagedProcess
from bronco.stack import Stack, stack
from clients.wallet import Requested
from models.order import TERMINAL_STATUSES, Order, OrderStatus, Reason
from models.records import ClaimState
from tests.chaos.outage import Outage
from tests.e2e.desk import ONE_SHARE, USERS, Desk, brief, opened, options
from tests.e2e.ledger import after_these, holdings
from tests.waiting import eventually

_DOWN_SECONDS = 1.0
_SELLS, _BUYS = 8, 12


def _database(running: Stack) -> ManagedProcess:
    assert running.database is not None
    return running.database


VICTIMS: Mapping[str, Callable[[Stack], ManagedProcess]] = {
    "worker": lambda running: running.processes["worker"],
    "watcher": lambda running: running.processes["watcher"],
    "api": lambda running: running.processes["api"],
    "signer": lambda running: running.processes["signer"],
    "redis": lambda running: running.redis.process,
    "mariadb": _database,
    "opend": lambda running: running.opend,
    "temporal": lambda running: running.temporal.process,
}
# Who dies with an order in hand between claim and broker leaves it unknown for ever: once it is
# proven that the broker never got it, that one request is given back. Nobody else has an excuse.
HOLD_ORDERS = frozenset({"worker", "opend"})


@pytest_asyncio.fixture(scope="module")
async def kept_desk(
    outage: Outage, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Desk]:
    """All parts, each of which may be killed; the outage goes on beside it."""
    # persist: the dev server forgets every workflow when killed unless it keeps a file.
    # --fill: some time between order and fill, so that fills happen while something is down.
    # Two stocks: own orders of one stock that would cross wait for each other, for seconds.
    plan = DevChainPlan(users=USERS, stocks={"AAPL": 190 * 10**8, "MSFT": 420 * 10**8})
    home = tmp_path_factory.mktemp("kills")
    chosen = options(home, plan=plan, opend=("--fill", "0.5"), persist=True)
    async with stack(chosen) as running, opened(running) as desk:
        await desk.holding(14, "MSFT")
        yield desk


@pytest.mark.parametrize("victim", VICTIMS)
async def test_kill__20_orders_in_flight__each_ends_once(kept_desk: Desk, victim: str) -> None:
    desk, process = kept_desk, VICTIMS[victim](kept_desk.stack)
    before = await holdings(desk)
    # No order ends before the kill, however fast the machine is.
    await desk.control.fault("hold_fills", on=True)
    made = [*await desk.redeems(_SELLS, symbol="MSFT"), *await desk.deposits(_BUYS, ONE_SHARE)]
    await _in_flight(desk, made)
    killed = process.pid
    await process.kill()
    if victim != "opend":  # its faults die with it: what it holds fills once it is back
        await desk.control.fault("release_fills")
    await asyncio.sleep(_DOWN_SECONDS)  # how long it is down is what is tested
    await process.start()
    assert process.pid != killed
    rows = await desk.all_at_their_end(made, seconds=120)
    await _each_once(desk, made, rows, excused=victim in HOLD_ORDERS)
    assert await holdings(desk) == await after_these(desk, before, made)
    await _read_over_http(desk, rows)
    await desk.prove()


async def _in_flight(desk: Desk, made: Sequence[Requested]) -> None:
    """Every request has a row and none has ended; some have an order that works at the broker."""

    async def all_known_some_sent() -> bool:
        return len(await desk.rows(made)) == len(made) and bool(await desk.orders_of(*made))

    await eventually(all_known_some_sent, timeout=60, interval=0.005)
    rows = await desk.rows(made)
    assert len(rows) == _SELLS + _BUYS
    assert [brief(row) for row in rows if row.status in TERMINAL_STATUSES] == []
    orders = await desk.orders_of(*made)
    assert orders
    assert {order.filled for order in orders} == {0}


async def _each_once(
    desk: Desk, made: Sequence[Requested], rows: Sequence[Order], *, excused: bool
) -> None:
    """Executed with one order; or given back because it was proven that none was placed."""
    pairs = list(zip(made, rows, strict=True))
    done = [one for one, row in pairs if row.status is OrderStatus.EXECUTED]
    back = [(one, row) for one, row in pairs if row.status is not OrderStatus.EXECUTED]
    if not excused:
        assert [brief(row) for _, row in back] == []
    for one, row in back:
        assert row.reason is Reason.PROVEN_ABSENT, brief(row)
        assert await _last_claim(desk, one) is ClaimState.ABSENT
    assert await desk.orders_of(*(one for one, _ in back)) == []
    await desk.one_order_each(done)
    for one in done:
        (order,) = await desk.orders_of(one)
        assert order.filled == order.quantity
        placed = await desk.store.placements.by_remark(order.remark)
        assert placed is not None
        assert (placed.state, placed.broker_order_id) == (ClaimState.PLACED, order.id)


async def _last_claim(desk: Desk, made: Requested) -> ClaimState:
    """State of the newest attempt that somebody might have sent; a burnt one was nobody's."""
    claims = await desk.store.placements.of_request(made.request_id)
    return [claim.state for claim in claims if claim.state is not ClaimState.VOID][-1]


async def _read_over_http(desk: Desk, rows: Sequence[Order]) -> None:
    headers = {"X-API-Key": desk.stack.api_key}
    async with httpx.AsyncClient(base_url=desk.stack.api_url, headers=headers) as http:
        for row in rows:
            answer = await http.get(f"/orders/{row.request_id}")
            assert answer.status_code == 200, answer.text
            assert answer.json()["status"] == row.status
            assert row.status in TERMINAL_STATUSES
