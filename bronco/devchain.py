"""Contracts and money on a dev chain: what the demo, the tests and the CLI's wallet stand on.

Everything uses anvil's published mnemonic, so all keys here are known to everybody.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace

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
from clients.rpc import Call, Rpc, RpcRefused
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
]

_CREATE_GAS = 8_000_000
_CALL_GAS = 2_000_000
_MINED_SECONDS = 30
_NUDGE_TRIES = 40
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
        sends: list[Call] = [("eth_sendRawTransaction", (raw,)) for raw in raws]
        hashes = await self._rpc.batch(sends)
        receipts = await self._receipts(hashes, raws)
        for step, receipt in zip(steps, receipts, strict=True):
            if int(receipt["status"], 16) != 1:
                raise CallReverted(step.what, f"transaction {receipt['transactionHash']} reverted")
        return max(int(receipt["blockNumber"], 16) for receipt in receipts)

    async def _receipts(self, hashes: list[str], raws: list[str]) -> list[dict[str, str]]:
        reads: list[Call] = [("eth_getTransactionReceipt", (tx_hash,)) for tx_hash in hashes]
        try:
            async with asyncio.timeout(_MINED_SECONDS):
                tries = 0
                while True:
                    tries += 1
                    receipts = await self._rpc.batch(reads)
                    if all(receipts):
                        return receipts
                    if tries % _NUDGE_TRIES == 0:
                        # Seen: anvil held all of them and mined none, or forgot those that a first
                        # block had no room for.
                        for raw, receipt in zip(raws, receipts, strict=True):
                            if not receipt:
                                with suppress(RpcRefused):  # it has that one
                                    await self._rpc.call("eth_sendRawTransaction", raw)
                        await self._rpc.call("evm_mine")
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            detail = f"the contracts are in no block after {_MINED_SECONDS} s"
            raise SourceUnavailable(self._rpc.name, "deploying", detail) from error
