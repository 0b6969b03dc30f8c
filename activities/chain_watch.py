"""Watching the vault by enumeration: requests are numbered, so there is no cursor to lose.

A wake-up (WebSocket) or a few seconds pass ▶ agreed head ▶ new numbers and the unfinalized tail
are read at that block ▶ a workflow for each open request. Starting is safe, so is starting again.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from temporalio import activity

from activities.head_stall import HeadStall
from activities.lookup import read_requests
from activities.ports import WatchProblem, WatchProgress
from activities.starting import Starter
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
from models.watch import ChainWatchStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from activities.peg import Peg
    from clients.agreeing import AgreeingVault
    from clients.gateway import WorkflowGateway
    from clients.heads import HeadWatch, Polling, Wake

CONTROL, PEG = "trading control", "USDT peg"
_PAGE = 200
_DOWN_PAUSE_SECONDS = 1.0
# However often we are woken, the endpoints are not asked more often than this.
_ROUND_SECONDS = 0.05
_PROBLEM_LENGTH = 300


class ChainWatchActivities:
    """One long activity; what it remembers only saves reads.

    stall_seconds: without a new agreed block for so long, all trading is held; 0 = never.
    peg: measures what USDT is worth, for each run of the watch anew; None = no feed is configured.
    """

    def __init__(
        self,
        vault: AgreeingVault,
        gateway: WorkflowGateway,
        assets: AssetBook,
        wakes: Callable[[], AbstractAsyncContextManager[HeadWatch | Polling]],
        report: WatchProblem,
        progress: WatchProgress,
        stall_seconds: float = 0.0,
        peg: Callable[[], Peg] | None = None,
    ) -> None:
        self._vault = vault
        self._gateway = gateway
        self._assets = assets
        self._wakes = wakes
        self._report = report
        self._progress = progress
        self._stall_seconds = stall_seconds
        self._peg = peg

    @activity.defn(name="watch_chain")
    async def watch_chain(self, message: WatchChainInput) -> None:
        """Start a workflow for every open request until the worker stops."""
        walk = RequestWalk(self._vault, self._gateway, self._assets, message.starts_per_second)
        stall = HeadStall(self._gateway, self._stall_seconds, self._report)
        tasks = [
            asyncio.create_task(self._beat(walk, stall)),
            asyncio.create_task(self._hold_when(CONTROL, walk, stall.saw)),
        ]
        if self._peg is not None:
            tasks.append(asyncio.create_task(self._hold_when(PEG, walk, self._peg().saw)))
        try:
            async with self._wakes() as watch:
                while not activity.is_worker_shutdown():
                    pause = await self._one_round(walk, message.poll_seconds)
                    walk.hint(await watch.wait(timeout_seconds=pause))
                    self._report("chain wake-ups", watch.problem)
                    await asyncio.sleep(_ROUND_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one_round(self, walk: RequestWalk, poll_seconds: float) -> float:
        """One look; the seconds until the next one if nothing wakes us."""
        try:
            await walk.look()
        except SourceUnavailable as down:
            walk.problem = str(down)[:_PROBLEM_LENGTH]
            self._report("chain", walk.problem)
            return _DOWN_PAUSE_SECONDS
        walk.problem = ""
        self._report("chain", "")
        return poll_seconds

    async def _hold_when(
        self, source: str, walk: RequestWalk, saw: Callable[[BlockRef | None], Awaitable[None]]
    ) -> None:
        """Beside the walk, which may hang in a call or be busy with a backlog for minutes."""
        while True:
            try:
                await saw(walk.newest)
            except SourceUnavailable as down:
                self._report(source, str(down))
            else:
                self._report(source, "")
            await asyncio.sleep(1.0)

    async def _beat(self, walk: RequestWalk, stall: HeadStall) -> None:
        while True:
            status = walk.status.model_copy(
                update={
                    "stalled_seconds": float(int(stall.seconds)),
                    "endpoints": self._vault.endpoints,
                }
            )
            activity.heartbeat(status)
            self._progress(status)
            await asyncio.sleep(1.0)


class RequestWalk:
    """Which requests were seen, as far as the chain can still change its mind about them."""

    def __init__(
        self,
        vault: AgreeingVault,
        gateway: WorkflowGateway,
        assets: AssetBook,
        starts_per_second: float = 200.0,
    ) -> None:
        self._vault = vault
        self._gateway = gateway
        self._assets = assets
        self._starter = Starter(self._start_one, starts_per_second)
        self._next = 1
        self._count = 0
        self._tail: dict[int, VaultRequest] = {}
        self._unstarted: dict[int, VaultRequest] = {}
        self._head: BlockRef | None = None
        self._final = -1
        self._hashes: dict[int, str] = {}
        self._woken: set[str] = set()
        self._per_second = 0.0
        self.newest: BlockRef | None = None
        self.problem = ""

    @property
    def progress(self) -> tuple[int, int]:
        """(next number to look at, block of the last look)."""
        return self._next, self._head.number if self._head else 0

    @property
    def status(self) -> ChainWatchStatus:
        """How far it is: for heartbeats."""
        return ChainWatchStatus(
            next=self._next,
            count=self._count,
            head=self.newest.number if self.newest else 0,
            started=self._starter.started,
            per_second=self._per_second,
            problem=self.problem,
        )

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
        head = self.newest = await self._vault.head()
        if self._head is not None and head.hash == self._head.hash:
            return
        self._count = await self._vault.count(head)
        await self._check_tail(head)
        await self._start_left()
        unknown = await self._learn_final()
        await self._walk(head)
        self._forget_final()
        if unknown is not None:
            raise unknown
        if self._unstarted:
            left = f"{len(self._unstarted)} could not be started and are tried again"
            raise SourceUnavailable("Temporal", "starting workflows", left)
        self._head = head

    async def _walk(self, head: BlockRef) -> None:
        """Page through the numbers not seen yet. A backlog of any length takes no more memory."""
        begun, before = time.monotonic(), self._starter.started
        while self._next <= self._count:
            last = min(self._next + _PAGE - 1, self._count)
            found = await read_requests(self._vault, self._next, last, head)
            await self._start(found)
            self._tail.update((r.n, r) for r in found if r.created_block > self._final)
            self._next = last + 1
            spent = time.monotonic() - begun
            self._per_second = float(int((self._starter.started - before) / max(spent, 0.001)))

    async def _check_tail(self, head: BlockRef) -> None:
        """A number of the tail that carries another id, or none, was reorganised.

        A cancel that nobody told us of is seen here, too.
        """
        numbers = sorted(self._tail)
        for i in range(0, len(numbers), _PAGE):
            page = numbers[i : i + _PAGE]
            last = min(page[-1], self._count)
            found = await self._vault.requests(page[0], last, head) if page[0] <= last else []
            now = {request.n: request for request in found}
            for n in page:
                await self._compare(self._tail[n], now.get(n))

    async def _compare(self, before: VaultRequest, after: VaultRequest | None) -> None:
        n = before.n
        if after is not None and after.request_id == before.request_id:
            if after.cancel_requested and not before.cancel_requested:
                await self._signal(after.request_id)
            if _moved(before, after):
                # Its run may have seen it gone, and ended, between two looks of ours.
                await self._gateway.start_order(self._order_request(after))
            self._tail[n] = after
            return
        if not await self._signal(before.request_id):
            # Nobody runs that could say on its row that it is gone, end and all.
            await self._gateway.start_order(self._order_request(before))
        del self._tail[n]
        self._unstarted.pop(n, None)
        self._hashes.pop(n, None)
        self._next = min(self._next, n)

    async def _start(self, requests: Sequence[VaultRequest]) -> None:
        """Start the open ones; one that cannot be started must not hold up those behind it."""
        wanted = {r.n: r for r in requests if r.status is VaultStatus.OPEN}
        failed = await self._starter.start(wanted.values())
        self._unstarted.update((n, wanted[n]) for n in failed)

    async def _start_left(self) -> None:
        left, self._unstarted = self._unstarted, {}
        with suppress(SourceUnavailable):  # said at the end of the look, which goes on
            await self._start(list(left.values()))
            return
        self._unstarted = left

    async def _start_one(self, request: VaultRequest) -> None:
        await self._gateway.start_order(self._order_request(request))

    async def _wake_hinted(self) -> None:
        for request_id in list(self._woken):
            await self._signal(request_id)
            self._woken.discard(request_id)

    async def _signal(self, request_id: str) -> bool:
        """Wake an order; False: it does not run."""
        workflow_id = order_workflow_id(self._vault.chain_id, self._vault.address, request_id)
        return await self._gateway.signal_order(workflow_id, "wake")

    async def _learn_final(self) -> SourceUnavailable | None:
        """Until it is known what is final, everything newer is looked after: nothing waits."""
        try:
            self._final = (await self._vault.finalized()).number
        except SourceUnavailable as unknown:
            return unknown
        return None

    def _forget_final(self) -> None:
        """What is final needs no second look; only its number was ever needed."""
        for n, request in list(self._tail.items()):
            if request.created_block <= self._final:
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
