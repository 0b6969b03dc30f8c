"""The newest final block, as far as the vault was there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.requests import BlockRef

if TYPE_CHECKING:
    from clients.agreeing import AgreeingVault


class Finality:
    """On a young chain the vault is newer than finality: then nothing of it is final."""

    def __init__(self, vault: AgreeingVault) -> None:
        self._vault = vault
        self._deployed = False

    async def block(self) -> BlockRef | None:
        """None while no final block holds the vault."""
        final = await self._vault.finalized()
        self._deployed = self._deployed or await self._vault.deployed(final)
        return final if self._deployed else None
