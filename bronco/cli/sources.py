"""What a command talks to, opened from the settings it needs and closed after it."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from temporalio.client import Client

    from bronco.trading import ChainSettings
    from clients.abi import ContractAbi
    from clients.agreeing import AgreeingVault
    from clients.carrier import Carrier
    from clients.flags import Flags
    from clients.rpc import Rpc
    from clients.store import Store
    from models.assets import Asset

_MINED_SECONDS = 300.0
"""Longest wait for a block with a transaction of ours in it."""


async def open_temporal() -> "Client":
    """A client that connects on first use."""
    from api.switch import operator_client
    from bronco.sections import TemporalSettings
    from bronco.settings import load_section

    settings = load_section(TemporalSettings)
    return await operator_client(settings.address, settings.namespace)


@asynccontextmanager
async def open_flags() -> "AsyncIterator[Flags]":
    """Redis."""
    from bronco.sections import RedisSettings
    from bronco.settings import load_section
    from clients.flags import Flags

    flags = Flags(load_section(RedisSettings).url.get_secret_value())
    try:
        yield flags
    finally:
        await flags.close()


@contextmanager
def open_store() -> "Iterator[Store]":
    """The database."""
    from bronco.sections import DatabaseSettings
    from bronco.settings import load_section
    from clients.store import Store

    store = Store(load_section(DatabaseSettings).url.get_secret_value(), pool_size=4)
    try:
        yield store
    finally:
        store.close()


class OpenChain(NamedTuple):
    """The chain as its settings name it. rpcs: the endpoints in the order of the setting."""

    settings: "ChainSettings"
    vault: "AgreeingVault"
    rpcs: "Sequence[Rpc]"

    def asset(self, symbol: str) -> "Asset":
        """The asset of a symbol. Raises InvalidInput when none is configured."""
        from models.errors import InvalidInput

        known = {asset.symbol: asset for asset in self.settings.assets}
        if symbol not in known:
            raise InvalidInput("symbol", symbol, f"use one of {', '.join(sorted(known))}")
        return known[symbol]

    def carrier(self, account: "LocalAccount", declaring: "Sequence[ContractAbi]") -> "Carrier":
        """Sends calls of an account through the first endpoint."""
        from clients.carrier import Carrier

        return Carrier(
            self.rpcs[0],
            account,
            chain_id=self.settings.id,
            vault=self.settings.vault,
            declaring=declaring,
            patience_seconds=_MINED_SECONDS,
        )


@asynccontextmanager
async def open_chain(*, checked: bool = True) -> "AsyncIterator[OpenChain]":
    """The vault and the endpoints, two of which must agree; one is enough on a dev chain.

    checked False: also while nothing answers; each question then says so by itself.
    """
    from bronco.settings import load_section
    from bronco.trading import ChainSettings
    from clients.rpc import Rpc
    from workers.clients import agreeing_vault

    settings = load_section(ChainSettings)
    rpcs = [Rpc(url, timeout_seconds=settings.call_timeout_seconds) for url in settings.endpoints]
    try:
        vault = agreeing_vault(settings, rpcs)
        if checked:
            await vault.check()
        yield OpenChain(settings, vault, rpcs)
    finally:
        for rpc in rpcs:
            await rpc.close()
