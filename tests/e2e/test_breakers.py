"""Breakers: each holds trading by itself when something is wrong, and opens it again by itself."""

import uuid
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from activities.broker_silence import SILENCE_HOLD
from activities.freezing import FAILURES_HOLD
from activities.head_stall import STALL_HOLD
from activities.peg import PEG_HOLD
from bronco.devchain import ADMIN
from bronco.stack import stack
from clients.abi import load_contract
from clients.wallet import Requested
from models.messages import ReconcileResult
from models.order import OrderStatus, Reason, Stage
from models.requests import QUEUE_MAIN, RECONCILE_SCHEDULE_ID
from tests.e2e.desk import ONE_SHARE, SYMBOL, Desk, opened, options
from tests.waiting import eventually

# Three minutes for the chain, half a minute for the broker in production.
_STALL_SECONDS = 3
_SILENT_SECONDS = 2
_FAILURES, _WINDOW_SECONDS = 3, 20
_BROKER_TRIES = 3
DEV_FEED = load_contract("DevFeed")
_DOLLAR, _OFF_PEG = 10**8, 99 * 10**6
MISMATCH_HOLD = f"mismatch:position:{SYMBOL}"


@pytest_asyncio.fixture(scope="module")
async def mining(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """A chain with a block each second, as chains are, where the silence of one counts."""
    chosen = options(
        tmp_path_factory.mktemp("breakers"),
        chain_head_stall_seconds=str(_STALL_SECONDS),
        broker_silent_seconds=str(_SILENT_SECONDS),
        orders_breaker_failures=str(_FAILURES),
        orders_breaker_window_seconds=str(_WINDOW_SECONDS),
    )
    async with stack(chosen) as running, opened(running) as desk:
        await desk.rpc.call("evm_setIntervalMining", 1)
        await desk.client.get_schedule_handle(RECONCILE_SCHEDULE_ID).pause()
        yield desk


@pytest_asyncio.fixture
async def mining_desk(mining: Desk) -> AsyncIterator[Desk]:
    await eventually(lambda: _open(mining))
    await mining.holding()
    yield mining
    await mining.calm()
    assert await _open(mining)
    await mining.prove()


async def _holds(desk: Desk) -> list[str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{desk.stack.api_url}/status/pause") as answer,
    ):
        assert answer.status == 200
        return [hold["key"] for hold in (await answer.json())["holds"]]


async def _reasons(desk: Desk) -> list[str]:
    state = await desk.play.switch.state()
    return [hold.reason for hold in state.holds]


async def _set_peg(desk: Desk, answer: int) -> None:
    """Dollars per USDT x 10^8."""
    await desk.staff(ADMIN).send(DEV_FEED, desk.stack.chain.feeds["USDT"], "setAnswer", answer)


async def _held(desk: Desk, key: str) -> bool:
    return key in await _holds(desk)


async def _open(desk: Desk) -> bool:
    return await _holds(desk) == []


async def _reconcile(desk: Desk) -> None:
    await desk.client.execute_workflow(
        "ReconcileWorkflow",
        id=f"reconcile-{uuid.uuid4().hex}",
        task_queue=QUEUE_MAIN,
        result_type=ReconcileResult,
    )


async def _run_until(desk: Desk, key: str, *, held: bool) -> None:
    """Reconcile as its schedule does, only oftener, until a hold is there, or is not."""

    async def so() -> bool:
        await _reconcile(desk)
        return await _held(desk, key) is held

    await eventually(so, timeout=90, interval=1.0)


async def _waits(desk: Desk, words: str) -> Requested:
    """A deposit that is held for that reason; nothing of it is at the broker."""
    made = await desk.deposit()
    row = await desk.at(made, Stage.HELD)
    assert words in row.waiting_for
    assert await desk.orders_of(made) == []
    return made


async def test_chain__silent_for_too_long__nothing_is_placed_until_it_goes_on(
    mining_desk: Desk,
) -> None:
    desk = mining_desk
    await desk.control.set_market("closed")
    made = [*await desk.deposits(2, ONE_SHARE), *await desk.redeems(1)]
    await desk.all_at(made, Stage.WAITING_SESSION)
    sent = await desk.placed()

    await desk.rpc.call("evm_setIntervalMining", 0)
    await desk.rpc.call("evm_setAutomine", False)
    await eventually(lambda: _held(desk, STALL_HOLD), timeout=30)
    await desk.control.set_market("open")
    await desk.wake(made)
    rows = await desk.all_at(made, Stage.HELD)
    assert all(f"no new block of the chain for {_STALL_SECONDS} s" in r.waiting_for for r in rows)
    assert await desk.placed() == sent
    assert await desk.orders_of(*made) == []

    await desk.rpc.call("evm_setIntervalMining", 1)
    await desk.all_end(made, OrderStatus.EXECUTED)
    await desk.one_order_each(made)


async def test_broker__silent_for_too_long__nothing_is_placed_until_it_is_read_again(
    mining_desk: Desk,
) -> None:
    desk = mining_desk
    await desk.control.outage()
    await eventually(lambda: _held(desk, SILENCE_HOLD), timeout=30)
    made = await desk.deposit()
    await desk.at(made, Stage.HELD)
    await desk.control.outage(on=False)
    await desk.end(made, OrderStatus.EXECUTED)
    await desk.one_order_each([made])
    await eventually(lambda: _open(desk))


async def test_usdt__off_its_peg__nothing_is_placed_until_it_is_measured_back(
    mining_desk: Desk,
) -> None:
    desk = mining_desk
    await _set_peg(desk, _OFF_PEG)
    await eventually(lambda: _held(desk, PEG_HOLD), timeout=30)
    made = await desk.deposit()
    await desk.at(made, Stage.HELD)
    (reason,) = await _reasons(desk)
    assert "USDT is at 0.99" in reason
    assert "lifts this" in reason
    assert await desk.orders_of(made) == []
    await _set_peg(desk, _DOLLAR)
    await eventually(lambda: _open(desk))
    await desk.end(made, OrderStatus.EXECUTED)
    await desk.one_order_each([made])


async def test_orders__fail_one_after_the_other__the_next_waits_until_that_is_past(
    mining_desk: Desk,
) -> None:
    desk = mining_desk
    refused = "Insufficient buying power."
    await desk.control.fault("reject", n=_FAILURES * _BROKER_TRIES, message=refused)
    failed = await desk.deposits(_FAILURES)
    rows = await desk.all_end(failed, OrderStatus.FAILED)
    assert {row.reason for row in rows} == {Reason.BROKER_REJECTED}
    await _run_until(desk, FAILURES_HOLD, held=True)
    made = await _waits(desk, "orders fail: 3 BROKER_REJECTED")
    await _run_until(desk, FAILURES_HOLD, held=False)
    await desk.end(made, OrderStatus.EXECUTED)
    await desk.one_order_each([made])


async def test_positions__do_not_add_up__the_symbol_waits_until_they_do(
    mining_desk: Desk,
) -> None:
    desk = mining_desk
    held = (await desk.control.account()).positions[SYMBOL]
    await desk.control.set_position(SYMBOL, held - 1)
    await _run_until(desk, MISMATCH_HOLD, held=True)
    made = await _waits(desk, "the broker's shares do not add up")
    await desk.control.set_position(SYMBOL, held)
    await _run_until(desk, MISMATCH_HOLD, held=False)
    await desk.end(made, OrderStatus.EXECUTED)
    await desk.one_order_each([made])
