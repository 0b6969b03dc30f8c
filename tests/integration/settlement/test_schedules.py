"""Random schedules: workers come and go, transactions vanish, blocks are undone; each ends once."""

import random
from contextlib import AsyncExitStack

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from models.records import ItemState
from tests.integration.settlement.rig import Rig
from tests.integration.settlement.test_kill_points import CASES, ends_of, money
from tests.integration.vault.desk import DOLLAR, Desk
from tests.waiting import eventually

STEPS = 14
SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 42))]


class Weather:
    """What happens to a settler, by the dice of one seed."""

    def __init__(self, seed: int, rigs: list[Rig], stack: AsyncExitStack) -> None:
        self.dice = random.Random(seed)
        self.rigs = rigs
        self.up: dict[int, AsyncExitStack] = {}
        stack.push_async_callback(self.all_down)

    async def all_down(self) -> None:
        for worker in self.up.values():
            await worker.aclose()
        self.up.clear()

    async def turn_up(self) -> None:
        which = self.dice.randrange(len(self.rigs))
        if which not in self.up:
            self.up[which] = AsyncExitStack()
            await self.up[which].enter_async_context(self.rigs[which].worker())

    async def turn_down(self) -> None:
        if self.up:
            await self.up.pop(self.dice.choice(list(self.up))).aclose()

    async def drop(self) -> None:
        await self.rigs[0].desk.rpc.call("anvil_dropAllTransactions")

    async def reorganise(self) -> None:
        await self.rigs[0].desk.rpc.call("anvil_reorg", 1, [])
        await self.drop()

    async def miner(self) -> None:
        await self.rigs[0].automine(self.dice.random() < 0.5)

    async def dearer(self) -> None:
        fees = await self.rigs[0].desk.sender.fee_suggestion()
        rise = hex(fees.base_fee * self.dice.randint(2, 4))
        await self.rigs[0].desk.rpc.call("anvil_setNextBlockBaseFeePerGas", rise)
        await self.rigs[0].mine()

    async def stranger(self) -> None:
        await self.rigs[0].take_nonce(await self.rigs[0].nonce())

    async def wake(self) -> None:
        await self.rigs[0].gateway.wake_settlement()

    async def step(self) -> None:
        """Something happens, and then the settler gets a while."""
        events = [self.turn_up, self.turn_up, self.turn_down, self.drop, self.reorganise]
        events += [self.miner, self.dearer, self.stranger, self.wake]
        await self.dice.choice(events)()
        looks = iter(range(self.dice.randint(1, 12)))
        await eventually(lambda: next(looks, None) is None, timeout=60)


@pytest.mark.parametrize("seed", SEEDS)
async def test_settler__any_schedule_of_failures__each_request_ends_once(
    desk: Desk, temporal_client: Client, store_url: str, seed: int
) -> None:
    async with AsyncExitStack() as stack:
        # One connection takes one worker for a queue.
        where = temporal_client.service_client.config.target_host
        clients = [
            await Client.connect(where, data_converter=pydantic_data_converter) for _ in range(3)
        ]
        rigs = [Rig(desk, client, store_url) for client in clients]
        for rig in rigs:
            rig.queue, rig.workflow_id = rigs[0].queue, rigs[0].workflow_id
            stack.callback(rig.store.close)
        first = rigs[0]
        told = [await CASES[n % 3](first) for n in range(9)]
        before = await money(desk)
        items = [await first.item(request) for request, _, _ in told]
        await first.mine()
        await first.start(limit=3, gather_seconds=0.05, run_events=150)
        stack.push_async_callback(first.stop)
        weather = Weather(seed, rigs, stack)
        for _ in range(STEPS):
            await weather.step()
        await first.automine(True)
        await first.mine()
        await weather.all_down()
        await stack.enter_async_context(rigs[0].worker())

        async def final() -> bool:
            """Booked before a block was undone is not the end: only what is final is."""
            await first.mine(70)
            return await first.store.items.counts() == {ItemState.FINAL: len(told)}

        await eventually(final, timeout=60, interval=0.2)
        for (request, event, _), item in zip(told, items, strict=True):
            (end,) = await ends_of(first, request)
            assert end == (event, (await first.item(request)).tx_hash), item.kind
        after = await money(desk)
        minted, paid = items[0::3], items[1::3]
        made = sum(item.out for item in minted) - sum(item.taken for item in paid)
        assert (after.escrow, after.owed) == (0, 0)
        assert after.shares - before.shares == made
        assert after.bob - before.bob == sum(item.out for item in paid)
        back = 6 * 500 * DOLLAR - sum(item.taken for item in minted)
        assert after.alice - before.alice == back
