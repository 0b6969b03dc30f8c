"""Two workers on one account: the broker's gap is kept whatever their ways to it are like."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from activities.turns import Turns, in_line
from clients.broker import BrokerClient
from clients.flags import Flags
from models.errors import SourceUnavailable
from simulators.opend.control import SimulatorControl
from tests.integration.broker.desk import client_of, resting, settings, simulator
from tests.integration.broker.proxy import proxies
from tests.services import embedded_redis
from tests.waiting import eventually

GAP = 0.02
# A broker's account takes 15 orders and 20 changes in its window.
ORDERS_EACH = 7


# A turn that nobody ends outlasts every wait here.
LONGEST = 20.0


def turns_of(flags: Flags, call: str, gap: float = GAP) -> Turns:
    return Turns(flags, "1002", call, 30.0, gap, 2 * LONGEST)


@asynccontextmanager
async def redis_clients(count: int) -> AsyncIterator[list[Flags]]:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(embedded_redis())
        made = [Flags(url) for _ in range(count)]
        for flags in made:
            stack.push_async_callback(flags.close)
        yield made


async def test_turns__two_workers_one_with_a_longer_way__nothing_is_refused_for_its_rate(
    log_home: Path,
) -> None:
    async with (
        redis_clients(2) as flags,
        simulator(limits=True, ack_seconds=0.0) as server,
        proxies(server.port, 1) as (longer,),
        client_of(settings(server.port, call_timeout_seconds=5.0), log_home) as near,
        client_of(settings(longer.port, call_timeout_seconds=5.0), log_home) as far,
    ):
        longer.delay = 0.015

        async def work(client: BrokerClient, turns: Turns, changes: Turns) -> None:
            for _ in range(ORDERS_EACH):
                order = resting(1)
                async with turns.held(order.remark):
                    placed = await client.place(order, 5.0)
                async with changes.held(placed.order_id):
                    await client.cancel(placed.order_id)

        await asyncio.gather(
            *(
                work(client, turns_of(own, "place"), turns_of(own, "change", 2 * GAP))
                for client, own in ((near, flags[0]), (far, flags[1]))
            )
        )
        orders = await SimulatorControl(server.control_port).orders()
        assert len(orders) == 2 * ORDERS_EACH
        assert {order.status for order in orders} <= {"CANCELLED_ALL", "CANCELLING_ALL"}


async def test_turn__taken__nobody_else_has_one_until_its_end() -> None:
    async with redis_clients(2) as (ours, theirs):
        order: list[str] = []

        async def other() -> None:
            async with turns_of(theirs, "place").held("theirs"):
                order.append("theirs")

        async with turns_of(ours, "place").held("ours"):
            waiting = asyncio.create_task(other())
            moment = time.monotonic()
            await eventually(lambda: time.monotonic() > moment + 0.3)
            order.append("ours")
        await waiting
        assert order == ["ours", "theirs"]


async def test_turn__of_another_kind_of_call_or_account__is_free() -> None:
    async with redis_clients(1) as (flags,), turns_of(flags, "place").held("one"):
        async with turns_of(flags, "change").held("two"):
            pass
        other = Turns(flags, "other", "place", 30.0, GAP, 20.0)
        async with other.held("three"):
            pass


async def test_turn__its_holder_is_gone__ends_by_itself() -> None:
    async with redis_clients(2) as (gone, ours):
        assert await gone.use_slot("1002", "place", "gone", 30.0, GAP, 0.5) == 0.0
        began = time.monotonic()
        async with turns_of(ours, "place").held("ours"):
            assert time.monotonic() - began > 0.3


async def test_turn__waiting_or_holding_is_cancelled__is_over() -> None:
    async with redis_clients(2) as (ours, theirs):
        held = asyncio.Event()

        async def hold(member: str) -> None:
            async with turns_of(ours, "place").held(member):
                held.set()
                await asyncio.Event().wait()

        holding = asyncio.create_task(hold("first"))
        await held.wait()
        waiting = asyncio.create_task(hold("second"))
        await asyncio.sleep(0)
        for task in (waiting, holding):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(LONGEST):
            async with turns_of(theirs, "place").held("theirs"):
                pass


async def test_line__many_of_one_process__come_in_their_order_one_at_a_time() -> None:
    line, came, inside = asyncio.Lock(), list[int](), 0

    async def call(number: int) -> None:
        nonlocal inside
        async with in_line(line, LONGEST) as first:
            assert first
            inside += 1
            assert inside == 1
            came.append(number)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(call(number) for number in range(30)))
    assert came == list(range(30))


async def test_line__somebody_takes_long__the_patient_are_told_so_and_it_goes_on() -> None:
    line = asyncio.Lock()
    async with in_line(line, LONGEST) as first:
        assert first
        for _ in range(2):
            async with in_line(line, 0.05) as second:
                assert not second
    async with in_line(line, LONGEST) as third:
        assert third


async def test_turn__patience_is_over__goes_without() -> None:
    async with redis_clients(2) as (gone, ours):
        assert await gone.use_slot("1002", "change", "gone", 30.0, GAP, 60.0) == 0.0
        async with asyncio.timeout(LONGEST):
            async with turns_of(ours, "change").held("ours", 0.2):
                pass


async def test_turn__redis_cannot_be_asked__only_the_patient_go_without() -> None:
    nobody = Flags("redis://127.0.0.1:1/0", timeout_seconds=0.2)
    with pytest.raises(SourceUnavailable):
        async with turns_of(nobody, "place").held("ours"):
            pass
    async with turns_of(nobody, "change").held("ours", 1.0):
        pass
    await nobody.close()
