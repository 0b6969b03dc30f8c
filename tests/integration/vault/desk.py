"""Everybody around one vault on one dev chain, as tests speak of them."""

from decimal import Decimal
from typing import Any

from bronco.devchain import ADMIN, FIRST_USER, GUARDIAN, SETTLER, TREASURER, DevChain, dev_key
from clients.abi import load_contract
from clients.rpc import Rpc
from clients.sender import ChainSender, gas_limit_for
from clients.vault import VAULT, VaultClient, settle_calldata
from clients.wallet import ERC20, USDT, Wallet
from models.chain import RefundItem, Rejection, SettleItem, TxReceipt, VaultBooks
from models.money import (
    MARKET_BUY_LIMIT,
    MARKET_SELL_LIMIT,
    Settlement,
    buy_settlement,
    sell_settlement,
)
from models.requests import BlockRef, VaultRequest, VaultStatus
from tests.waiting import eventually

FEED = load_contract("DevFeed")
REFERENCE = load_contract("ShareReference")
DOLLAR = 10**6
SHARE = 10**18
PRICE = Decimal(190)
FILL_HASH = "0x" + "ab" * 32
HOUR = 3600


class Desk:
    """One deployed dev chain and a wallet for each person."""

    def __init__(self, rpc: Rpc, chain: DevChain) -> None:
        self.rpc = rpc
        self.chain = chain
        self.address = chain.vault
        self.usdt = chain.usdt
        self.share = chain.shares["AAPL"]
        self.feed = chain.feeds["AAPL"]
        self.reference = chain.references["AAPL"]
        self.vault = VaultClient(rpc, chain_id=chain.chain_id, address=chain.vault)
        self.sender = ChainSender(rpc, vault=chain.vault)
        self.admin = self.wallet(ADMIN)
        self.settler = self.wallet(SETTLER)
        self.guardian = self.wallet(GUARDIAN)
        self.treasurer = self.wallet(TREASURER)
        self.alice = self.wallet(FIRST_USER)
        self.bob = self.wallet(FIRST_USER + 1)
        self.carol = self.wallet(FIRST_USER + 2)

    def wallet(self, index: int) -> Wallet:
        return Wallet(
            self.rpc,
            dev_key(index),
            chain_id=self.chain.chain_id,
            vault=self.chain.vault,
            usdt=self.chain.usdt,
        )

    # --- reading

    async def head(self) -> BlockRef:
        return await self.vault.head()

    async def books(self) -> VaultBooks:
        return await self.vault.books(await self.head())

    async def request(self, n: int) -> VaultRequest:
        found = await self.vault.request(n, await self.head())
        assert found is not None
        return found

    async def status(self, n: int) -> VaultStatus:
        return (await self.vault.states([n], await self.head()))[0].status

    async def deadline(self, seconds: int = HOUR) -> int:
        return (await self.head()).timestamp + seconds

    async def supply(self) -> int:
        return await self.alice.read(ERC20, self.share, "totalSupply")

    # --- users

    async def deposit(
        self, wallet: Wallet, amount: int, *, limit: int = MARKET_BUY_LIMIT, recipient: str = ""
    ) -> VaultRequest:
        made = await wallet.deposit(
            self.share, amount, limit=limit, deadline=await self.deadline(), recipient=recipient
        )
        return await self.request(made.n)

    async def redeem(
        self, wallet: Wallet, shares: int, *, limit: int = MARKET_SELL_LIMIT, recipient: str = ""
    ) -> VaultRequest:
        made = await wallet.redeem(
            self.share, shares, limit=limit, deadline=await self.deadline(), recipient=recipient
        )
        return await self.request(made.n)

    async def holder(self, wallet: Wallet, shares: int) -> None:
        """Give the wallet share tokens the only way there is."""
        request = await self.deposit(wallet, (shares + 1) * 195 * DOLLAR)
        receipt = await self.settle([bought(request, shares)])
        assert rejections(receipt) == []

    # --- the desk

    async def settle(
        self, items: list[SettleItem], refunds: list[RefundItem] | None = None
    ) -> TxReceipt:
        """With the gas the settlement sends: an estimate leaves none to pay debts with."""
        data, gas = settle_calldata(items, refunds or []), gas_limit_for(items, refunds or [])
        receipt = await self.send_as(self.settler.address, self.address, data, gas)
        # Asked again it says why it reverted.
        return receipt if receipt.ok else await self.settler.transact("settle", self.address, data)

    async def configure(
        self, *, min_deposit: int = 10 * DOLLAR, fee_bps: int = 20, floor: int = 0
    ) -> None:
        await self.call(self.admin, "configureTerms", min_deposit, fee_bps, floor)

    async def configure_asset(
        self,
        *,
        feed: str = "",
        heartbeat: int = 86_400,
        band: int = 2_500,
        gap: int = 5_000,
        is_open: bool = True,
    ) -> None:
        terms = (self.share, feed or self.reference, heartbeat, band, gap, is_open, SHARE)
        await self.call(self.admin, "configureAsset", *terms)

    async def split(self, numerator: int, denominator: int, seconds: int = 100) -> int:
        """So many seconds from now a token is so many shares; gives that time."""
        # The newest block may be from before a snapshot's return, which leaves the clock ahead.
        await self.rpc.call("evm_mine")
        at = (await self.head()).timestamp + seconds
        terms = (0, numerator, denominator, at)
        await self.admin.send(REFERENCE, self.reference, "scheduleSplit", *terms)
        return at

    async def set_price(self, dollars: Decimal) -> None:
        await self.admin.send(FEED, self.feed, "setAnswer", int(dollars * 10**8))

    async def make_stale(self) -> None:
        await self.admin.send(FEED, self.feed, "setRound", 190 * 10**8, 1)

    async def block(self, account: str, *, blocked: bool = True) -> None:
        await self.admin.send(USDT, self.usdt, "setBlocked", account, blocked)

    async def empty_the_vault(self) -> None:
        """Withdraw all that may be withdrawn."""
        available = await self.alice.read(VAULT, self.address, "withdrawableUsdt")
        await self.call(self.treasurer, "withdraw", self.treasurer.address, available)

    async def mined(self, tx_hash: str) -> TxReceipt:
        """The receipt; anvil mines at once, but not before it answers."""

        async def found() -> tuple[TxReceipt, ...]:
            receipt = await self.sender.receipt(tx_hash)
            return () if receipt is None else (receipt,)

        return (await eventually(found))[0]

    async def send_as(self, sender: str, to: str, data: str, gas: int) -> TxReceipt:
        """Send from an account that anvil signs for, without asking first whether it works."""
        call = {"from": sender, "data": data, "gas": hex(gas)} | ({"to": to} if to else {})
        return await self.mined(await self.rpc.call("eth_sendTransaction", call))

    async def call(self, wallet: Wallet, function: str, *args: Any) -> TxReceipt:
        return await wallet.send(VAULT, self.address, function, *args)

    async def warp_to(self, timestamp: int) -> None:
        """Let the next block, mined here, have this time."""
        await self.rpc.call("evm_setNextBlockTimestamp", timestamp)
        await self.rpc.call("evm_mine")


def item(request: VaultRequest, terms: Settlement, *, fill_hash: str = FILL_HASH) -> SettleItem:
    return SettleItem(
        n=request.n,
        request_id=request.request_id,
        taken=terms.taken,
        out=terms.out,
        fee=terms.fee,
        fill_hash=fill_hash,
    )


def bought(request: VaultRequest, shares: int, price: Decimal = PRICE) -> SettleItem:
    return item(request, buy_settlement(shares, price, request.fee_bps, 6))


def sold(request: VaultRequest, shares: int, price: Decimal = PRICE) -> SettleItem:
    return item(request, sell_settlement(shares, price, request.fee_bps, 6))


def refund(request: VaultRequest, reason: int = 1) -> RefundItem:
    return RefundItem(n=request.n, request_id=request.request_id, reason=reason)


def rejections(receipt: TxReceipt) -> list[tuple[int, Rejection]]:
    found = [event for event in receipt.events if event.name == "SettlementRejected"]
    return [(event.n, event.rejection) for event in found]


def names(receipt: TxReceipt) -> list[str]:
    return [event.name for event in receipt.events]
