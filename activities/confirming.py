"""Whether a request is deep enough in the chain for what it is worth."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from models.confirmations import (
    ConfirmationPolicy,
    Standing,
    standing_in_blocks,
    standing_until_final,
    value_of,
)
from models.errors import SourceUnavailable
from models.requests import BlockRef, Side, VaultRequest

if TYPE_CHECKING:
    from activities.finality import Finality
    from clients.agreeing import AgreeingVault


class Confirming:
    """Reads the chain each time: a reorganisation that moves a request begins the count anew."""

    def __init__(
        self, vault: AgreeingVault, policy: ConfirmationPolicy, finality: Finality
    ) -> None:
        self._vault = vault
        self._policy = policy
        self._finality = finality

    async def standing(self, terms: VaultRequest, head: BlockRef) -> Standing:
        """How far the request is, as it was read at `head`.

        What cannot be valued or is not known to be final waits like what is worth the most.

        Raises:
            SourceUnavailable: the chain could not be asked about the finalized request.
        """
        blocks = await self._blocks(terms, head)
        if blocks is not None:
            return standing_in_blocks(terms.created_block, head.number, blocks)
        final = await self._finality.block()
        if final is None:
            return standing_until_final(terms.created_block, None, there=False)
        if final.number < terms.created_block:
            # It cannot be there; the vault itself may not have been, and then nothing decodes.
            return standing_until_final(terms.created_block, final.number, there=False)
        # Beyond that not by number: whether the final chain holds this very request is what counts.
        held = await self._vault.request(terms.n, final)
        there = held is not None and held.request_id == terms.request_id
        return standing_until_final(terms.created_block, final.number, there=there)

    async def blocks(self, terms: VaultRequest, head: BlockRef) -> int | None:
        """Blocks on top that it needs for what it is worth; None: until it is final."""
        return await self._blocks(terms, head)

    async def _blocks(self, terms: VaultRequest, head: BlockRef) -> int | None:
        if not self._policy.by_amount:
            return self._policy.needed(None, 0)
        price, (_, decimals) = await asyncio.gather(
            self._price(terms, head), self._vault.usdt(head)
        )
        return self._policy.needed(value_of(terms, price), decimals)

    async def _price(self, terms: VaultRequest, head: BlockRef) -> int:
        """USDT units per share; 0 where no feed can be read, and then nobody knows the worth."""
        if terms.side is Side.BUY:
            return 0
        try:
            return await self._vault.reference_price(terms.asset, head)
        except SourceUnavailable:
            return 0
