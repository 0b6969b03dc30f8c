"""One endpoint of three, and of two, that lies in every way we could think of, on a real chain."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest

from activities.chain_watch import RequestWalk
from clients.agreeing import AgreeingVault
from clients.rpc import Rpc
from clients.vault import VaultClient
from models.assets import Asset, AssetBook
from models.errors import SourceUnavailable
from models.watch import EndpointState
from tests.integration.vault.crowd import allow, requests
from tests.integration.vault.desk import Desk
from tests.integration.vault.lies import Lie, Vault, lies
from tests.integration.vault.proxy import Json, endpoint
from tests.integration.vault.starts import Gateway
from tests.waiting import eventually

_A_DAY = 86_400
_HEIGHT = 50


class Scene:
    """Some endpoints of one chain, the first of which lies while it is told to."""

    def __init__(self, desk: Desk, readers: list[VaultClient]) -> None:
        self.desk = desk
        self.lying = False
        self.now = 1_000_000.0
        self.alarms: dict[str, str] = {}
        self.vault = AgreeingVault(*readers, clock=lambda: self.now, report=self._report)
        self.gateway = Gateway()
        assets = AssetBook(assets=(Asset(symbol="AAPL", token=desk.share, feed=desk.feed),))
        self.walk = RequestWalk(self.vault, self.gateway, assets)  # type: ignore[arg-type]

    def _report(self, source: str, problem: str) -> None:
        self.alarms[source] = problem

    @property
    def liar(self) -> EndpointState:
        return self.vault.endpoints[0]

    async def ask(self) -> None:
        """Read everything, and compare with the chain; could not ask is right, wrong is not."""
        head = None
        with suppress(SourceUnavailable):
            head = await self.vault.head()
        if head is None:
            return
        assert head == await self.desk.vault.block(head.number)
        share = self.desk.share
        reads: list[Callable[[Any], Any]] = [
            lambda v: v.count(head),
            lambda v: v.request(1, head),
            lambda v: v.requests(1, 99, head),
            lambda v: v.states([1, 2], head),
            lambda v: v.books(head),
            lambda v: v.asset(share, head),
            lambda v: v.usdt(head),
            lambda v: v.reference_price(share, head),
            lambda v: v.deployed(head),
            lambda v: v.block(head.number - 1),
        ]
        for read in reads:
            with suppress(SourceUnavailable):
                assert await read(self.vault) == await read(self.desk.vault)
        with suppress(SourceUnavailable):
            final = await self.vault.finalized()
            assert final.number <= (await self.desk.vault.finalized()).number
            assert final == await self.desk.vault.block(final.number)

    async def look(self) -> bool:
        """Whether the walk got through."""
        with suppress(SourceUnavailable):
            await self.walk.look()
            return True
        return False

    async def made(self) -> list[str]:
        head = await self.desk.head()
        return [one.request_id for one in await self.desk.vault.requests(1, 99, head)]

    @property
    def started(self) -> list[str]:
        return [request.request_id for request in self.gateway.started]


@asynccontextmanager
async def scene(desk: Desk, lie: Lie, honest: int) -> AsyncIterator[Scene]:
    """The liar first, so that it is always asked; each has an address of its own."""
    Vault.address = desk.address

    def tamper(call: Json, truth: Json) -> Json | str | None:
        return lie.tamper(call, truth) if made.lying else truth

    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(endpoint(desk.rpc.url, tamper))]
        urls += [f"{desk.rpc.url}/?{n}" for n in range(honest)]
        readers: list[VaultClient] = []
        for url in urls:
            rpc = Rpc(url, timeout_seconds=5)
            stack.push_async_callback(rpc.close)
            readers.append(VaultClient(rpc, chain_id=31337, address=desk.address))
        made = Scene(desk, readers)
        yield made


@pytest.fixture
async def busy_desk(desk: Desk) -> Desk:
    """A vault with one request, high enough in the chain for an endpoint to be far behind it."""
    await desk.rpc.call("anvil_mine", hex(_HEIGHT))
    await allow(desk)
    await requests(desk)
    return desk


@pytest.mark.parametrize("lie", lies(), ids=lambda lie: lie.name)
async def test_three__one_lies__truth_is_read_and_the_liar_is_named(
    busy_desk: Desk, lie: Lie
) -> None:
    async with scene(busy_desk, lie, honest=2) as asked:
        await asked.vault.check()
        await eventually(asked.look, interval=0.2)
        asked.lying = True
        for _ in range(3):
            await requests(busy_desk)
            await asked.ask()
            await eventually(asked.look, interval=0.2)
            await asked.vault.survey()
        assert asked.started == await asked.made()
        assert asked.liar.fault == lie.fault, asked.liar.detail
        problem = asked.alarms[f"chain endpoint {asked.liar.label}"]
        assert problem.startswith(lie.fault or "")
        assert (problem != "") == (lie.fault is not None)
        assert len(asked.vault.healthy) == (3 if lie.fault is None else 2)

        asked.lying = False
        asked.now += _A_DAY
        await asked.vault.survey()
        assert asked.liar.fault is None
        assert asked.alarms[f"chain endpoint {asked.liar.label}"] == ""


@pytest.mark.parametrize("lie", lies()[::2], ids=lambda lie: lie.name)
async def test_two__one_lies__nothing_false_is_acted_on_nothing_is_missed(
    busy_desk: Desk, lie: Lie
) -> None:
    async with scene(busy_desk, lie, honest=1) as asked:
        await eventually(asked.look, interval=0.2)
        asked.lying = True
        await requests(busy_desk, 2)
        await asked.ask()
        await asked.look()
        await asked.vault.survey()
        await asked.look()
        truth = await asked.made()
        assert asked.started == truth[: len(asked.started)]

        asked.lying = False
        asked.now += _A_DAY
        await asked.vault.survey()
        await eventually(asked.look, interval=0.2)
        assert asked.started == truth
