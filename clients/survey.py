"""Looking at every endpoint, whether it is asked or not: who lags, who lies, who is well again."""

import asyncio

from clients.endpoints import Endpoint, HeadBehind, fault_of
from clients.quorum import Quorum
from clients.rpc import quantity
from clients.vault import block_ref
from models.errors import SourceUnavailable
from models.requests import BlockRef
from models.watch import Fault


class Survey:
    """max_lag_blocks: how far an endpoint's newest block may be below the others'."""

    def __init__(self, quorum: Quorum, max_lag_blocks: int) -> None:
        self._quorum = quorum
        self._max_lag = max_lag_blocks
        self._best: BlockRef | None = None

    def reached(self, head: BlockRef) -> BlockRef:
        """Take note of an agreed head; the same block back."""
        if self._best is None or head.number >= self._best.number - self._max_lag:
            self._best = head
        return head

    async def head_of(self, endpoint: Endpoint) -> BlockRef:
        """An endpoint's newest block.

        Raises:
            HeadBehind: the endpoint has fallen behind, or its head went back.
            SourceUnavailable: it could not be asked.
        """
        head = await endpoint.reader.head()
        endpoint.head = head.number
        if self._best is not None and head.number < self._best.number - self._max_lag:
            raise HeadBehind(head.number, self._best.number)
        return head

    async def look(self) -> None:
        """Ask all that are trusted, and those whose time to be tried again has come."""
        quorum = self._quorum
        if quorum.single:
            return
        now = quorum.clock()
        asked = [one for one in quorum.endpoints if one.trusted or one.retry_at <= now]
        done = await asyncio.gather(*(self._look(one) for one in asked), return_exceptions=True)
        heads: dict[Endpoint, int] = {}
        failed: dict[Endpoint, SourceUnavailable] = {}
        for endpoint, result in zip(asked, done, strict=True):
            if isinstance(result, SourceUnavailable):
                failed[endpoint] = result
            elif isinstance(result, BaseException):
                raise result
            elif result is not None:
                heads[endpoint] = result
        if heads:  # else it is we who are cut off
            for endpoint, error in failed.items():
                self._failed(endpoint, fault_of(error), f"{error.doing}: {error.detail}")
        await self._judge(heads)

    async def _look(self, endpoint: Endpoint) -> int | None:
        """Number of its newest block; None when it serves another chain."""
        calls = [("eth_chainId", ()), ("eth_getBlockByNumber", ("latest", False))]
        chain_id, latest = await endpoint.rpc.batch(calls)
        served, wanted = quantity("chain", "eth_chainId", chain_id), endpoint.reader.chain_id
        if served != wanted:
            self._quorum.set_aside(
                endpoint, Fault.WRONG_CHAIN, f"serves chain {served}, not {wanted}"
            )
            return None
        endpoint.head = block_ref(latest, "latest").number
        return endpoint.head

    async def _judge(self, heads: dict[Endpoint, int]) -> None:
        numbers = sorted(heads.values(), reverse=True)
        # One alone that is far ahead makes nobody late; of two, nobody knows who is wrong.
        reached = numbers[min(1, len(numbers) - 2)] if len(numbers) > 1 else 0
        reached = max(reached, self._best.number if self._best else 0)
        for endpoint, number in heads.items():
            if number < reached - self._max_lag:
                detail = f"its newest block is {number}, others have {reached}"
                self._failed(endpoint, Fault.LAGGING, detail, at_once=True)
            elif not endpoint.trusted:
                await self._try(endpoint)
            else:
                endpoint.answered("survey")

    async def _try(self, endpoint: Endpoint) -> None:
        problem = await self._problem(endpoint)
        if problem:
            self._quorum.set_aside(endpoint, endpoint.fault or Fault.DOWN, problem)
        else:
            self._quorum.take_back(endpoint)

    async def _problem(self, endpoint: Endpoint) -> str:
        """Why an endpoint that answers is still not to be trusted; empty when it is."""
        at = self._best
        if at is None:
            return "" if endpoint.usable else endpoint.detail
        try:
            block, count = await endpoint.reader.block(at.number), await endpoint.reader.count(at)
            if block != at:
                return f"has another block {at.number} than two agreed on"
            if endpoint.usable:
                return ""
            others = await self._counts(at, endpoint)
        except SourceUnavailable as error:
            return f"{error.doing}: {error.detail}"
        wrong = [f"{told} by {other.label}" for other, told in others.items() if told != count]
        return f"counts {count} requests, not {', '.join(wrong)}" if wrong else ""

    async def _counts(self, at: BlockRef, endpoint: Endpoint) -> dict[Endpoint, int]:
        """What the others that may be believed count. Raises SourceUnavailable when none says."""
        others = [o for o in self._quorum.endpoints if o.usable and o is not endpoint]
        done = await asyncio.gather(*(o.reader.count(at) for o in others), return_exceptions=True)
        told = {o: found for o, found in zip(others, done, strict=True) if isinstance(found, int)}
        if others and not told:
            raise SourceUnavailable("chain", "trying it again", "nobody to compare it with")
        return told

    def _failed(
        self, endpoint: Endpoint, fault: Fault, detail: str, *, at_once: bool = False
    ) -> None:
        if at_once or not endpoint.trusted:
            self._quorum.set_aside(endpoint, fault, detail)
        else:
            self._quorum.strike(endpoint, "survey", fault, detail)
