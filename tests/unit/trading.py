"""A real store on SQLite that can break, and an outside that notes what happens in which order."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from clients.store.store import Store
from models.assets import Asset, AssetBook
from models.broker import BrokerOrder, BrokerStatus, OrderTicket
from models.chain import ZERO_HASH, AssetTerms
from models.control import Permit, Refusal
from models.errors import SourceUnavailable
from models.line import Turn, Waiter
from models.requests import BlockRef, OrderRequest, Side, VaultRequest
from models.splits import NextSplit, SharesPerToken, SplitState
from tests.builders import CHAIN_ID, SYMBOL, TOKEN, VAULT, block, order_request, vault_request

ASSETS = AssetBook(assets=(Asset(symbol=SYMBOL, token=TOKEN, feed=TOKEN),))
Call = Callable[..., Awaitable[Any]]


class BreakingStore:
    """The store, with each write noted, and broken before or after the ones that a test names."""

    def __init__(self, store: Store, log: list[str]) -> None:
        self.real = store
        self.log = log
        self.lost_before: set[str] = set()
        self.lost_after: set[str] = set()

    def __getattr__(self, part: str) -> "_Part":
        return _Part(self, part)


class _Part:
    def __init__(self, store: BreakingStore, name: str) -> None:
        self._store = store
        self._name = name

    def __getattr__(self, method: str) -> Call:
        real: Call = getattr(getattr(self._store.real, self._name), method)
        name = f"{self._name}.{method}"

        async def call(*args: Any, **kwargs: Any) -> Any:
            if name in self._store.lost_before:
                raise SourceUnavailable("database", name, "lost before")
            answer = await real(*args, **kwargs)
            self._store.log.append(name)
            if name in self._store.lost_after:
                raise SourceUnavailable("database", name, "lost after")
            return answer

        return call


class FakeBroker:
    """Takes every order unless told what else to say."""

    account = "acc-1"
    endpoint = "127.0.0.1:11112"
    moved_at: datetime | None = None

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.sent: list[tuple[OrderTicket, float]] = []
        self.error: Exception | None = None
        self.not_sent = False

    async def place(self, ticket: OrderTicket, deadline_seconds: float) -> BrokerOrder:
        if not self.not_sent:
            self.log.append("send")
            self.sent.append((ticket, deadline_seconds))
        if self.error is not None:
            raise self.error
        return BrokerOrder(
            order_id=f"F-{ticket.remark[-1]}",
            status=BrokerStatus.SUBMITTING,
            vendor_status="",
            **ticket.model_dump(),
        )


class FakeFlags:
    """Redis as one worker sees it."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.turns: list[Turn] = []
        self.waiters: list[Waiter] = []
        self.answer: Refusal | None = None
        self.down: set[str] = set()
        self.in_flight: set[str] = set()
        self.forgets = False
        self.slots: set[str] = set()

    def line(self, account: str, call: str) -> "FakeFlags":
        return self

    async def ask(self, waiter: Waiter, limit: int, window: float, most: int) -> Turn:
        self._ask("slot")
        self.waiters.append(waiter)
        turn = self.turns.pop(0) if self.turns else Turn(mine=True)
        if turn.mine:
            self.slots.add("place")
        return turn

    async def leave(self, request_id: str) -> None:
        self._ask("leave")

    async def use_slot(self, account: str, call: str, member: str, *_: float) -> float:
        self._ask("use")
        return 0.0

    async def keep_slot(self, account: str, call: str, member: str) -> None:
        self._ask("keep")

    async def drop_slot(self, account: str, call: str, member: str) -> None:
        self._ask("drop")
        self.slots.discard(call)

    async def begin_placement(
        self, remark: str, side: Side, symbol: str, expires_seconds: float
    ) -> Permit | Refusal:
        self._ask("begin")
        if self.answer is not None:
            return self.answer
        self.in_flight.add(remark)
        return Permit(remark=remark, version=1, since="")

    async def is_in_flight(self, remark: str) -> bool:
        return remark in self.in_flight and not self.forgets

    async def end_placement(self, remark: str) -> None:
        self._ask("end")
        self.in_flight.discard(remark)

    def _ask(self, doing: str) -> None:
        if doing in self.down:
            raise SourceUnavailable("flags", doing, "no answer")
        self.log.append(doing)


@dataclass
class FakeVault:
    """One request at the agreed head."""

    terms: VaultRequest | None = field(default_factory=vault_request)
    at: BlockRef = field(default_factory=block)
    decimals: int = 6
    reference: int = 190_000_000
    created_at: int = 0
    chain_id: int = CHAIN_ID
    address: str = VAULT

    async def head(self) -> BlockRef:
        return self.at

    async def request(self, n: int, at: BlockRef) -> VaultRequest | None:
        assert at == self.at
        return self.terms

    async def reference_price(self, token: str, at: BlockRef) -> int:
        return self.reference

    async def asset(self, token: str, at: BlockRef) -> AssetTerms | None:
        return AssetTerms(
            token=token,
            feed=token,
            heartbeat=3600,
            band_bps=500,
            gap_bps=0,
            feed_decimals=8,
            open=True,
        )

    async def block(self, number: int) -> BlockRef | None:
        return BlockRef(number=number, hash="0x", timestamp=self.created_at)

    async def usdt(self, at: BlockRef) -> tuple[str, int]:
        return TOKEN, self.decimals


@dataclass
class FakeSplits:
    """What the reference says about splits; ratio: now, born: when the request was made.

    split_at: Unix seconds from which the ratio of now is in force.
    """

    ratio_now: SharesPerToken = field(default_factory=SharesPerToken)
    born: SharesPerToken = field(default_factory=SharesPerToken)
    upcoming: NextSplit | None = None
    split_at: int | None = None
    down: bool = False

    async def state(self, feed: str, at: BlockRef, *, margin_seconds: float) -> SplitState:
        self._ask()
        epoch = self.ratio_now.epoch
        return SplitState(self.ratio_now, self.upcoming, priced_epoch=epoch, settled_epoch=epoch)

    async def ratio(self, feed: str, at: BlockRef) -> SharesPerToken:
        self._ask()
        return self.ratio_now

    async def ratio_then(self, feed: str, moment: int, at: BlockRef) -> SharesPerToken:
        self._ask()
        after = self.split_at is not None and moment >= self.split_at
        return self.ratio_now if after else self.born

    def _ask(self) -> None:
        if self.down:
            raise SourceUnavailable("oracle", "reading shares per token", "no answer")


class FakeGateway:
    def __init__(self) -> None:
        self.settlements = 0

    async def wake_settlement(self) -> bool:
        self.settlements += 1
        return True


class FakeSender:
    async def request_tx_hash(self, request: VaultRequest) -> str:
        return ZERO_HASH


def request_of(terms: VaultRequest) -> OrderRequest:
    return order_request(terms.n, terms.side, request_id=terms.request_id)
