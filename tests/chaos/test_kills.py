"""kill -9 of each part, with 20 orders in flight: nothing is lost, nothing is doubled."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import httpx
import pytest
import pytest_asyncio

from bronco.devchain import DevChainPlan
from bronco.processes import ManagedProcess
from bronco.stack import Stack, stack
from clients.wallet import Requested
from models.order import TERMINAL_STATUSES, Order, OrderStatus, Reason
from tests.e2e.desk import ONE_SHARE, USERS, Desk, opened, options
from tests.waiting import eventually

_DOWN_SECONDS = 1.0


def _database(running: Stack) -> ManagedProcess:
    assert running.database is not None
    return running.database


VICTIMS: Mapping[str, Callable[[Stack], ManagedProcess]] = {
    "worker": lambda running: running.processes["worker"],
    "watcher": lambda running: running.processes["watcher"],
    "api": lambda running: running.processes["api"],
    "redis": lambda running: running.redis.process,
    "mariadb": _database,
    "opend": lambda running: running.opend,
    "temporal": lambda running: running.temporal.process,
}


@pytest_asyncio.fixture(scope="module")
async def kept_desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    # persist: the dev server forgets every workflow when killed unless it keeps a file.
    # --fill: some time between order and fill, so that fills happen while something is down.
    # Two stocks: own orders of one stock that would cross wait for each other, for seconds.
    plan = DevChainPlan(users=USERS, stocks={"AAPL": 190 * 10**8, "MSFT": 420 * 10**8})
    home = tmp_path_factory.mktemp("kills")
    chosen = options(home, plan=plan, opend=("--fill", "0.7"), persist=True)
    async with stack(chosen) as running, opened(running) as desk:
        await desk.holding(14, "MSFT")
        yield desk


@pytest.mark.parametrize("victim", VICTIMS)
async def test_kill__20_orders_in_flight__each_ends_once(kept_desk: Desk, victim: str) -> None:
    desk, process = kept_desk, VICTIMS[victim](kept_desk.stack)
    sent = len(await desk.control.orders())
    made = [*await desk.redeems(8, symbol="MSFT"), *await desk.deposits(12, ONE_SHARE)]

    async def some_are_sent() -> bool:
        return len(await desk.control.orders()) > sent

    await eventually(some_are_sent, interval=0.005)
    killed = process.pid
    await process.kill()
    await asyncio.sleep(_DOWN_SECONDS)  # how long it is down is what is tested
    await process.start()
    assert process.pid != killed
    rows = await desk.all_at_their_end(made, seconds=60)
    await _each_once(desk, made, rows)
    await _read_over_http(desk, rows)
    await desk.prove()


async def _each_once(desk: Desk, made: list[Requested], rows: list[Order]) -> None:
    """Executed with one order; or given back because it was proven that none was placed."""
    done = [one for one, row in zip(made, rows, strict=True) if row.status is OrderStatus.EXECUTED]
    back = [one for one in made if one not in done]
    reasons = {row.reason for row in rows if row.status is not OrderStatus.EXECUTED}
    assert reasons <= {Reason.PROVEN_ABSENT}
    assert len(done) >= len(made) - 5, "a part that is down is no reason to give money back"
    await desk.one_order_each(done)
    assert await desk.orders_of(*back) == []


async def _read_over_http(desk: Desk, rows: list[Order]) -> None:
    headers = {"X-API-Key": desk.stack.api_key}
    async with httpx.AsyncClient(base_url=desk.stack.api_url, headers=headers) as http:
        for row in rows:
            answer = await http.get(f"/orders/{row.request_id}")
            assert answer.status_code == 200, answer.text
            assert answer.json()["status"] == row.status
            assert row.status in TERMINAL_STATUSES
