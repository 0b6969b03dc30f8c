"""The vault as two endpoints agree that it is, before anybody acts on it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from clients.contract_signers import vouches
from clients.endpoints import Endpoint, Report
from clients.lifetimes import lifetimes
from clients.quorum import Quorum
from clients.rpc import Call, Rpc
from clients.survey import Survey
from clients.vault import VaultClient
from models.chain import (
    Approvers,
    AssetTerms,
    Lifetimes,
    RequestState,
    SettlerState,
    VaultBooks,
)
from models.errors import SourceUnavailable
from models.requests import BlockRef, VaultRequest
from models.watch import EndpointState

T = TypeVar("T")
MAX_LAG_BLOCKS = 5
"""As Chainlink's node pool (SyncThreshold):
https://docs.chain.link/chainlink-nodes/v1/node-config"""
_SURVEY_SECONDS = 12.0


class AgreeingVault:
    """Reads of one vault that two endpoints agree on; on a dev chain one may be enough."""

    def __init__(
        self,
        *readers: VaultClient,
        allow_single: bool = False,
        max_lag_blocks: int = MAX_LAG_BLOCKS,
        clock: Callable[[], float] = time.time,
        report: Report | None = None,
    ) -> None:
        """Take the endpoints in their order of preference.

        Args:
            readers: One for each endpoint, all of the same vault.
            allow_single: One endpoint, asked once, is enough on a dev chain.
            max_lag_blocks: How far an endpoint may be behind the others.
            clock: Unix seconds.
            report: Told of each endpoint that is set aside or taken back.

        Raises:
            ConfigurationError: fewer than two where that is not allowed, or different vaults.
        """
        self._quorum = Quorum(readers, allow_single=allow_single, clock=clock, report=report)
        self._survey = Survey(self._quorum, max_lag_blocks)
        self.chain_id = readers[0].chain_id
        self.address = readers[0].address
        self.rpc = AgreeingRpc(self._quorum)

    @property
    def healthy(self) -> tuple[Rpc, ...]:
        """The connections of the endpoints that are trusted now, in their order of preference."""
        return self._quorum.healthy

    def heard(self) -> tuple[Rpc, ...]:
        """The healthy ones; where there are none, those that are unwell; never one that lied."""
        return self._quorum.heard()

    @property
    def endpoints(self) -> tuple[EndpointState, ...]:
        """Each endpoint and, when it is set aside, why and until when."""
        return self._quorum.states

    async def keep_surveying(self) -> None:
        """Look at every endpoint's health, until cancelled."""
        while True:
            await self._survey.look()
            await asyncio.sleep(_SURVEY_SECONDS)

    async def survey(self) -> None:
        """Look at every endpoint's health once."""
        await self._survey.look()

    async def check(self) -> None:
        """As VaultClient.check, on all that answer; who is behind or not there is set aside.

        Raises:
            ConfigurationError: an endpoint serves another chain, or there is no vault.
            SourceUnavailable: fewer than two answer.
        """
        await self._quorum.everybody("checking the vault", lambda e: e.reader.check())
        await self._survey.look()

    async def deployed(self, at: BlockRef) -> bool:
        """Whether the vault was there at a block."""
        return await self._agreed("code", lambda vault: vault.deployed(at))

    async def head(self) -> BlockRef:
        """The newest block that two have and agree on; never far behind one it gave before."""
        if self._quorum.single:
            return await self._quorum.endpoints[0].reader.head()
        heads = await self._quorum.first("head", self._survey.head_of)
        low = min(heads.values(), key=lambda block: block.number)
        return self._survey.reached(await self._at_height("head", low, heads))

    async def finalized(self) -> BlockRef:
        """The newest block that two call final and agree on."""
        if self._quorum.single:
            return await self._quorum.endpoints[0].reader.finalized()
        ends = await self._quorum.first("finalized", lambda e: e.reader.finalized())
        low = min(ends.values(), key=lambda block: block.number)
        return await self._at_height("finalized", low, ends)

    async def block(self, number: int) -> BlockRef | None:
        """The block with this number; None when neither has come that far."""
        return await self._quorum.agreed(
            f"block {number}", lambda e: e.reader.block(number), at_tip=True
        )

    async def count(self, at: BlockRef) -> int:
        """Number of the newest request at a block."""
        return await self._agreed("count", lambda vault: vault.count(at))

    async def request(self, n: int, at: BlockRef) -> VaultRequest | None:
        """Request n at a block; None when both say that there is none."""
        return await self._agreed(f"request {n}", lambda vault: vault.request(n, at))

    async def requests(self, first: int, last: int, at: BlockRef) -> list[VaultRequest]:
        """Requests first to last, both included, as far as they existed at a block."""
        doing = f"requests {first}-{last}"
        return await self._agreed(doing, lambda vault: vault.requests(first, last, at))

    async def states(self, numbers: Sequence[int], at: BlockRef) -> list[RequestState]:
        """How far each request is, in the order asked."""
        return await self._agreed("states", lambda vault: vault.states(numbers, at))

    async def books(self, at: BlockRef) -> VaultBooks:
        """What the vault holds and owes."""
        return await self._agreed("books", lambda vault: vault.books(at))

    async def asset(self, token: str, at: BlockRef) -> AssetTerms | None:
        """How the vault treats an asset."""
        return await self._agreed(f"asset {token}", lambda vault: vault.asset(token, at))

    async def reference_price(self, token: str, at: BlockRef) -> int:
        """USDT units per share that settlements are measured against."""
        doing = f"the price of {token}"
        return await self._agreed(doing, lambda vault: vault.reference_price(token, at))

    async def lifetimes(self, at: BlockRef) -> Lifetimes:
        """How long a request may live, and its owner waits until he may reclaim."""
        return await self._agreed("lifetimes", lambda vault: lifetimes(vault, at))

    async def usdt(self, at: BlockRef) -> tuple[str, int]:
        """Address and decimals of the money token."""
        return await self._agreed("usdt", lambda vault: vault.usdt(at))

    async def approvers(self, at: BlockRef) -> Approvers:
        """Who may approve at a block."""
        return await self._agreed("approvers", lambda vault: vault.approvers(at))

    async def vouches(self, signer: str, digest: str, signature: str, at: BlockRef) -> bool:
        """Whether the vault would take a signature; who has code is asked (ERC-1271)."""
        doing = f"the approval of {signer}"
        return await self._quorum.agreed(
            doing, lambda e: vouches(e.rpc, signer, digest, signature, at)
        )

    async def past(self, doing: str, read: Callable[[VaultClient], Awaitable[T]]) -> T:
        """What two endpoints say of an old block; who does not keep its state has no say."""
        return await self._quorum.witnessed(doing, lambda endpoint: read(endpoint.reader))

    async def settler(self, address: str, at: BlockRef) -> SettlerState:
        """Role, gas money and nonces of a settler; one endpoint's word: its newest block's."""
        found = await self._quorum.first("settler", lambda e: e.reader.settler(address, at), 1)
        return next(iter(found.values()))

    async def _agreed(self, doing: str, read: Callable[[VaultClient], Awaitable[T]]) -> T:
        return await self._quorum.agreed(doing, lambda endpoint: read(endpoint.reader))

    async def _at_height(
        self, doing: str, low: BlockRef, known: dict[Endpoint, BlockRef]
    ) -> BlockRef:
        """The block at the height of the lowest answer, on which two agree."""

        async def read(endpoint: Endpoint) -> BlockRef | None:
            mine = known.get(endpoint)
            if mine is not None and mine.number == low.number:
                return mine
            return await endpoint.reader.block(low.number)

        found = await self._quorum.agreed(doing, read, at_tip=True, order=tuple(known))
        if found is None:
            raise SourceUnavailable("chain", f"reading {doing}", f"block {low.number} is gone")
        return found


class AgreeingRpc:
    """Calls at a block hash whose answers two endpoints give alike: a Reader for any contract."""

    name = "chain"

    def __init__(self, quorum: Quorum) -> None:
        self._quorum = quorum

    async def call(self, method: str, *params: Any) -> Any:
        """The result of one call. Raises SourceUnavailable, also when endpoints disagree."""
        return await self._quorum.agreed(method, lambda e: e.rpc.call(method, *params))

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """The results of several calls, in their order. Raises as `call`."""
        doing = "+".join(dict.fromkeys(method for method, _ in calls))
        return await self._quorum.agreed(doing, lambda e: e.rpc.batch(calls))
