"""Watching the vault by enumeration: requests are numbered, so there is no cursor to lose.

A wake-up (WebSocket) or a few seconds pass ▶ agreed head ▶ new numbers and the unfinalized tail
are read at that block ▶ a workflow for each open request. Starting is safe, so is starting again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from temporalio import activity

from activities.lookup import read_requests
from activities.ports import WatchProblem
from models.assets import AssetBook, UnknownAsset
from models.errors import SourceUnavailable
from models.messages import WatchChainInput
from models.requests import (
    BlockRef,
    OrderRequest,
    VaultRequest,
    VaultStatus,
    order_workflow_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from clients.agreeing import AgreeingVault
    from clients.gateway import WorkflowGateway
    from clients.heads import HeadWatch, Polling, Wake

_PAGE = 200
_STARTS_AT_ONCE = 16
_DOWN_PAUSE_SECONDS = 1.0


class ChainWatchActivities:
    """One long activity; what it remembers only saves reads."""

    def __init__(
        self,
        vault: AgreeingVault,
        gateway: WorkflowGateway,
        assets: AssetBook,
        wakes: Callable[[], AbstractAsyncContextManager[HeadWatch | Polling]],
        report: WatchProblem,
    ) -> None:
        self._vault = vault
        self._gateway = gateway
        self._assets = assets
        self._wakes = wakes
        self._report = report

    @activity.defn(name="watch_chain")
    async def watch_chain(self, message: WatchChainInput) -> None:
        """Start a workflow for every open request until the worker stops."""
        walk = RequestWalk(self._vault, self._gateway, self._assets)
        beating = asyncio.create_task(_beat(walk))
        try:
            async with self._wakes() as watch:
                while not activity.is_worker_shutdown():
                    pause = await self._one_round(walk, message.poll_seconds)
                    walk.hint(await watch.wait(timeout_seconds=pause))
        finally:
            beating.cancel()

    async def _one_round(self, walk: RequestWalk, poll_seconds: float) -> float:
        """One look; the seconds until the next one if nothing wakes us."""
        try:
            await walk.look()
        except SourceUnavailable as down:
            self._report("chain", str(down))
            return _DOWN_PAUSE_SECONDS
        self._report("chain", "")
        return poll_seconds


class RequestWalk:
    """Which requests were seen, as far as the chain can still change its mind about them."""

    def __init__(self, vault: AgreeingVault, gateway: WorkflowGateway, assets: AssetBook) -> None:
        self._vault = vault
        self._gateway = gateway
        self._assets = assets
        self._next = 1
        self._tail: dict[int, VaultRequest] = {}
        self._head: BlockRef | None = None
        self._hashes: dict[int, str] = {}
        self._woken: set[str] = set()

    @property
    def progress(self) -> tuple[int, int]:
        """(next number to look at, block of the last look): for heartbeats."""
        return self._next, self._head.number if self._head else 0

    def hint(self, wake: Wake) -> None:
        """Take what a wake-up says: hashes to decorate with, numbers to wake."""
        for event in wake.events:
            if event.name in ("DepositRequested", "RedeemRequested"):
                if event.n >= self._next or event.n in self._tail:
                    self._hashes[event.n] = event.tx_hash
            elif event.name == "CancelRequested":
                self._woken.add(event.request_id)

    async def look(self) -> None:
        """Read new numbers and the tail at the agreed head; start or wake what they belong to.

        Raises:
            SourceUnavailable: the chain or Temporal could not be asked; the next look repeats it.
        """
        await self._wake_hinted()
        head = await self._vault.head()
        if self._head is not None and head.hash == self._head.hash:
            return
        count = await self._vault.count(head)
        await self._check_tail(head, count)
        while self._next <= count:
            last = min(self._next + _PAGE - 1, count)
            found = await read_requests(self._vault, self._next, last, head)
            await self._start(found)
            self._tail.update((request.n, request) for request in found)
            self._next = last + 1
        await self._forget_final()
        self._head = head

    async def _check_tail(self, head: BlockRef, count: int) -> None:
        """A number of the tail that carries another id, or none, was reorganised.

        A cancel that nobody told us of is seen here, too.
        """
        if not self._tail:
            return
        first, last = min(self._tail), min(max(self._tail), count)
        now = {request.n: request for request in await self._vault.requests(first, last, head)}
        for n, before in list(self._tail.items()):
            after = now.get(n)
            if after is not None and after.request_id == before.request_id:
                if after.cancel_requested and not before.cancel_requested:
                    await self._signal(after.request_id)
                if _moved(before, after):
                    # Its run may have seen it gone, and ended, between two looks of ours.
                    await self._gateway.start_order(self._order_request(after))
                self._tail[n] = after
                continue
            if not await self._signal(before.request_id):
                # Nobody runs that could say on its row that it is gone, end and all.
                await self._gateway.start_order(self._order_request(before))
            del self._tail[n]
            self._hashes.pop(n, None)
            self._next = min(self._next, n)

    async def _start(self, requests: Sequence[VaultRequest]) -> None:
        gate = asyncio.Semaphore(_STARTS_AT_ONCE)

        async def start(request: VaultRequest) -> None:
            async with gate:
                await self._gateway.start_order(self._order_request(request))

        await asyncio.gather(
            *(start(request) for request in requests if request.status is VaultStatus.OPEN)
        )

    async def _wake_hinted(self) -> None:
        for request_id in list(self._woken):
            await self._signal(request_id)
            self._woken.discard(request_id)

    async def _signal(self, request_id: str) -> bool:
        """Wake an order; False: it does not run."""
        workflow_id = order_workflow_id(self._vault.chain_id, self._vault.address, request_id)
        return await self._gateway.signal_order(workflow_id, "wake")

    async def _forget_final(self) -> None:
        """What is final needs no second look; only its number was ever needed."""
        final = await self._vault.finalized()
        for n, request in list(self._tail.items()):
            if request.created_block <= final.number:
                del self._tail[n]
                self._hashes.pop(n, None)

    def _order_request(self, request: VaultRequest) -> OrderRequest:
        try:
            symbol = self._assets.of_token(request.asset).symbol
        except UnknownAsset:
            symbol = ""
        return OrderRequest(
            chain_id=request.chain_id,
            vault=request.vault,
            n=request.n,
            request_id=request.request_id,
            side=request.side,
            user=request.owner,
            symbol=symbol,
            tx_hash=self._hashes.get(request.n, ""),
            created_block=request.created_block,
        )


def _moved(before: VaultRequest, after: VaultRequest) -> bool:
    """Whether a reorganisation put the request into another block, or took its end back."""
    reopened = before.status is not VaultStatus.OPEN and after.status is VaultStatus.OPEN
    return reopened or after.created_block != before.created_block


async def _beat(walk: RequestWalk) -> None:
    while True:
        activity.heartbeat(*walk.progress)
        await asyncio.sleep(1.0)
