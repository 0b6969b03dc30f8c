"""The second reference key's desk: what the reference says, and a price to stand in."""

from __future__ import annotations

from clients.agreeing import AgreeingVault
from clients.carrier import Carrier
from clients.reference import ReferenceReader
from clients.roles import REFERENCE_ROLE, only_has_role
from clients.splits import REFERENCE
from models.assets import Asset
from models.errors import InvalidInput, SourceUnavailable
from models.reference import Reference, shown
from models.requests import BlockRef

DECLARING = (REFERENCE,)
"""Whose errors a carrier of its calls must know."""


class ReferenceDesk:
    """One asset's reference, as the vault lists it at the newest block that endpoints agree on."""

    def __init__(self, vault: AgreeingVault, asset: Asset, address: str, at: BlockRef) -> None:
        self._vault = vault
        self._at = at
        self.asset = asset
        self.address = address

    @classmethod
    async def of(cls, vault: AgreeingVault, asset: Asset) -> ReferenceDesk:
        """The desk of an asset.

        Raises:
            SourceUnavailable: the chain cannot be asked, or the vault does not list the asset.
        """
        at = await vault.head()
        listed = await vault.asset(asset.token, at)
        if listed is None:
            raise SourceUnavailable("chain", f"reading asset {asset.token}", "it is not listed")
        return cls(vault, asset, listed.feed, at)

    async def read(self) -> Reference:
        """What it says. Raises SourceUnavailable when nobody can say, or it is no reference."""
        return await ReferenceReader(self._vault.rpc).read(self.address, self._at)

    async def must_be_allowed(self, signer: str) -> None:
        """Raises InvalidInput when the reference would take no price from this account."""
        rpc, vault = self._vault.rpc, self._vault.address
        if not await only_has_role(rpc, vault, REFERENCE_ROLE, signer, self._at):
            remedy = "the vault's admin must grant it REFERENCE_ROLE, and it must be no settler"
            raise InvalidInput("signer", signer, remedy)

    async def post(self, price: int, carrier: Carrier) -> str:
        """Post a price of one share, in the feed's decimals; the transaction's hash.

        Again, it only counts for longer: it has no key but its value.

        Raises:
            CallReverted, SourceUnavailable: as Carrier.transact.
        """
        data = REFERENCE.calldata("post", price)
        return (await carrier.transact("post", self.address, data)).tx_hash

    async def note(self, carrier: Carrier) -> str:
        """Let the reference remember the feed's word as good; the transaction's hash.

        Raises:
            InvalidInput: the feed's word is none to remember.
            CallReverted, SourceUnavailable: as Carrier.transact.
        """
        found = await self.read()
        if not found.live:
            age = found.now - found.feed_time
            word = shown(found.feed_price, found.decimals)
            remedy = (
                f"it is {age} s old, its heartbeat is {found.heartbeat} s: only a live one counts"
            )
            raise InvalidInput("the feed's price", word, remedy)
        sent = await carrier.transact("note", self.address, REFERENCE.calldata("note"))
        return sent.tx_hash
