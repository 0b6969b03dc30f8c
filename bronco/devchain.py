"""Contracts and money on a dev chain: what the demo, the tests and the CLI's wallet stand on.

Everything uses anvil's published mnemonic, so all keys here are known to everybody.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from eth_typing import HexStr

from bronco.deployment import (
    ADMIN,
    AUDITOR,
    FIRST_USER,
    GUARDIAN,
    MNEMONIC,
    SETTLER,
    TREASURER,
    USDT_UNIT,
    Deployment,
    DevChain,
    DevChainPlan,
    Step,
    dev_address,
    dev_key,
)
from clients.keys import UnsignedTx, account_of, sign_with
from clients.rpc import Call, Rpc
from clients.wallet import CallReverted
from models.chain import DEV_CHAIN_IDS
from models.errors import ConfigurationError, SourceUnavailable

__all__ = [
    "ADMIN",
    "AUDITOR",
    "FIRST_USER",
    "GUARDIAN",
    "MNEMONIC",
    "SETTLER",
    "TREASURER",
    "USDT_UNIT",
    "DevChain",
    "DevChainPlan",
    "deploy",
    "dev_address",
    "dev_key",
    "ensure_deployed",
    "send_together",
]

_CREATE_GAS = 8_000_000
_CALL_GAS = 2_000_000
_MINED_SECONDS = 30
_MAX_FEE = 100 * 10**9


async def deploy(rpc: Rpc, plan: DevChainPlan | None = None) -> DevChain:
    """Deploy tokens, feeds and the vault, grant the roles, and give out money.

    Raises:
        ConfigurationError: the endpoint serves no dev chain.
        CallReverted: a step failed on chain.
    """
    chain_id = await _dev_chain_id(rpc)
    return await _Sending(rpc, chain_id, plan or DevChainPlan(), await _sent(rpc)).run()


async def ensure_deployed(rpc: Rpc, plan: DevChainPlan | None = None) -> tuple[DevChain, bool]:
    """The contracts as the first thing on the chain, deployed unless there; and whether they were.

    block_number is 0 when they were there.

    Raises:
        ConfigurationError: it is no dev chain, or something else came first.
        CallReverted: a step failed on chain.
    """
    chain_id = await _dev_chain_id(rpc)
    sending = _Sending(rpc, chain_id, plan or DevChainPlan(), nonce=0)
    sent = await _sent(rpc)
    if sent == 0:
        return await sending.run(), False
    chain = sending.deployment.chain
    code = await rpc.call("eth_getCode", chain.vault, "latest")
    if sent < len(sending.deployment.steps) or code == "0x":
        said = "holds transactions of its first account but not our contracts: use a fresh one"
        raise ConfigurationError("the dev chain", said)
    return chain, True


async def send_together(rpc: Rpc, raws: Sequence[str]) -> list[HexStr]:
    """Send signed transactions in one round trip, and return their hashes; mined, if it automines.

    Two things that anvil does with many are kept from happening. One that comes while a block with
    the transaction before it is being made stays queued for ever (seen: 33 of 40): so no block is
    made while they come. Those that a block has no room for are forgotten: so they are sent again.

    Raises:
        SourceUnavailable: the node could not be asked.
        RpcRefused: it refused one of them.
    """
    automine = await rpc.call("anvil_getAutomine")
    if not automine:
        return await _broadcast(rpc, raws)
    await rpc.call("evm_setAutomine", False)
    try:
        hashes = await _broadcast(rpc, raws)
        await _mine_all(rpc, dict(zip(hashes, raws, strict=True)))
    finally:
        await rpc.call("evm_setAutomine", True)
    return hashes


async def _broadcast(rpc: Rpc, raws: Sequence[str]) -> list[HexStr]:
    sends: list[Call] = [("eth_sendRawTransaction", (raw,)) for raw in raws]
    return [HexStr(tx_hash) for tx_hash in await rpc.batch(sends)]


async def _mine_all(rpc: Rpc, sent: Mapping[HexStr, str]) -> None:
    for _ in sent:  # a block takes one of them at least
        await rpc.call("evm_mine")
        if all(tx and tx["blockNumber"] for tx in await _known(rpc, sent)):
            return


async def _known(rpc: Rpc, sent: Mapping[HexStr, str]) -> list[dict[str, str] | None]:
    """What the node knows of each; what it has forgotten was sent again."""
    known = await rpc.batch([("eth_getTransactionByHash", (tx_hash,)) for tx_hash in sent])
    forgotten = [raw for raw, tx in zip(sent.values(), known, strict=True) if tx is None]
    if forgotten:
        await _broadcast(rpc, forgotten)
    return known


async def _dev_chain_id(rpc: Rpc) -> int:
    chain_id = await rpc.quantity("eth_chainId")
    if chain_id not in DEV_CHAIN_IDS:
        raise ConfigurationError("chain id", f"{chain_id} is no dev chain; nothing was deployed")
    return chain_id


async def _sent(rpc: Rpc) -> int:
    return await rpc.quantity("eth_getTransactionCount", dev_address(ADMIN), "latest")


class _Sending:
    """Everything from the admin in one round trip."""

    def __init__(self, rpc: Rpc, chain_id: int, plan: DevChainPlan, nonce: int) -> None:
        self._rpc = rpc
        self._chain_id = chain_id
        self._plan = plan
        self._nonce = nonce
        self._key = account_of(dev_key(ADMIN))
        self.deployment = Deployment(chain_id, plan, nonce)

    async def run(self) -> DevChain:
        chain = self.deployment.chain
        await self._give_ether(chain.users)
        return replace(chain, block_number=await self._flush())

    async def _give_ether(self, users: tuple[str, ...]) -> None:
        wanted = hex(self._plan.user_ether)
        staff = tuple(dev_address(index) for index in (SETTLER, GUARDIAN, TREASURER))
        calls: list[Call] = [("anvil_setBalance", (who, wanted)) for who in (*staff, *users)]
        await self._rpc.batch(calls)

    def _signed(self, index: int, step: Step) -> str:
        tx = UnsignedTx(
            chain_id=self._chain_id,
            to=step.to,
            nonce=self._nonce + index,
            gas=_CALL_GAS if step.to else _CREATE_GAS,
            max_fee=_MAX_FEE,
            max_priority_fee=1,
            data=step.data,
        )
        return sign_with(self._key, tx).raw

    async def _flush(self) -> int:
        """Send the steps in one round trip, wait for its blocks, and see that each call worked."""
        steps = self.deployment.steps
        raws = [self._signed(index, step) for index, step in enumerate(steps)]
        hashes = await send_together(self._rpc, raws)
        receipts = await self._receipts(dict(zip(hashes, raws, strict=True)))
        for step, receipt in zip(steps, receipts, strict=True):
            if int(receipt["status"], 16) != 1:
                raise CallReverted(step.what, f"transaction {receipt['transactionHash']} reverted")
        return max(int(receipt["blockNumber"], 16) for receipt in receipts)

    async def _receipts(self, sent: Mapping[HexStr, str]) -> list[dict[str, str]]:
        reads: list[Call] = [("eth_getTransactionReceipt", (tx_hash,)) for tx_hash in sent]
        try:
            async with asyncio.timeout(_MINED_SECONDS):
                while True:
                    receipts = await self._rpc.batch(reads)
                    if all(receipts):
                        return receipts
                    await _known(self._rpc, sent)
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            detail = f"the contracts are in no block after {_MINED_SECONDS} s"
            raise SourceUnavailable(self._rpc.name, "deploying", detail) from error
