"""The supply monitor: what is attested to back a token, and what was minted of it at that time."""

from collections.abc import Collection
from typing import Any

from eth_utils.address import to_checksum_address

from clients.agreeing import AgreeingVault
from clients.attesting import MONITOR
from clients.roles import ATTESTOR_ROLE, only_has_role
from clients.rpc import Call
from clients.shares import ShareReader
from clients.vault import VaultClient
from models.backing import Attested, Minted
from models.errors import SourceUnavailable
from models.requests import BlockRef, VaultStatus


class MonitorReader:
    """Reads one monitor of one vault, as two endpoints agree that it is."""

    def __init__(self, vault: AgreeingVault, monitor: str) -> None:
        self._vault = vault
        self.address = to_checksum_address(monitor)

    async def attested(self, token: str, at: BlockRef) -> Attested:
        """The newest attestation of a token at a block, and whether its attestor counts there.

        Raises:
            SourceUnavailable: it cannot be asked, endpoints disagree, or it is no monitor.
        """
        calls = [
            self._call(at, "attestations", to_checksum_address(token)),
            self._call(at, "maxAge"),
        ]
        found, age = await self._vault.rpc.batch(calls)
        backed, time, attestor = self._decoded("attestations", found)
        return Attested(
            backed=backed,
            time=time,
            attestor=to_checksum_address(attestor),
            max_age=int(self._decoded("maxAge", age)[0]),
            counts=await self.may_attest(attestor, at),
        )

    async def may_attest(self, who: str, at: BlockRef) -> bool:
        """Whether the monitor takes this attestor's word at a block. Raises as `attested`."""
        return await only_has_role(self._vault.rpc, self._vault.address, ATTESTOR_ROLE, who, at)

    async def minted_at(self, token: str, numbers: Collection[int], block: BlockRef) -> Minted:
        """What there was of a token at a block, and which of these requests were open there.

        Endpoints that do not keep old states are passed over, and not set aside for it.

        Raises:
            SourceUnavailable: no two endpoints have that state and agree on it.
        """
        asked = sorted(numbers)

        async def read(vault: VaultClient) -> tuple[int, frozenset[int]]:
            supply = await ShareReader(vault.rpc).supply(token, block)
            states = await vault.states(asked, block) if asked else []
            return supply, frozenset(s.n for s in states if s.status is VaultStatus.OPEN)

        supply, still_open = await self._vault.past(f"what was minted of {token}", read)
        return Minted(block, supply, frozenset(asked), still_open)

    async def block_at(self, time: int, head: BlockRef) -> BlockRef:
        """The newest block that is not later than a time, at most the head.

        Raises:
            SourceUnavailable: headers cannot be read, or the chain begins after that time.
        """
        if head.timestamp <= time:
            return head
        above, step = head, 1
        while (low := await self._block(max(0, above.number - step))).timestamp > time:
            if low.number == 0:
                raise SourceUnavailable("chain", f"reading the block at {time}", "there is none")
            above, step = low, step * 2
        while above.number - low.number > 1:
            middle = await self._block((low.number + above.number) // 2)
            low, above = (middle, above) if middle.timestamp <= time else (low, middle)
        return low

    async def same(self, block: BlockRef) -> bool:
        """Whether a block is still the chain's. Raises SourceUnavailable when nobody can say."""
        return await self._vault.block(block.number) == block

    async def _block(self, number: int) -> BlockRef:
        found = await self._vault.block(number)
        if found is None:
            raise SourceUnavailable("chain", f"reading block {number}", "it is not there")
        return found

    def _call(self, at: BlockRef, function: str, *args: Any) -> Call:
        return _call(self.address, MONITOR.calldata(function, *args), at)

    def _decoded(self, function: str, answer: str) -> tuple[Any, ...]:
        try:
            return MONITOR.decode_result(function, answer)
        except (ValueError, TypeError) as error:
            # Also what an address without code answers.
            doing = f"reading {function} of the supply monitor {self.address}"
            raise SourceUnavailable("chain", doing, str(error)) from error


def _call(to: str, data: str, at: BlockRef) -> Call:
    # https://eips.ethereum.org/EIPS/eip-1898
    return "eth_call", ({"to": to, "data": data}, {"blockHash": at.hash, "requireCanonical": True})
