"""Whatever the wake-ups go through, each request is found and handed on exactly once.

The watchers poll so rarely that only their WebSocket can have woken them.
"""

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack, suppress

import pytest
from temporalio.testing import ActivityEnvironment

from activities.chain_watch import ChainWatchActivities
from bronco.services.anvil import Anvil
from clients.agreeing import AgreeingVault
from clients.heads import HeadWatch
from models.assets import Asset, AssetBook
from models.messages import WatchChainInput
from tests.integration.vault.crowd import allow, requests
from tests.integration.vault.desk import Desk
from tests.integration.vault.line import Line, line
from tests.integration.vault.starts import Gateway
from tests.integration.vault.troubles import TROUBLES
from tests.waiting import eventually

_NEVER_SECONDS = 3600.0
_STEPS = 4
_MOST_AT_ONCE = 4
SEEDS = [1, 2, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(3, 23))]


class Watcher:
    """The watcher's whole activity behind one bad line."""

    def __init__(self, desk: Desk, bad: Line) -> None:
        self.line = bad
        self.gateway = Gateway()
        self.heads = HeadWatch(
            [bad.url],
            desk.address,
            ping_seconds=0.5,
            silence_seconds=0.6,
            other_seconds=1.2,
            open_seconds=1.0,
            backoff_seconds=(0.02, 0.05, 0.1),
        )
        self._activities = ChainWatchActivities(
            AgreeingVault(desk.vault, allow_single=True),
            self.gateway,  # type: ignore[arg-type]
            AssetBook(assets=(Asset(symbol="AAPL", token=desk.share, feed=desk.feed),)),
            lambda: self.heads,
            lambda *_: None,
            lambda _: None,
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        message = WatchChainInput(poll_seconds=_NEVER_SECONDS)
        run = ActivityEnvironment().run(self._activities.watch_chain, message)
        self._task = asyncio.create_task(run)

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def found(self) -> Counter[str]:
        assert self._task is not None
        if self._task.done():
            self._task.result()
        return Counter(request.request_id for request in self.gateway.started)


async def trouble(desk: Desk, watchers: list[Watcher], dice: random.Random) -> None:
    """Requests come, in ones and in bursts, each time until every line has gone wrong again."""
    for _ in range(_STEPS):
        before = {watcher: watcher.line.troubles for watcher in watchers}
        await requests(desk, dice.randint(1, _MOST_AT_ONCE))

        async def gone_wrong(before: dict[Watcher, int] = before) -> bool:
            if all(watcher.line.troubles > count for watcher, count in before.items()):
                return True
            await desk.rpc.call("evm_mine")
            return False

        with suppress(AssertionError):  # the next line says which
            await eventually(gone_wrong, interval=0.1)
        assert [w.line.kind for w, count in before.items() if w.line.troubles == count] == []


async def calm(desk: Desk, watchers: list[Watcher], dice: random.Random) -> None:
    """The last requests; blocks stop coming with them, so nothing later tells of them."""
    for watcher in watchers:
        watcher.line.calm = True
    await requests(desk, dice.randint(1, _MOST_AT_ONCE))


@pytest.mark.parametrize("seed", SEEDS)
async def test_watch__line_in_trouble__each_request_is_handed_on_exactly_once(
    desk: Desk, vault_anvil: Anvil, seed: int
) -> None:
    dice = random.Random(seed)
    await allow(desk)
    await requests(desk, 2)
    async with AsyncExitStack() as stack:
        watchers = []
        for kind, play in TROUBLES.items():
            bad = await stack.enter_async_context(line(kind, play, vault_anvil.ws_url, seed))
            watcher = Watcher(desk, bad)
            await watcher.start()
            stack.push_async_callback(watcher.stop)
            watchers.append(watcher)
        await trouble(desk, watchers, dice)
        await calm(desk, watchers, dice)
        head = await desk.head()
        there = await desk.vault.requests(1, await desk.vault.count(head), head)

        once = Counter(request.request_id for request in there)

        def all_found() -> bool:
            return all(watcher.found >= once for watcher in watchers)

        with suppress(AssertionError):  # the next line says of whom
            await eventually(all_found, timeout=20)
        wrong = {w.line.kind: (once - w.found, w.found - once) for w in watchers}
    assert {kind: found for kind, found in wrong.items() if any(found)} == {}
