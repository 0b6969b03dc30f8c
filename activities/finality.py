"""The newest final block, as far as the vault was there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import activity

from models.errors import SourceUnavailable
from models.requests import BlockRef

if TYPE_CHECKING:
    from clients.agreeing import AgreeingVault


class Finality:
    """On a young chain the vault is newer than finality: then nothing of it is final.

    Nobody may wait for it: what is not known to be final is only looked after for longer.
    blocks: how many on top make a block final; 0 = the chain's own finalized tag.
    """

    def __init__(self, vault: AgreeingVault, blocks: int = 0) -> None:
        self._vault = vault
        self._blocks = blocks
        self._deployed = False

    async def block(self) -> BlockRef | None:
        """The newest block known to be final; None while there is none that holds the vault."""
        try:
            final = await self._newest()
            if final is None:
                return None
            self._deployed = self._deployed or await self._vault.deployed(final)
        except SourceUnavailable as error:
            activity.logger.warning("finality_not_known", extra={"detail": str(error)})
            return None
        return final if self._deployed else None

    async def _newest(self) -> BlockRef | None:
        if not self._blocks:
            return await self._vault.finalized()
        number = (await self._vault.head()).number - self._blocks
        return await self._vault.block(number) if number >= 0 else None
