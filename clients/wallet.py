"""A user's wallet on a dev chain: what the CLI, the demo and tests do on behalf of a user.

Each call sends one transaction (an approval first where one is missing) and waits until it is
mined. It is no part of the desk: it holds a plain key and asks no policy.
"""

import asyncio
from typing import NamedTuple

from eth_account.signers.local import LocalAccount

from clients.abi import ContractAbi, load_contract
from clients.keys import UnsignedTx, account_of, sign_with
from clients.rpc import Rpc, RpcRefused
from clients.sender import ChainSender
from clients.vault import VAULT
from models.chain import DEV_CHAIN_IDS, BroadcastOutcome, TxReceipt
from models.errors import ConfigurationError, FinalError, SourceUnavailable

ERC20 = load_contract("ShareToken")
USDT = load_contract("DevUSDT")
_DECLARING = (VAULT, ERC20, USDT, load_contract("DevFeed"))
_POLL_SECONDS = 0.05


class CallReverted(FinalError):
    """A contract refused a call. error: name of its custom error, "" when it gave none we know."""

    def __init__(self, function: str, sentence: str, error: str = "") -> None:
        super().__init__(f"{function} was refused: {sentence}")
        self.function = function
        self.error = error


class Requested(NamedTuple):
    """A new request: its number, id, transaction and block."""

    n: int
    request_id: str
    tx_hash: str
    block_number: int


class Wallet:
    """One account on one dev chain; calls of one wallet are made one after the other."""

    def __init__(self, rpc: Rpc, private_key: str, *, chain_id: int, vault: str, usdt: str) -> None:
        if chain_id not in DEV_CHAIN_IDS:
            problem = f"the wallet's plain key is for dev chains, this is chain {chain_id}"
            raise ConfigurationError("chain id", problem)
        self._rpc = rpc
        self._account: LocalAccount = account_of(private_key)
        self._chain_id = chain_id
        self._sender = ChainSender(rpc, vault=vault)
        self._lock = asyncio.Lock()
        self.vault = vault
        self.usdt = usdt
        self.address = str(self._account.address)

    async def deposit(
        self, asset: str, amount: int, *, limit: int, deadline: int, recipient: str = ""
    ) -> Requested:
        """Approve and deposit `amount` USDT units. limit: USDT units per share, all-in."""
        await self._approve(self.usdt, amount)
        args = (asset, amount, limit, deadline, recipient or self.address)
        return _requested(await self.send(VAULT, self.vault, "deposit", *args))

    async def redeem(
        self, asset: str, shares: int, *, limit: int, deadline: int, recipient: str = ""
    ) -> Requested:
        """Approve and hand in `shares` share units for USDT. limit: USDT units per share, net."""
        await self._approve(asset, shares)
        args = (asset, shares, limit, deadline, recipient or self.address)
        return _requested(await self.send(VAULT, self.vault, "redeem", *args))

    async def request_cancel(self, n: int) -> TxReceipt:
        """Ask once for request n to be cancelled."""
        return await self.send(VAULT, self.vault, "requestCancel", n)

    async def reclaim(self, n: int) -> TxReceipt:
        """Take the escrow of request n back, once its reclaimAt has passed."""
        return await self.send(VAULT, self.vault, "reclaim", n)

    async def claim(self, token: str, to: str) -> TxReceipt:
        """Take what `token` once refused to deliver, to any address."""
        return await self.send(VAULT, self.vault, "claim", token, to)

    async def balance(self, token: str) -> int:
        """Units of a token this wallet holds."""
        return await self.read(ERC20, token, "balanceOf", self.address)

    async def claimable(self, token: str) -> int:
        """Units of a token that wait for `claim`."""
        return await self.read(VAULT, self.vault, "claimable", token, self.address)

    async def read(self, abi: ContractAbi, address: str, function: str, *args: object) -> int:
        """A view that answers with one number, at the newest block."""
        target = {"to": address, "data": abi.calldata(function, *args)}
        result = await self._rpc.call("eth_call", target, "latest")
        try:
            return int(abi.decode_result(function, result)[0])
        except (ValueError, TypeError) as error:
            raise SourceUnavailable(self._rpc.name, f"reading {function}", str(error)) from error

    async def send(self, abi: ContractAbi, address: str, function: str, *args: object) -> TxReceipt:
        """Send one call and wait for it.

        Raises:
            CallReverted: the contract refuses it; nothing was sent.
            SourceUnavailable: it could not be asked, or the transaction is not mined in 30 s.
        """
        return await self.transact(function, address, abi.calldata(function, *args))

    async def transact(self, doing: str, to: str, data: str) -> TxReceipt:
        """Send calldata (to "": creation code) and wait until it is mined. Raises as `send`."""
        async with self._lock:
            gas = await self._gas(doing, to, data)
            fees = await self._sender.fee_suggestion()
            tx = UnsignedTx(
                chain_id=self._chain_id,
                to=to,
                nonce=await self._sender.pending_nonce(self.address),
                gas=gas,
                max_fee=fees.max_fee,
                max_priority_fee=fees.max_priority_fee,
                data=data,
            )
            sent = await self._sender.broadcast(sign_with(self._account, tx).raw)
            if sent.outcome not in (BroadcastOutcome.ACCEPTED, BroadcastOutcome.ALREADY_KNOWN):
                raise SourceUnavailable(self._rpc.name, doing, sent.detail)
            return await self._mined(doing, sent.tx_hash)

    async def _gas(self, doing: str, to: str, data: str) -> int:
        call = {"from": self.address, "data": data} | ({"to": to} if to else {})
        try:
            estimate = await self._rpc.quantity("eth_estimateGas", call)
        except RpcRefused as refused:
            raise _reverted(doing, refused) from refused
        return estimate * 5 // 4

    async def _mined(self, doing: str, tx_hash: str) -> TxReceipt:
        try:
            async with asyncio.timeout(30):
                while True:
                    receipt = await self._sender.receipt(tx_hash)
                    if receipt is not None:
                        break
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            detail = f"transaction {tx_hash} is in no block after 30 s"
            raise SourceUnavailable(self._rpc.name, doing, detail) from error
        if not receipt.ok:
            raise CallReverted(doing, f"transaction {tx_hash} reverted")
        return receipt

    async def _approve(self, token: str, amount: int) -> None:
        """Allow the vault `amount`; USDT wants an approval to pass through zero."""
        allowed = await self.read(ERC20, token, "allowance", self.address, self.vault)
        if allowed >= amount:
            return
        if allowed:
            await self.send(USDT, token, "approve", self.vault, 0)
        await self.send(USDT, token, "approve", self.vault, amount)


def _requested(receipt: TxReceipt) -> Requested:
    made = next(e for e in receipt.events if e.name in ("DepositRequested", "RedeemRequested"))
    return Requested(made.n, made.request_id, receipt.tx_hash, receipt.block_number)


def _reverted(doing: str, refused: RpcRefused) -> Exception:
    for abi in _DECLARING:
        error = abi.decode_error(refused.data)
        if error is not None:
            return CallReverted(doing, str(error), error.name)
    if refused.data or "revert" in refused.text.lower():
        return CallReverted(doing, refused.text)
    return refused
