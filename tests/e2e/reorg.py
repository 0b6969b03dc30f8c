"""One reorganisation that meets many requests: each in another phase, each with another fate.

Blocks come only when the script says so. Six users ask; whose transactions are sent again after the
reorganisation, and in which order, decides what becomes of their requests:

  user    asks for   sent again           fate of its requests
  0, 1    deposits, redeems   first       the same number, the same id: it goes on
  2       deposits            never       its numbers go to those of user 3
  3       deposits            second      other numbers, so other ids: the old ones are orphaned
  4, 5    deposits, redeems   never       gone for good
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from bronco.devchain import send_together
from bronco.proof import broker_order
from clients.wallet import Requested
from models.broker import DEAD
from models.money import MARKET_BUY_LIMIT, MARKET_SELL_LIMIT, SHARE_SCALE
from models.order import Stage
from models.records import ItemState, SettlementItem
from models.requests import Side, parse_remark
from simulators.opend.control import VenueOrder
from tests.e2e.desk import DOLLAR, PRICE, TWO_SHARES, Desk
from tests.waiting import eventually

CHEAP = 2_000
"""USDT up to which an order is placed at once; the rest waits for finality."""
FINALITY = 70
"""anvil calls final what is 64 blocks deep."""
_SETTLER_MONEY = 10**19
_PATIENCE = 60


class Phase(StrEnum):
    """How far a request was when its block went."""

    BEFORE = "before order"
    SENT = "order sent"
    FILLED = "filled"
    SETTLING = "settlement sent"
    SETTLED = "settled"


class Fate(StrEnum):
    """What became of its transaction."""

    SAME = "mined again elsewhere"
    REUSED = "number re-used by another request"
    MOVED = "mined again under another number"
    DROPPED = "dropped for good"


class Group(NamedTuple):
    """What one user asks for. tip: who pays more comes first in a block."""

    user: int
    side: Side
    fate: Fate
    tip: int


GROUPS = (
    Group(0, Side.BUY, Fate.SAME, 60),
    Group(1, Side.SELL, Fate.SAME, 50),
    Group(2, Side.BUY, Fate.REUSED, 40),
    Group(3, Side.BUY, Fate.MOVED, 30),
    Group(4, Side.BUY, Fate.DROPPED, 20),
    Group(5, Side.SELL, Fate.DROPPED, 10),
)
# Dollars at which an order fills; none: at once. Beyond the price so that a step of it decides.
_BUYS_AT = {Phase.SENT: 160, Phase.FILLED: 170, Phase.SETTLING: 180}
_SELLS_AT = {Phase.SENT: 220, Phase.FILLED: 210, Phase.SETTLING: 200}
# One dollar further than the order, for the fee is within the limit.
_FILLING = {Phase.SENT: (159, 222), Phase.FILLED: (169, 212), Phase.SETTLING: (179, 202)}


@dataclass
class Entry:
    """One request of the matrix. again: what its transaction made the second time, if anything.

    stayed: its block was not among those that went.
    """

    phase: Phase
    group: Group
    raw: str
    made: Requested
    again: Requested | None = None
    stayed: bool = False

    @property
    def side(self) -> Side:
        return self.group.side

    @property
    def fate(self) -> Fate:
        return self.group.fate

    @property
    def lives(self) -> Requested | None:
        """The request that must end, if any."""
        back = self.stayed or self.fate in (Fate.SAME, Fate.MOVED)
        return self.again if back else None

    @property
    def gone(self) -> bool:
        """Whether the id it had is in the chain no more."""
        return not self.stayed and self.fate is not Fate.SAME

    def __str__(self) -> str:
        return f"{self.phase}, {self.side}, {self.fate} (n {self.made.n})"


class Reorganisation:
    """Requests of one symbol in every phase, and the blocks taken from under them."""

    def __init__(self, desk: Desk, symbol: str, depth: int) -> None:
        self.desk = desk
        self.symbol = symbol
        self.depth = depth
        self.entries: list[Entry] = []
        self.went_at = 0.0
        self.came_back_at = 0.0

    def of(self, *phases: Phase) -> list[Entry]:
        return [entry for entry in self.entries if entry.phase in phases]

    # --- before -------------------------------------------------------------------------------

    async def fill_blocks(self) -> None:
        """The newest `depth` blocks hold every request, and the settlement of one of each group."""
        await self._rpc("evm_setAutomine", False)
        if self.depth == 1:
            # A settlement cannot be in its request's own block: here it is what goes alone.
            await self._ask(Phase.SETTLED)
            await self._sent_off(Phase.SETTLED)
            await self._ask(*(phase for phase in Phase if phase is not Phase.SETTLED))
        else:
            await self._ask(*Phase)
            await self._sent_off(Phase.SETTLED)
            await self._mine(self.depth - 1)
        await self._at(Phase.SETTLED, Stage.SETTLED)
        await self._at(Phase.BEFORE, Stage.CONFIRMING)
        await self._works([e.made for e in self.of(Phase.SENT, Phase.FILLED, Phase.SETTLING)])
        await self._fill(Phase.SETTLING)
        await self._sent_off(Phase.SETTLING)
        # Without gas money nothing more is signed.
        await self._rpc("anvil_setBalance", self.desk.stack.chain.settler, hex(0))
        await self._fill(Phase.FILLED)
        await self._items(Phase.FILLED, ItemState.PENDING)

    async def _ask(self, *phases: Phase) -> None:
        """Requests for these phases, all in one block, by group."""
        deadline = await self.desk.deadline(3600)
        found: list[tuple[Phase, Group, str]] = []
        for group in GROUPS:
            address = self.desk.wallets[group.user].address
            nonce = await self.desk.sender.latest_nonce(address)
            for ahead, phase in enumerate(phases):
                function, *terms = self._terms(phase, group.side)
                raw = self.desk.signed(
                    str(function), [*terms, deadline], group.user, nonce + ahead, group.tip
                )
                found.append((phase, group, raw))
        made = await self._requested([raw for _, _, raw in found])
        self.entries += [
            Entry(phase, group, raw, one)
            for (phase, group, raw), one in zip(found, made, strict=True)
        ]

    def _terms(self, phase: Phase, side: Side) -> tuple[object, ...]:
        token = self.desk.stack.chain.shares[self.symbol]
        dear = phase is Phase.BEFORE
        if side is Side.BUY:
            limit = _BUYS_AT[phase] * DOLLAR if phase in _BUYS_AT else MARKET_BUY_LIMIT
            return "deposit", token, (CHEAP + 100) * DOLLAR if dear else TWO_SHARES, limit
        limit = _SELLS_AT[phase] * DOLLAR if phase in _SELLS_AT else MARKET_SELL_LIMIT
        return "redeem", token, (CHEAP // 190 + 1 if dear else 2) * SHARE_SCALE, limit

    async def _requested(self, raws: Sequence[str]) -> list[Requested]:
        hashes = await send_together(self.desk.rpc, raws)
        await self._mine(1)
        return await self.desk.mined(hashes)

    # --- the reorganisation ---------------------------------------------------------------------

    async def take_blocks(self) -> None:
        """They go, and so does what the node had of them."""
        self.went_at = time.time()
        await self._rpc("anvil_reorg", self.depth, [])
        await self._rpc("anvil_setBalance", self.desk.stack.chain.settler, hex(_SETTLER_MONEY))

    @property
    def vanished(self) -> list[Entry]:
        """Whose request went; at depth 1 only the settlement of the settled ones did."""
        stayed = self.depth == 1
        return [e for e in self.entries if not (stayed and e.phase is Phase.SETTLED)]

    async def noticed(self) -> None:
        """Wait until every row says that its request is gone."""
        made = [entry.made for entry in self.vanished]
        await self.desk.all_at(made, Stage.ORPHANED, seconds=_PATIENCE)

    async def give_back(self) -> None:
        """Mine again what is to come back, in one block, and go on mining as before."""
        back = [e for e in self.vanished if e.fate in (Fate.SAME, Fate.MOVED)]
        self.came_back_at = time.time()
        again = await self._requested([entry.raw for entry in back])
        for entry, one in zip(back, again, strict=True):
            entry.again = one
        for entry in self.entries:
            if entry not in self.vanished:
                entry.again, entry.stayed = entry.made, True
        await self._rpc("evm_setAutomine", True)
        await self._mine(1)

    async def serve(self) -> None:
        """Let the market reach every limit, and blocks make final what waits for that."""
        waiting = [e for e in self.of(Phase.SENT, Phase.FILLED, Phase.SETTLING) if e.lives]
        await self._works([entry.lives for entry in waiting if entry.lives])
        for phase in (Phase.SETTLING, Phase.FILLED, Phase.SENT):
            await self._fill(phase, again=True)
        await self._mine(FINALITY)
        await self.desk.wake([e.lives for e in self.of(Phase.BEFORE) if e.lives])

    # --- waiting --------------------------------------------------------------------------------

    async def _works(self, made: Sequence[Requested]) -> None:
        """Each has an order at the broker that works or has filled."""

        async def all_there() -> bool:
            ours = await self.desk.orders_of(*made)
            there = {_request_of(o) for o in ours if o.filled or broker_order(o).status not in DEAD}
            return {one.request_id for one in made} <= there

        await eventually(all_there, timeout=_PATIENCE, interval=0.1)

    async def _fill(self, phase: Phase, *, again: bool = False) -> None:
        """Move the price down past the buyers' limit and up past the sellers', and back."""
        for side, price in zip(Side, _FILLING[phase], strict=True):
            await self.desk.control.set_price(self.symbol, Decimal(price))
            entries = [entry for entry in self.of(phase) if entry.side is side]
            made = [entry.lives if again else entry.made for entry in entries]
            await self._filled([one for one in made if one is not None])
        await self.desk.control.set_price(self.symbol, PRICE)

    async def _filled(self, made: Sequence[Requested]) -> None:
        async def all_filled() -> bool:
            ours = await self.desk.orders_of(*made)
            return {_request_of(o) for o in ours if o.filled} == {one.request_id for one in made}

        await eventually(all_filled, timeout=_PATIENCE, interval=0.1)

    async def _sent_off(self, phase: Phase) -> None:
        """The settlement of this phase is with the node, and in no block."""
        await self._items(phase, ItemState.SENT)
        batches = {item.batch for item in await self._items(phase, ItemState.SENT)}

        async def pooled() -> bool:
            pool = await self.desk.rpc.call("txpool_status")
            return int(pool["pending"], 16) >= len(batches)

        await eventually(pooled, timeout=_PATIENCE, interval=0.05)

    async def _items(self, phase: Phase, state: ItemState) -> list[SettlementItem]:
        made = [entry.made for entry in self.of(phase)]
        chain = self.desk.stack.chain

        async def all_so() -> list[SettlementItem]:
            ids = [one.request_id for one in made]
            found = (await self.desk.store.review.requests(chain.chain_id, chain.vault, ids)).items
            good = [item for item in found if item.state is state]
            return list(good) if len(good) == len(made) else []

        return await eventually(all_so, timeout=_PATIENCE, interval=0.1)

    async def _at(self, phase: Phase, stage: Stage) -> None:
        await self.desk.all_at([e.made for e in self.of(phase)], stage, seconds=_PATIENCE)

    async def _mine(self, blocks: int) -> None:
        await self._rpc("anvil_mine", hex(blocks))

    async def _rpc(self, method: str, *params: object) -> None:
        await self.desk.rpc.call(method, *params)


def _request_of(order: VenueOrder) -> str:
    parsed = parse_remark(order.remark)
    return parsed[0] if parsed is not None else ""
