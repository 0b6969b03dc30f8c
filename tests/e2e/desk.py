"""The whole stack from outside: users' wallets, the store, the simulator, and the proof at the end.

Requests are sent many at a time, as signed bytes in one round trip: waiting for each one's block
would make hundreds of them take minutes.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

from eth_typing import HexStr
from temporalio.client import Client, WorkflowHandle

from bronco.devchain import FIRST_USER, DevChainPlan, dev_key, send_together
from bronco.play import Play, open_play
from bronco.proof import prove_at_rest
from bronco.stack import Stack, StackOptions
from clients.keys import UnsignedTx, account_of, sign_with
from clients.sender import ChainSender
from clients.vault import VAULT, VaultClient
from clients.wallet import ERC20, USDT, Requested, Wallet
from models.errors import RetryableError
from models.money import MARKET_BUY_LIMIT, MARKET_SELL_LIMIT, SHARE_SCALE
from models.order import TERMINAL_STATUSES, Order, OrderStatus, Stage
from models.requests import VaultRequest, order_workflow_id, parse_remark
from simulators.opend.control import VenueOrder
from tests.waiting import eventually

DOLLAR = 10**6
PRICE = Decimal(190)
SYMBOL = "AAPL"
DEAREST = 500
"""Dollars that buy a share of anything here."""
ONE_SHARE = 200 * DOLLAR
TWO_SHARES = 400 * DOLLAR
"""At 190 dollars; something comes back."""
_GAS = 400_000
_MAX_FEE = 100 * 10**9
_ALLOWED = 10**30
USERS = 4

# Real waits, scaled so that a test takes seconds. What a wait is for stays as in production.
QUICK: dict[str, str] = {
    # Two answers of the broker are as far apart in their order at 0.2 s as at 5 s.
    "BRONCO_ORDERS_TRY_PAUSE_SECONDS": "0.2",
    # A send may begin for 4 s, and absence counts 2 s after that: 20 s and 60 s in production.
    "BRONCO_ORDERS_SEND_WINDOW_SECONDS": "4",
    "BRONCO_ORDERS_UNKNOWN_FENCE_SECONDS": "2",
    # An answer counts as lost after 2 s, not 15: every lost answer costs a test that long.
    "BRONCO_BROKER_CALL_TIMEOUT_SECONDS": "2",
    # Absence needs two bulk reads after the fence; the cheap list is read each second between.
    "BRONCO_BROKER_POLL_SECONDS": "1.5",
    # One share is decided by one person, two by two.
    "BRONCO_HOUSE_TWO_PERSONS_ABOVE_USD": "300",
    # Backstops stand in for signals that a kill swallowed; tests kill. Held orders are woken by
    # whatever opens trading; 200 of them that look again every few seconds are a load of their own.
    "BRONCO_ORDERS_HOLD_BACKSTOP_SECONDS": "30",
    "BRONCO_ORDERS_BACKSTOP_SECONDS": "3",
    "BRONCO_ORDERS_PLACE_TIMEOUT_SECONDS": "30",
    # The account's windows have tests of their own; 15 orders in 30 s would make 200 take minutes.
    "BRONCO_BROKER_PLACE_LIMIT": "10000",
    "BRONCO_BROKER_PLACE_GAP_SECONDS": "0",
    "BRONCO_BROKER_CHANGE_LIMIT": "10000",
    "BRONCO_BROKER_QUERY_LIMIT": "10000",
    # Tests make orders fail one after the other.
    "BRONCO_ORDERS_BREAKER_FAILURES": "0",
}
# Same reason for the limits; a price that stands still makes every amount exact.
STILL = ("--no-limits", "--price-interval", "0")


def options(
    directory: Path,
    *,
    plan: DevChainPlan | None = None,
    persist: bool = False,
    opend: Sequence[str] = (),
    **settings: str,
) -> StackOptions:
    """The stack of a test; `settings` by name without BRONCO_, in lower case."""
    named = {f"BRONCO_{name.upper()}": value for name, value in settings.items()}
    return StackOptions(
        directory=directory,
        persist=persist,
        ui=False,
        plan=plan or DevChainPlan(users=USERS),
        settings=QUICK | named,
        opend=(*STILL, *opend),
    )


class Desk:
    """One running stack, and everything a test asks it."""

    def __init__(self, play: Play, client: Client) -> None:
        stack, chain = play.stack, play.stack.chain
        self.stack = stack
        self.play = play
        self.client = client
        self.control = stack.control
        self.rpc = play.rpc
        self.store = play.store
        self.sender = ChainSender(self.rpc, vault=chain.vault)
        self.vault = VaultClient(self.rpc, chain_id=chain.chain_id, address=chain.vault)
        self.token = chain.shares[SYMBOL]
        users = range(len(chain.users))
        self.keys = [dev_key(FIRST_USER + index) for index in users]
        self.wallets = [play.wallet(user) for user in users]

    @property
    def alice(self) -> Wallet:
        return self.wallets[0]

    def staff(self, index: int) -> Wallet:
        """Wallet of the admin, the settler, ... by their index in bronco.devchain."""
        return self.play.wallet(index - FIRST_USER)

    async def open(self) -> None:
        """Allow the vault all that the users have."""
        for wallet in self.wallets:
            await wallet.send(USDT, wallet.usdt, "approve", wallet.vault, _ALLOWED)
            for token in self.stack.chain.shares.values():
                await wallet.send(ERC20, token, "approve", wallet.vault, _ALLOWED)

    # --- requests

    async def deposits(
        self,
        count: int,
        amount: int = TWO_SHARES,
        *,
        limit: int = MARKET_BUY_LIMIT,
        lifetime: int = 3600,
        symbol: str = SYMBOL,
    ) -> list[Requested]:
        """Send that many deposits, spread over the users; their order is the order of sending."""
        terms = [self.stack.chain.shares[symbol], amount, limit, await self.deadline(lifetime)]
        return await self._request("deposit", terms, count)

    async def redeems(
        self,
        count: int,
        shares: int = 1,
        *,
        limit: int = MARKET_SELL_LIMIT,
        lifetime: int = 3600,
        symbol: str = SYMBOL,
    ) -> list[Requested]:
        """Send that many redeems; the users must hold the shares."""
        token = self.stack.chain.shares[symbol]
        terms = [token, shares * SHARE_SCALE, limit, await self.deadline(lifetime)]
        return await self._request("redeem", terms, count)

    async def deposit(
        self, amount: int = TWO_SHARES, *, limit: int = MARKET_BUY_LIMIT, lifetime: int = 3600
    ) -> Requested:
        return (await self.deposits(1, amount, limit=limit, lifetime=lifetime))[0]

    async def redeem(
        self, shares: int = 1, *, limit: int = MARKET_SELL_LIMIT, lifetime: int = 3600
    ) -> Requested:
        return (await self.redeems(1, shares, limit=limit, lifetime=lifetime))[0]

    async def holding(self, shares: int = 5, symbol: str = SYMBOL) -> None:
        """Have every user hold at least that many shares, bought as users do."""
        token = self.stack.chain.shares[symbol]
        held = [await wallet.balance(token) for wallet in self.wallets]
        if min(held) < shares * SHARE_SCALE:
            made = await self.deposits(len(self.wallets), shares * DEAREST * DOLLAR, symbol=symbol)
            await self.all_end(made, OrderStatus.EXECUTED)

    def signed(
        self, function: str, terms: Sequence[object], user: int, nonce: int, tip: int = 1
    ) -> str:
        """The bytes of one request of a user's, who receives what comes of it."""
        wallet = self.wallets[user]
        tx = UnsignedTx(
            chain_id=self.stack.chain.chain_id,
            to=wallet.vault,
            nonce=nonce,
            gas=_GAS,
            max_fee=_MAX_FEE,
            max_priority_fee=tip,
            data=VAULT.calldata(function, *terms, wallet.address),
        )
        return sign_with(account_of(self.keys[user]), tx).raw

    async def deposit_bytes(self, amount: int) -> str:
        """A deposit of alice's, signed and not sent."""
        terms = [self.token, amount, MARKET_BUY_LIMIT, await self.deadline(3600)]
        return self.signed("deposit", terms, 0, await self.sender.pending_nonce(self.alice.address))

    async def send(self, raw: str) -> Requested:
        """Send signed bytes, perhaps not for the first time."""
        return (await self.mined([HexStr((await self.sender.broadcast(raw)).tx_hash)]))[0]

    async def reorganise(self, depth: int) -> None:
        """Other, empty blocks in the place of the newest ones; their transactions are gone."""
        await self.rpc.call("anvil_reorg", depth, [])
        await self.rpc.call("anvil_dropAllTransactions")

    async def _request(self, function: str, terms: list[object], count: int) -> list[Requested]:
        nonces = [await self.sender.pending_nonce(w.address) for w in self.wallets]
        raws: list[str] = []
        for index in range(count):
            user = index % len(self.wallets)
            raws.append(self.signed(function, terms, user, nonces[user]))
            nonces[user] += 1
        return await self._all_mined(raws)

    async def requests_of(
        self, user: int, function: str, amount: int, count: int, lifetime: int = 3600
    ) -> list[Requested]:
        """Deposits or redeems of one user at the market."""
        limit = MARKET_BUY_LIMIT if function == "deposit" else MARKET_SELL_LIMIT
        terms = [self.token, amount, limit, await self.deadline(lifetime)]
        nonce = await self.sender.pending_nonce(self.wallets[user].address)
        raws = [self.signed(function, terms, user, nonce + each) for each in range(count)]
        return await self._all_mined(raws)

    async def _all_mined(self, raws: Sequence[str]) -> list[Requested]:
        return await self.mined(await send_together(self.rpc, raws))

    async def mined(self, hashes: Sequence[str]) -> list[Requested]:
        """The requests that these transactions made."""

        async def done() -> list[Requested]:
            receipts = await self.sender.receipts(hashes)
            found = [receipt for receipt in receipts if receipt is not None]
            assert all(receipt.ok for receipt in found), "a request reverted"
            if len(found) < len(hashes):
                return []
            made = [(r, next(e for e in r.events if e.name.endswith("Requested"))) for r in found]
            return [Requested(e.n, e.request_id, r.tx_hash, r.block_number) for r, e in made]

        return await eventually(done, timeout=60)

    async def deadline(self, lifetime: int) -> int:
        """Seconds from now, by the later of the chain's clock and ours."""
        block = await self.rpc.call("eth_getBlockByNumber", "latest", False)
        return max(int(block["timestamp"], 16), int(time.time())) + lifetime

    async def terms(self, made: Requested) -> VaultRequest:
        found = await self.vault.request(made.n, await self.vault.head())
        assert found is not None
        return found

    # --- the desk's own view

    def workflow_id(self, made: Requested) -> str:
        chain = self.stack.chain
        return order_workflow_id(chain.chain_id, chain.vault, made.request_id)

    def workflow(self, made: Requested) -> WorkflowHandle[object, object]:
        return self.client.get_workflow_handle(self.workflow_id(made))

    async def rows(self, made: Sequence[Requested]) -> list[Order]:
        """Rows of those that have one."""
        chain = self.stack.chain
        ids = [one.request_id for one in made]
        return (await self.store.review.requests(chain.chain_id, chain.vault, ids)).rows

    async def wake(self, made: Sequence[Requested]) -> None:
        """Look again, as a resume or reconcile tells held orders."""
        for one in made:
            await self.workflow(one).signal("wake")

    async def looked_again(self, made: Requested, times: int) -> None:
        """Wait until placing was tried so often, and every try is over."""

        async def tried() -> bool:
            events = [event async for event in self.workflow(made).fetch_history_events()]
            begun = {
                event.event_id
                for event in events
                if event.activity_task_scheduled_event_attributes.activity_type.name
                == "place_order"
            }
            over = [
                event
                for event in events
                if event.activity_task_completed_event_attributes.scheduled_event_id in begun
            ]
            return len(over) >= times

        await eventually(tried, timeout=60, interval=0.1)

    async def at(self, made: Requested, *stages: Stage, seconds: float = 60) -> Order:
        """The row, once it shows one of these stages."""
        return (await self.all_at([made], *stages, seconds=seconds))[0]

    async def all_at(
        self, made: Sequence[Requested], *stages: Stage, seconds: float = 60
    ) -> list[Order]:
        """The rows, once all show one of these stages."""
        return await self._all(made, lambda row: row.stage in stages, seconds)

    async def end(self, made: Requested, status: OrderStatus, seconds: float = 60) -> Order:
        """The row at its end, which must be this one."""
        return (await self.all_end([made], status, seconds=seconds))[0]

    async def all_end(
        self, made: Sequence[Requested], status: OrderStatus, seconds: float = 60
    ) -> list[Order]:
        """The rows once all have ended; each must have ended so."""
        rows = await self.all_at_their_end(made, seconds)
        others = [brief(row) for row in rows if row.status is not status]
        assert not others, f"not {status}: {others}"
        return rows

    async def all_at_their_end(self, made: Sequence[Requested], seconds: float) -> list[Order]:
        """The rows once all have ended, however."""
        return await self._all(made, lambda row: row.status in TERMINAL_STATUSES, seconds)

    async def _all(
        self, made: Sequence[Requested], good: Callable[[Order], bool], seconds: float
    ) -> list[Order]:
        """The rows, once each is good; a database that is down has not answered yet."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                rows = {row.request_id: row for row in await self.rows(made)}
            except RetryableError:
                rows = {}
            if len(rows) == len(made) and all(good(row) for row in rows.values()):
                return [rows[one.request_id] for one in made]
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
        left = [brief(row) for row in rows.values() if not good(row)]
        raise AssertionError(
            f"after {seconds:g} s of {len(made)} requests {len(made) - len(rows)} have no row, "
            f"and these are elsewhere: {left}"
        )

    # --- the broker's own view

    async def orders_of(self, *made: Requested) -> list[VenueOrder]:
        """Every order the broker ever had for these requests, whatever became of it."""
        wanted = {one.request_id for one in made}
        ours = [(parse_remark(order.remark), order) for order in await self.control.orders()]
        return [order for parsed, order in ours if parsed is not None and parsed[0] in wanted]

    async def one_order_each(self, made: Sequence[Requested]) -> None:
        """The broker has exactly one order, and one fill's worth, for each of them."""
        orders = await self.orders_of(*made)
        remarks = Counter(order.remark.rpartition(":")[0] for order in orders)
        doubled = {remark: n for remark, n in remarks.items() if n > 1}
        assert not doubled, f"more than one order: {doubled}"
        assert len(orders) == len(made), f"{len(orders)} orders for {len(made)} requests"

    async def placed(self) -> int:
        """PlaceOrder requests that reached the broker, since it started."""
        return (await self.control.count("PlaceOrder")).received

    async def calm(self) -> None:
        """No fault, no pause, market and price as before: what a test leaves to the next."""
        await self.control.clear()
        await self.control.set_market("auto")
        await self.control.set_price(SYMBOL, PRICE)
        if any(pause.until is None for pause in self.play.pauses):
            await self.play.resume()  # a test that failed while it held trading

    async def prove(self) -> None:
        """The money invariants, from chain, broker and database, once every request has ended."""
        verdicts = await prove_at_rest(self.stack, self.play.pauses)
        broken = {name: verdict.detail for name, verdict in verdicts.items() if not verdict.ok}
        assert not broken, f"broken: {broken}"


def brief(row: Order) -> str:
    words = f"{row.request_number} {row.order_type} {row.status}/{row.stage}"
    return f"{words} try {row.retry_count} {row.waiting_for or row.error_msg}"


@asynccontextmanager
async def opened(stack: Stack) -> AsyncIterator[Desk]:
    """A desk at a running stack."""
    async with open_play(stack) as play:
        desk = Desk(play, await stack.client())
        await desk.open()
        yield desk
