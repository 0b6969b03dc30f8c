"""A user's wallet on a dev chain: what the CLI, the demo and tests do on behalf of a user.

Each call sends one transaction (an approval first where one is missing) and waits until it is
mined. It is no part of the desk: it holds a plain key and asks no policy.
"""

from typing import NamedTuple

from clients.abi import ContractAbi, load_contract
from clients.carrier import CallReverted as CallReverted
from clients.carrier import Carrier
from clients.keys import account_of
from clients.rpc import Rpc
from clients.vault import VAULT
from models.chain import DEV_CHAIN_IDS, TxReceipt
from models.errors import ConfigurationError, SourceUnavailable

ERC20 = load_contract("ShareToken")
USDT = load_contract("DevUSDT")
_DECLARING = (VAULT, ERC20, USDT, load_contract("DevFeed"))


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
        account = account_of(private_key)
        self._carrier = Carrier(rpc, account, chain_id=chain_id, vault=vault, declaring=_DECLARING)
        self.vault = vault
        self.usdt = usdt
        self.address = self._carrier.address

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
        return await self._carrier.transact(doing, to, data)

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
