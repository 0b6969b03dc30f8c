"""Settings become clients: the only place that knows both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from eth_utils.address import to_checksum_address
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.runtime import Runtime
from temporalio.service import RPCError

from bronco.settings import Settings
from bronco.signing import SignerSettings
from bronco.trading import ChainSettings
from clients.agreeing import AgreeingVault
from clients.endpoints import Report
from clients.flags import Flags
from clients.gateway import WorkflowGateway
from clients.oracle import OracleClient
from clients.private import read_token
from clients.rpc import Rpc
from clients.sender import ChainSender
from clients.shares import ShareReader
from clients.signer import RemoteSigner
from clients.splits import SplitReader
from clients.store.store import Store
from clients.vault import VaultClient
from models.errors import ConfigurationError, SourceUnavailable
from models.requests import settlement_workflow_id
from workers.reports import SourceReport
from workers.tracing import OrderTracing


@dataclass(frozen=True)
class Clients:
    """Everything a worker talks to, except the broker, which only some roles need."""

    settings: Settings
    temporal: Client
    vault: AgreeingVault
    sender: ChainSender
    signer: RemoteSigner
    oracle: OracleClient
    shares: ShareReader
    splits: SplitReader
    store: Store
    flags: Flags
    gateway: WorkflowGateway

    @property
    def settlement_id(self) -> str:
        """Workflow id of the settlement of our signing address."""
        return settlement_workflow_id(self.vault.chain_id, self.signer.address)


@asynccontextmanager
async def open_clients(
    settings: Settings, runtime: Runtime | None = None
) -> AsyncIterator[Clients]:
    """All clients, checked and closed in the end.

    Raises:
        ConfigurationError: a setting does not fit what is there (wrong chain, no vault, no signer).
        SourceUnavailable: Temporal or the chain does not answer.
    """
    chain = settings.chain
    async with AsyncExitStack() as stack:
        rpcs = [Rpc(url, timeout_seconds=chain.call_timeout_seconds) for url in chain.endpoints]
        for rpc in rpcs:
            stack.push_async_callback(rpc.close)
        vault = agreeing_vault(chain, rpcs, SourceReport())
        await vault.check()
        stack.callback(asyncio.create_task(vault.keep_surveying()).cancel)
        # Not asked yet: whoever does not settle needs its address alone.
        signer = settler(settings.signer)
        stack.push_async_callback(signer.close)
        store = Store(
            settings.database.url.get_secret_value(), pool_size=settings.database.pool_size
        )
        stack.callback(store.close)
        flags = Flags(settings.redis.url.get_secret_value())
        stack.push_async_callback(flags.close)
        temporal = await connect_temporal(settings, runtime)
        gateway = WorkflowGateway(temporal, settlement_workflow_id(chain.id, signer.address))
        yield Clients(
            settings=settings,
            temporal=temporal,
            vault=vault,
            sender=ChainSender(rpcs[0], vault=chain.vault, heard=vault.heard),
            signer=signer,
            oracle=OracleClient(vault.rpc),
            shares=ShareReader(vault.rpc),
            splits=SplitReader(vault.rpc),
            store=store,
            flags=flags,
            gateway=gateway,
        )


def agreeing_vault(
    chain: ChainSettings, rpcs: Sequence[Rpc], report: Report | None = None
) -> AgreeingVault:
    """The vault through all endpoints, two of which must agree; one is enough on a dev chain."""
    readers = [VaultClient(rpc, chain_id=chain.id, address=chain.vault) for rpc in rpcs]
    return AgreeingVault(
        *readers, allow_single=chain.is_dev, max_lag_blocks=chain.max_lag_blocks, report=report
    )


def settler(where: SignerSettings) -> RemoteSigner:
    """The signer process as we reach it: no worker ever holds the key.

    Raises:
        ConfigurationError: no address is set, or the token cannot be read.
    """
    if where.address is None:
        problem = "is missing: the address that settles, which the signer holds the key of"
        raise ConfigurationError("BRONCO_SIGNER_ADDRESS", problem)
    name = "BRONCO_SIGNER_TOKEN_FILE"
    return RemoteSigner(
        where.url,
        address=to_checksum_address(where.address),
        token=read_token(where.token_file, name) if where.token_file else "",
        ca_file=where.ca_file,
        timeout_seconds=where.timeout_seconds,
    )


async def connect_temporal(settings: Settings, runtime: Runtime | None = None) -> Client:
    """A client of the Temporal server.

    Raises:
        SourceUnavailable: nothing answers at the address.
    """
    where = settings.temporal
    try:
        return await Client.connect(
            where.address,
            namespace=where.namespace,
            data_converter=pydantic_data_converter,
            interceptors=[OrderTracing()] if settings.traces.url else [],
            runtime=runtime,
        )
    except (RPCError, RuntimeError) as error:
        raise SourceUnavailable("Temporal", f"connecting to {where.address}", str(error)) from error
