"""A worker that dies at a chosen point of sending: from there on nothing of it reaches anything."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any

from temporalio.client import Client

from clients.dialects import BroadcastUnknown
from tests.integration.settlement.rig import SIGNER, Rig
from tests.integration.vault.desk import Desk


class Point(StrEnum):
    """Where it dies, in the order a batch comes by."""

    TAKEN = "items taken"
    SIGNED = "signed"
    SENT = "broadcast ok"
    TIMED_OUT = "broadcast timed out though sent"
    REFUSED = "broadcast refused"
    RECEIPT = "receipt seen"
    REORGED = "receipt reorged away"


class Death:
    """Once it has come, every call of the dying worker hangs until that worker is shut down."""

    def __init__(self, point: Point) -> None:
        self.point = point
        self.came = asyncio.Event()

    async def come(self) -> None:
        self.came.set()
        await asyncio.Event().wait()

    async def check(self) -> None:
        if self.came.is_set():
            await self.come()


class Mortal:
    """Something that a worker works with; `after` and `before` are told of each call."""

    def __init__(self, real: Any, death: Death, **hooks: Callable[..., Awaitable[Any]]) -> None:
        self._real = real
        self._death = death
        self._hooks = hooks

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not callable(found):
            return found

        async def called(*args: Any, **options: Any) -> Any:
            await self._death.check()
            hook = self._hooks.get(name)
            if hook is None:
                answer = await found(*args, **options)
            else:
                answer = await hook(found, *args, **options)
            await self._death.check()
            return answer

        return called


class DyingRig(Rig):
    """A settler whose worker dies once, at its point."""

    def __init__(self, desk: Desk, client: Client, url: str, point: Point) -> None:
        super().__init__(desk, client, url)
        self.death = Death(point)
        self.cached_workflows = 0
        self._timed_out = False
        self.vault = Mortal(self.vault, self.death)  # type: ignore[assignment]
        self.gateway = Mortal(self.gateway, self.death)  # type: ignore[assignment]
        self.sender = Mortal(  # type: ignore[assignment]
            desk.sender, self.death, broadcast=self._broadcast, receipts=self._receipts
        )
        self.store.items = Mortal(  # type: ignore[assignment]
            self.store.items, self.death, take_batch=self._take_batch
        )

    async def _take_batch(self, real: Any, *args: Any) -> Any:
        taken = await real(*args)
        if taken and self.death.point is Point.TAKEN:
            await self.death.come()
        return taken

    async def _broadcast(self, real: Any, raw: str) -> Any:
        point = self.death.point
        if point is Point.SIGNED:
            await self.death.come()
        if point is Point.REFUSED:
            await self.desk.rpc.call("anvil_setBalance", SIGNER, "0x1")
        sent = await real(raw)
        if point is Point.TIMED_OUT:
            self._timed_out = True
            raise BroadcastUnknown(sent.tx_hash, "no answer in 10 s")
        if point in (Point.SENT, Point.REFUSED):
            await self.death.come()
        return sent

    async def _receipts(self, real: Any, hashes: Any) -> Any:
        point = self.death.point
        if self._timed_out:
            await self.death.come()
        found = await real(hashes)
        if any(found) and point is Point.REORGED:
            await self.desk.rpc.call("anvil_reorg", 1, [])
            await self.desk.rpc.call("anvil_dropAllTransactions")
        if any(found) and point in (Point.RECEIPT, Point.REORGED):
            await self.death.come()
        return found
