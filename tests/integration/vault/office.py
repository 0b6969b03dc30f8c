"""The people around one vault in process, for tests of what they may and may not do."""

from collections.abc import Sequence
from decimal import Decimal

from eth_account import Account

from bronco.deployment import FIRST_USER, DevChainPlan, dev_address, dev_key
from clients.abi import load_contract
from clients.approvals import Approval, Signing, approved_settlement, settlement_data, signable
from clients.attesting import MONITOR
from clients.vault import settle_calldata
from clients.wallet import ERC20
from models.chain import RefundItem, Rejection, SettleItem
from models.money import MARKET_BUY_LIMIT
from models.requests import VaultRequest, VaultStatus
from tests.integration.vault.desk import DOLLAR, bought
from tests.integration.vault.revm import CHAIN_ID, Event, Revm

FEED = load_contract("DevFeed")
LIST = load_contract("EligibilityList")
HOUR = 3600
APPROVERS = tuple(FIRST_USER + 10 + i for i in range(3))


class Office:
    """One vault on revm; calls are made by address, no keys asked."""

    def __init__(self, plan: DevChainPlan | None = None) -> None:
        self.revm = Revm(plan)
        self.dev = self.revm.chain
        self.share = self.dev.shares["AAPL"]
        self.feed = self.dev.feeds["AAPL"]
        self.reference = self.dev.references["AAPL"]
        self.alice, self.bob, self.carol, *_ = self.dev.users
        for user in self.dev.users:
            for token in (self.dev.usdt, self.share):
                self.revm.call(user, "approve", self.dev.vault, 2**255, abi=ERC20, to=token)

    # --- users

    async def deposit(
        self, who: str, amount: int, *, limit: int = MARKET_BUY_LIMIT, recipient: str = ""
    ) -> VaultRequest:
        terms = (self.share, amount, limit, self.revm.now + HOUR, recipient or who)
        (event,) = self.revm.call(who, "deposit", *terms)
        return await self.revm.request(event.args["n"])

    async def redeem(self, who: str, shares: int, *, limit: int = 0) -> VaultRequest:
        terms = (self.share, shares, limit, self.revm.now + HOUR, who)
        (event,) = self.revm.call(who, "redeem", *terms)
        return await self.revm.request(event.args["n"])

    async def holder(self, who: str, shares: int) -> None:
        request = await self.deposit(who, (shares + 1) * 195 * DOLLAR)
        assert self.settle([bought(request, shares)]) == []

    def tell_monitor(self, args: Sequence[object]) -> None:
        self.revm.transact(self.carol, self.dev.monitor, MONITOR.calldata("attest", *args))

    # --- the desk

    def settle(
        self, items: Sequence[SettleItem], refunds: Sequence[RefundItem] = ()
    ) -> list[tuple[int, Rejection]]:
        """What of a batch was refused."""
        data = settle_calldata(items, refunds)
        events = self.revm.events(self.revm.transact(self.dev.settler, self.dev.vault, data))
        return refusals(events)

    def caps(
        self,
        minted: int = 2**96 - 1,
        paid: int = 2**96 - 1,
        *,
        window: int = 86_400,
        returned: int = 2**128 - 1,
    ) -> None:
        self.revm.call(self.dev.admin, "configureCaps", (minted, paid, window), returned)

    def price(self, dollars: Decimal) -> None:
        answer = int(dollars * 10**8)
        self.revm.call(self.dev.admin, "setAnswer", answer, abi=FEED, to=self.feed)

    def stale(self) -> None:
        self.revm.call(self.dev.admin, "setRound", 190 * 10**8, 1, abi=FEED, to=self.feed)

    def listing(self, *, allowing: bool) -> str:
        """A list of who may hold shares, in force; its owner is the admin."""
        address = self.revm.create(LIST, self.dev.admin, allowing)
        self.revm.call(self.dev.admin, "configureEligibility", address)
        return address

    def mark(self, address: str, who: str, *, on: bool) -> None:
        self.revm.call(self.dev.admin, "list", [who], on, abi=LIST, to=address)

    # --- approvals

    def approvers(self, threshold: int = 2, indexes: Sequence[int] = APPROVERS) -> None:
        signers = sorted((dev_address(i) for i in indexes), key=lambda one: int(one, 16))
        self.revm.call(self.dev.admin, "configureApprovers", signers, threshold)

    def signing(self, *, seconds: int = HOUR) -> Signing:
        epoch = self.revm.read("approvers")
        return Signing(CHAIN_ID, self.dev.vault, epoch, self.revm.now + seconds)

    def approve(self, item: SettleItem) -> None:
        """Settle by approvals of three whom the admin names for it."""
        self.approvers()
        signing = self.signing()
        data = settlement_data(item, signing)
        approvals = [signed(data, index) for index in APPROVERS]
        self.transact(approved_settlement(item, signing.deadline, approvals))

    def transact(self, data: str, who: str = "") -> list[Event]:
        """Anybody's call of the vault."""
        return self.revm.events(self.revm.transact(who or self.carol, self.dev.vault, data))

    # --- reading

    def balance(self, who: str, token: str = "") -> int:
        return int(self.revm.read("balanceOf", who, abi=ERC20, to=token or self.dev.usdt))

    async def status(self, n: int) -> VaultStatus:
        return (await self.revm.request(n)).status


def signed(data: dict[str, object], index: int) -> Approval:
    """A dev account's signature."""
    signature = Account.sign_message(signable(data), dev_key(index)).signature
    return Approval(dev_address(index), bytes(signature))


def refusals(events: Sequence[Event]) -> list[tuple[int, Rejection]]:
    """What a batch's events say was refused."""
    return [
        (event.args["n"], Rejection(event.args["code"]))
        for event in events
        if event.name == "SettlementRejected"
    ]
