"""What a scene is played with: users' wallets, the broker's control, and the sources to ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from api.switch import TradingSwitch
from bronco.devchain import FIRST_USER, dev_key
from bronco.proof import SeenPause
from bronco.stack import Stack
from clients.flags import Flags
from clients.rpc import Rpc
from clients.sender import ChainSender
from clients.store.store import Store
from clients.vault import VaultClient
from clients.wallet import Requested, Wallet
from models.chain import VaultEvent
from models.control import HoldCommand, PauseResult
from models.errors import BroncoError, NotFound
from models.money import MARKET_BUY_LIMIT, MARKET_SELL_LIMIT
from models.order import TERMINAL_STATUSES, Order
from models.requests import Side, VaultRequest, VaultStatus, parse_remark
from simulators.opend.control import SimulatorControl, VenueOrder

T = TypeVar("T")
LIFETIME_SECONDS = 3600
WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.05


class SceneFailed(BroncoError):
    """Something did not come about, or came about differently."""


@dataclass(frozen=True)
class Balances:
    """What a user holds: USDT units and share units."""

    usdt: int
    shares: int


@dataclass(frozen=True)
class Asked:
    """One request a user made, and what the user held before."""

    made: Requested
    user: int
    side: Side
    symbol: str
    amount: int
    before: Balances


@dataclass(frozen=True)
class Ended:
    """How a request ended, from the vault, its event, the row and the broker."""

    asked: Asked
    terms: VaultRequest
    event: VaultEvent
    row: Order
    orders: tuple[VenueOrder, ...]
    after: Balances


@dataclass
class Play:
    """A running stack, and hands and eyes for it. pauses: every pause made here, for the proof."""

    stack: Stack
    rpc: Rpc
    store: Store
    switch: TradingSwitch
    pauses: list[SeenPause] = field(default_factory=list)
    _wallets: dict[int, Wallet] = field(default_factory=dict)

    @property
    def venue(self) -> SimulatorControl:
        """The broker's own side: faults in, its truth out."""
        return self.stack.control

    @property
    def vault(self) -> VaultClient:
        """The vault, through one endpoint."""
        chain = self.stack.chain
        return VaultClient(self.rpc, chain_id=chain.chain_id, address=chain.vault)

    def wallet(self, user: int) -> Wallet:
        """Wallet of user 0, 1, 2, ..."""
        chain = self.stack.chain
        if user not in self._wallets:
            key = dev_key(FIRST_USER + user)
            self._wallets[user] = Wallet(
                self.rpc, key, chain_id=chain.chain_id, vault=chain.vault, usdt=chain.usdt
            )
        return self._wallets[user]

    async def balances(self, user: int, symbol: str = "AAPL") -> Balances:
        """What a user holds now."""
        wallet, chain = self.wallet(user), self.stack.chain
        usdt = await wallet.balance(chain.usdt)
        return Balances(usdt, await wallet.balance(chain.shares[symbol]))

    async def deposit(
        self, amount: int, *, user: int = 0, symbol: str = "AAPL", limit: int = MARKET_BUY_LIMIT
    ) -> Asked:
        """A user hands in USDT units for shares."""
        before = await self.balances(user, symbol)
        token = self.stack.chain.shares[symbol]
        made = await self.wallet(user).deposit(token, amount, limit=limit, deadline=_deadline())
        return Asked(made, user, Side.BUY, symbol, amount, before)

    async def redeem(
        self, units: int, *, user: int = 0, symbol: str = "AAPL", limit: int = MARKET_SELL_LIMIT
    ) -> Asked:
        """A user hands in share units for USDT."""
        before = await self.balances(user, symbol)
        token = self.stack.chain.shares[symbol]
        made = await self.wallet(user).redeem(token, units, limit=limit, deadline=_deadline())
        return Asked(made, user, Side.SELL, symbol, units, before)

    async def row(self, asked: Asked) -> Order | None:
        """The request's row; None while there is none."""
        chain = self.stack.chain
        try:
            return await self.store.orders.get(chain.chain_id, chain.vault, asked.made.request_id)
        except NotFound:
            return None

    async def orders_of(self, asked: Asked) -> tuple[VenueOrder, ...]:
        """The broker's orders for a request, oldest first."""
        found = [(parse_remark(order.remark), order) for order in await self.venue.orders()]
        return tuple(o for ours, o in found if ours and ours[0] == asked.made.request_id)

    async def arrivals_of(self, asked: Asked) -> int:
        """How many PlaceOrders for a request reached the broker since it started."""
        found = [parse_remark(placement.remark) for placement in await self.venue.placements()]
        return sum(1 for ours in found if ours and ours[0] == asked.made.request_id)

    async def ended(self, asked: Asked, seconds: float = WAIT_SECONDS) -> Ended:
        """Wait until the vault has ended the request and its row says so.

        Raises:
            SceneFailed: it has not by then; the sentence names where it stands.
        """

        async def closed() -> Order | None:
            row = await self.row(asked)
            return row if row is not None and row.status in TERMINAL_STATUSES else None

        row = await self.until(closed, f"request {asked.made.n} has ended", seconds, asked)
        at = await self.vault.head()
        terms = await self.vault.request(asked.made.n, at)
        if terms is None or terms.status in (VaultStatus.NONE, VaultStatus.OPEN):
            raise SceneFailed(f"request {asked.made.n} is {row.status}, but open in the vault")
        event = await ChainSender(self.rpc, vault=self.stack.chain.vault).ending(terms, at)
        if event is None:
            raise SceneFailed(f"request {asked.made.n} ended without an event")
        after = await self.balances(asked.user, asked.symbol)
        return Ended(asked, terms, event, row, await self.orders_of(asked), after)

    async def until(
        self,
        ask: Callable[[], Awaitable[T | None]],
        what: str,
        seconds: float = WAIT_SECONDS,
        asked: Asked | None = None,
    ) -> T:
        """Ask until there is an answer that is true.

        Raises:
            SceneFailed: there was none in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = await ask()
            if found:
                return found
            if time.monotonic() > deadline:
                where = await self._where(asked) if asked else ""
                raise SceneFailed(f"not so after {seconds:g} s: {what}{where}")
            await asyncio.sleep(_POLL_SECONDS)

    async def pause(self, reason: str, *, cancel_working: bool = False) -> PauseResult:
        """Pause all trading, as an operator would; perhaps also cancel what works at the broker.

        Raises:
            SceneFailed: the pause was not confirmed.
        """
        command = HoldCommand(reason=reason, who="demo", cancel_working=cancel_working)
        answer = await self.switch.pause(command)
        returned = datetime.now(UTC)
        if not answer.confirmed or answer.result is None:
            raise SceneFailed(f"the pause was not confirmed: {answer.note}")
        named = frozenset(flight.remark for flight in answer.result.in_flight)
        self.pauses.append(SeenPause(returned, None, named))
        return answer.result

    async def resume(self) -> None:
        """Lift the pause.

        Raises:
            SceneFailed: it was not confirmed.
        """
        asked_at = datetime.now(UTC)
        answer = await self.switch.resume(HoldCommand(who="demo"))
        if not answer.confirmed:
            raise SceneFailed(f"the resume was not confirmed: {answer.note}")
        self.pauses[:] = [
            pause if pause.until else SeenPause(pause.since, asked_at, pause.in_flight)
            for pause in self.pauses
        ]

    async def _where(self, asked: Asked) -> str:
        row = await self.row(asked)
        if row is None:
            return " (no row)"
        return f" (row: {row.status}, {row.stage}; {row.waiting_for or row.error_msg})"


@asynccontextmanager
async def open_play(stack: Stack) -> AsyncIterator[Play]:
    """Connections for scenes on a running stack, closed in the end."""
    rpc = Rpc(stack.anvil.http_url)
    store = Store(stack.database_url, pool_size=4)
    flags = Flags(stack.settings.redis.url.get_secret_value())
    try:
        yield Play(stack, rpc, store, TradingSwitch(await stack.client(), flags))
    finally:
        await flags.close()
        await asyncio.to_thread(store.close)
        await rpc.close()


def _deadline() -> int:
    return int(time.time()) + LIFETIME_SECONDS
