"""The chain's part of the bench: bursts of deposits in one block, gas, and when blocks came."""

import asyncio
import time
from collections.abc import Sequence

from bronco.devchain import FIRST_USER, dev_key, send_together
from bronco.stack import Stack
from clients.abi import load_contract
from clients.keys import UnsignedTx, account_of, sign_with
from clients.rpc import Rpc
from clients.sender import ChainSender
from clients.vault import VaultClient, settle_calldata
from clients.wallet import Wallet
from models.chain import SettleItem
from models.errors import SourceUnavailable
from models.money import MARKET_BUY_LIMIT, SHARE_SCALE
from models.requests import VaultRequest

DEPOSIT_UNITS = 1_000 * 10**6
SMALL_UNITS = 20 * 10**6
LIFETIME_SECONDS = 6 * 3600
_APPROVED = 10**15
_GAS = 400_000
# 20 million gas, below anvil's 30 million a block.
_PER_BLOCK = 50
_TICK_SECONDS = 0.004
_USDT = load_contract("DevUSDT")
_VAULT = load_contract("BroncoVault")


class BenchChain:
    """One user's deposits on the stack's chain."""

    def __init__(self, stack: Stack) -> None:
        self.rpc = Rpc(stack.anvil.http_url)
        self._chain = stack.chain
        self._asset = next(iter(stack.chain.shares.values()))
        self._key = dev_key(FIRST_USER)
        self.vault = VaultClient(self.rpc, chain_id=stack.chain.chain_id, address=stack.chain.vault)
        self._sender = ChainSender(self.rpc, vault=stack.chain.vault)
        self._wallet = Wallet(
            self.rpc,
            self._key,
            chain_id=stack.chain.chain_id,
            vault=stack.chain.vault,
            usdt=stack.chain.usdt,
        )

    async def approve(self) -> None:
        """Let the vault take what all deposits need, once."""
        arguments = ("approve", self._chain.vault, _APPROVED)
        await self._wallet.send(_USDT, self._chain.usdt, *arguments)

    async def deposit(self) -> None:
        """One deposit in a block of its own."""
        deadline = int(time.time()) + LIFETIME_SECONDS
        await self._wallet.deposit(
            self._asset, DEPOSIT_UNITS, limit=MARKET_BUY_LIMIT, deadline=deadline
        )

    async def burst(self, count: int) -> None:
        """`count` deposits in as few blocks as hold them, so that they all arrive at once."""
        account = account_of(self._key)
        nonce = await self._sender.pending_nonce(account.address)
        fees = await self._sender.fee_suggestion()
        deadline = int(time.time()) + LIFETIME_SECONDS
        terms = (self._asset, DEPOSIT_UNITS, MARKET_BUY_LIMIT, deadline, account.address)
        first = UnsignedTx(
            chain_id=self._chain.chain_id,
            to=self._chain.vault,
            nonce=nonce,
            gas=_GAS,
            max_fee=fees.max_fee,
            max_priority_fee=fees.max_priority_fee,
            data=_VAULT.calldata("deposit", *terms),
        )
        each = (first.model_copy(update={"nonce": nonce + offset}) for offset in range(count))
        await send_together(self.rpc, [sign_with(account, tx).raw for tx in each])

    async def backlog(self, count: int) -> None:
        """`count` small deposits as fast as the chain takes them: it signs for its dev accounts."""
        account = account_of(self._key)
        deadline = int(time.time()) + LIFETIME_SECONDS
        terms = (self._asset, SMALL_UNITS, MARKET_BUY_LIMIT, deadline, account.address)
        data = _VAULT.calldata("deposit", *terms)
        call = {"from": account.address, "to": self._chain.vault, "data": data, "gas": hex(_GAS)}
        await self.rpc.call("evm_setAutomine", False)
        for first in range(0, count, _PER_BLOCK):
            some = min(_PER_BLOCK, count - first)
            await self.rpc.batch([("eth_sendTransaction", (call,))] * some)
            await self.rpc.call("evm_mine")
        await self.rpc.call("evm_setAutomine", True)
        head = await self.vault.head()
        made = await self.vault.count(head)
        if made < count:
            raise SourceUnavailable("chain", "making requests", f"{made} of {count} were made")

    async def requests(self) -> list[VaultRequest]:
        """Every request of the vault."""
        head = await self.vault.head()
        return await self.vault.requests(1, await self.vault.count(head), head)

    async def block_of(self, tx_hash: str) -> int:
        """Number of the block that holds a transaction."""
        receipt = await self._sender.receipt(tx_hash)
        if receipt is None:
            raise SourceUnavailable("chain", "reading a receipt", f"{tx_hash} is in no block")
        return receipt.block_number

    async def gas_per_settlement(self, count: int) -> int:
        """Gas per item of one batch of `count` deposits, measured and undone."""
        snapshot = await self.rpc.call("evm_snapshot")
        await self.burst(count)
        waiting = (await self.requests())[-count:]
        gas = await self._settle([_filled(request) for request in waiting])
        await self.rpc.call("evm_revert", snapshot)
        return gas // count

    async def _settle(self, items: Sequence[SettleItem]) -> int:
        settler = self._chain.settler
        await self.rpc.call("anvil_impersonateAccount", settler)
        call = {"from": settler, "to": self._chain.vault, "data": settle_calldata(items, ())}
        sent = await self.rpc.call("eth_sendTransaction", call | {"gas": hex(20_000_000)})
        await self.rpc.call("evm_mine")  # anvil answers before it has mined by itself
        await self.rpc.call("anvil_stopImpersonatingAccount", settler)
        receipt = await self._sender.receipt(sent)
        if receipt is None or len([e for e in receipt.events if e.name == "Settled"]) < len(items):
            raise SourceUnavailable("chain", "measuring gas", "not every item was settled")
        return receipt.gas_used


class BlockClock:
    """When each block came, by our own clock: block timestamps have whole seconds only."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self.seen: dict[int, float] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "BlockClock":
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def reach(self, number: int) -> None:
        """Wait until this block was seen."""
        while True:
            if number in self.seen:
                return
            await asyncio.sleep(_TICK_SECONDS)

    async def _watch(self) -> None:
        last = await self._rpc.quantity("eth_blockNumber")
        while True:
            number = await self._rpc.quantity("eth_blockNumber")
            for block in range(last + 1, number + 1):
                self.seen[block] = time.time()
            last = number
            await asyncio.sleep(_TICK_SECONDS)


def _filled(request: VaultRequest) -> SettleItem:
    """Five shares at 190 dollars and the frozen fee."""
    notional = 5 * 190 * 10**6
    fee = notional * request.fee_bps // 10_000
    return SettleItem(
        n=request.n,
        request_id=request.request_id,
        taken=notional + fee,
        out=5 * SHARE_SCALE,
        fee=fee,
        fill_hash="0x" + "11" * 32,
    )
