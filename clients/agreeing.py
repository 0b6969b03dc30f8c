"""Two endpoints that must say the same before anybody acts on it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from clients.vault import VaultClient
from models.chain import DEV_CHAIN_IDS, AssetTerms, RequestState, SettlerState, VaultBooks
from models.errors import ConfigurationError, EndpointsDisagree
from models.requests import BlockRef, VaultRequest

T = TypeVar("T")


class AgreeingVault:
    """Reads that two endpoints agree on; what decides no money comes from the first."""

    def __init__(
        self, first: VaultClient, second: VaultClient, *, allow_single: bool = False
    ) -> None:
        """Pair two endpoints.

        Args:
            first: Also answers what needs no agreement.
            second: Must be another endpoint, unless `allow_single` on a dev chain.
            allow_single: One endpoint, asked once, is enough.

        Raises:
            ConfigurationError: one endpoint twice where that is not allowed, or two vaults.
        """
        if (first.chain_id, first.address) != (second.chain_id, second.address):
            raise ConfigurationError("chain endpoints", "the two read different vaults")
        single = first.rpc.url == second.rpc.url
        if single and not (allow_single and first.chain_id in DEV_CHAIN_IDS):
            raise ConfigurationError(
                "chain endpoints", "two different endpoints are needed outside a dev chain"
            )
        self.first = first
        self._second = None if single else second
        self.chain_id = first.chain_id
        self.address = first.address

    async def check(self) -> None:
        """As VaultClient.check, on both. Raises ConfigurationError."""
        await self.first.check()
        if self._second is not None:
            await self._second.check()

    async def deployed(self, at: BlockRef) -> bool:
        """Whether the vault was there at a block."""
        return await self._agreed("code", lambda vault: vault.deployed(at))

    async def head(self) -> BlockRef:
        """The newest block that both have and agree on."""
        if self._second is None:
            return await self.first.head()
        one, two = await _both(self.first.head(), self._second.head())
        if one.number <= two.number:
            return self._same("head", one, await self._second.block(one.number))
        return self._same("head", two, await self.first.block(two.number))

    async def finalized(self) -> BlockRef:
        """The newest block that both call final."""
        if self._second is None:
            return await self.first.finalized()
        one, two = await _both(self.first.finalized(), self._second.finalized())
        return min(one, two, key=lambda block: block.number)

    async def block(self, number: int) -> BlockRef | None:
        """The block with this number; None when neither has come that far."""
        return await self._agreed("block", lambda vault: vault.block(number))

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
        """What the vault holds and owes; one endpoint's word."""
        return await self.first.books(at)

    async def asset(self, token: str, at: BlockRef) -> AssetTerms | None:
        """How the vault treats an asset; one endpoint's word."""
        return await self.first.asset(token, at)

    async def reference_price(self, token: str, at: BlockRef) -> int:
        """USDT units per share that settlements are measured against; one endpoint's word."""
        return await self.first.reference_price(token, at)

    async def usdt(self, at: BlockRef) -> tuple[str, int]:
        """Address and decimals of the money token; one endpoint's word."""
        return await self.first.usdt(at)

    async def settler(self, address: str, at: BlockRef) -> SettlerState:
        """Role, gas money and nonces of a settler; one endpoint's word."""
        return await self.first.settler(address, at)

    async def _agreed(self, doing: str, read: Callable[[VaultClient], Awaitable[T]]) -> T:
        if self._second is None:
            return await read(self.first)
        one, two = await _both(read(self.first), read(self._second))
        return self._same(doing, one, two)

    def _same(self, doing: str, one: T, two: T | None) -> T:
        if one != two:
            raise EndpointsDisagree("chain", f"reading {doing}", _brief(one), _brief(two))
        return one


async def _both(one: Awaitable[T], two: Awaitable[T]) -> tuple[T, T]:
    # Both are awaited to their end, so that neither is left running behind an error.
    done = await asyncio.gather(one, two, return_exceptions=True)
    for result in done:
        if isinstance(result, BaseException):
            raise result
    first, second = done
    return first, second  # type: ignore[return-value]


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:200] + "…"
