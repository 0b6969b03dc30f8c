"""The money invariants, asked of the chain, the broker and the store themselves; never of a log.

What is read here is what an auditor could read: the vault's requests, books and events, the token
supplies, the broker's own orders, holdings and arrivals, and our rows. models/invariants judges.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple

from bronco.stack import Stack
from bronco.trail import AUDITED, Trail, aware, recorded_pauses, untold
from clients.futu_maps import STATUSES
from clients.rpc import Rpc
from clients.sender import vault_events
from clients.shares import ShareReader
from clients.splits import SplitReader
from clients.store.store import Store
from clients.vault import VAULT, VaultClient
from models.broker import BrokerOrder
from models.cases import Case, make_cases
from models.drafts import RequestRecords
from models.invariants import (
    ENDINGS,
    Begun,
    Pause,
    Violation,
    World,
    check_all,
    none_begun_while_paused,
)
from models.order import TERMINAL_STATUSES
from models.records import HousePosition, Placement
from models.requests import BlockRef, Side, VaultStatus, parse_remark
from models.splits import SharesPerToken
from simulators.opend.control import SimulatorControl, VenueOrder

NAMES: Mapping[int, str] = {
    1: "every_request_ends_once",
    2: "tokens_equal_shares",
    3: "vault_money_adds_up",
    4: "every_order_claimed",
    5: "none_placed_while_paused",
    AUDITED: "audit_chain_verifies",
}
_AUDIT_ROWS = 100_000
_POLL_SECONDS = 0.1
_DECIMALS = 6


class Verdict(NamedTuple):
    """One invariant: whether it holds, and every break of it in words."""

    ok: bool
    detail: str = ""


@dataclass(frozen=True)
class SeenPause:
    """A pause as its caller saw it: from its return to the resume. in_flight: remarks it named."""

    since: datetime
    until: datetime | None = None
    in_flight: Collection[str] = ()


@dataclass(frozen=True)
class Truth:
    """What the three sources say at one moment. unended: requests that have not ended yet."""

    world: World
    arrived: Sequence[Begun]
    trail: Trail
    unended: int = 0
    rows_open: int = 0
    placements: int = 0
    pauses: Sequence[SeenPause] = field(default_factory=tuple)


async def gather_truth(stack: Stack, pauses: Sequence[SeenPause] = ()) -> Truth:
    """Read everything, the chain at one block.

    Raises:
        SourceUnavailable, ControlError, OSError: a source could not be asked.
    """
    rpc = Rpc(stack.anvil.http_url)
    store = Store(stack.database_url, pool_size=4)
    try:
        return await _Reader(stack, rpc, store).read(pauses)
    finally:
        await asyncio.to_thread(store.close)
        await rpc.close()


async def prove(stack: Stack, pauses: Sequence[SeenPause] = ()) -> dict[str, Verdict]:
    """The invariants of DESIGN.md ("Proof") by name; call it while nothing is in flight."""
    return judge(await gather_truth(stack, pauses))


async def prove_at_rest(
    stack: Stack, pauses: Sequence[SeenPause] = (), timeout_seconds: float = 20.0
) -> dict[str, Verdict]:
    """`prove` once every request has ended and its row says so, at the latest after the timeout.

    A request that has not ended by then is a break of the first invariant.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    while True:
        truth = await gather_truth(stack, pauses)
        verdicts = judge(truth)
        if not truth.rows_open and all(verdict.ok for verdict in verdicts.values()):
            return verdicts
        if loop.time() > deadline:
            return verdicts | _not_at_rest(truth, verdicts)
        await asyncio.sleep(_POLL_SECONDS)


def judge(truth: Truth) -> dict[str, Verdict]:
    """Each invariant's verdict on what was read. Pure."""
    world = truth.world
    found = [*check_all(world), *_begun_while_seen_paused(truth)]
    found += untold(truth.trail, world.cases, world.house)
    return {
        name: _verdict([violation for violation in found if violation.invariant == number])
        for number, name in NAMES.items()
    }


def _verdict(violations: Sequence[Violation]) -> Verdict:
    words = dict.fromkeys(f"{violation.key}: {violation.detail}" for violation in violations)
    return Verdict(not violations, "; ".join(words))


def _not_at_rest(truth: Truth, verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
    if not truth.rows_open:
        return {}
    name = NAMES[1]
    open_ones = f"{truth.unended} requests are open, {truth.rows_open} rows have not ended"
    words = "; ".join(part for part in (verdicts[name].detail, open_ones) if part)
    return {name: Verdict(False, words)}


def _begun_while_seen_paused(truth: Truth) -> list[Violation]:
    """What reached the broker during a pause, but for what that pause named as in flight."""
    found: list[Violation] = []
    for pause in truth.pauses:
        begun = [one for one in truth.arrived if one.remark not in pause.in_flight]
        found += none_begun_while_paused(begun, [Pause(pause.since, pause.until)])
    return found


class _Reader:
    """Reads the three sources; nothing is written."""

    def __init__(self, stack: Stack, rpc: Rpc, store: Store) -> None:
        self._stack = stack
        self._rpc = rpc
        self._store = store
        self._venue: SimulatorControl = stack.control
        self._vault = VaultClient(rpc, chain_id=stack.chain.chain_id, address=stack.chain.vault)

    async def read(self, pauses: Sequence[SeenPause]) -> Truth:
        """Broker first, then chain, then store: what caused something is read after it."""
        orders = await self._venue.orders()
        positions = await self._positions()
        arrived = await self._arrived(orders)
        at = await self._vault.head()
        terms = await self._vault.requests(1, await self._vault.count(at), at)
        statuses = {request.request_id: request.status for request in terms}
        records = await self._records([*statuses, *_named(orders)])
        cases = make_cases(
            statuses,
            terms=terms,
            rows=records.rows,
            items=records.items,
            claims=records.claims,
            orders=[broker_order(order) for order in orders],
            ratios=(ratios := await self._ratios(at)),
        )
        world = await self._world(cases, positions, at, records)
        trail = await self._trail()
        return Truth(
            world=replace(world, pauses=recorded_pauses(trail.entries), ratios=ratios),
            arrived=arrived,
            trail=trail,
            unended=sum(status is VaultStatus.OPEN for status in statuses.values()),
            rows_open=sum(row.status not in TERMINAL_STATUSES for row in records.rows)
            + len(statuses.keys() - {row.request_id for row in records.rows}),
            placements=len(arrived),
            pauses=tuple(pauses),
        )

    async def _world(
        self,
        cases: list[Case],
        positions: Mapping[str, int],
        at: BlockRef,
        records: RequestRecords,
    ) -> World:
        numbers = [case.terms.n for case in cases if case.terms is not None]
        states = await self._vault.states(numbers, at) if numbers else []
        shares = ShareReader(self._rpc)
        tokens = self._stack.chain.shares
        return World(
            cases=cases,
            supply={symbol: await shares.supply(token, at) for symbol, token in tokens.items()},
            positions=positions,
            books=await self._vault.books(at),
            house=await self._house(cases),
            ends=await self._ends(at),
            owed=[state.owed for state in states],
            begun=begun_of(records.claims),
            money_decimals=_DECIMALS,
        )

    async def _ratios(self, at: BlockRef) -> dict[str, SharesPerToken]:
        """Shares per token by symbol, by the feed that the vault itself lists."""
        splits, found = SplitReader(self._rpc), dict[str, SharesPerToken]()
        for symbol, token in self._stack.chain.shares.items():
            listed = await self._vault.asset(token, at)
            if listed is not None:
                found[symbol] = await splits.ratio(listed.feed, at)
        return found

    async def _house(self, cases: Iterable[Case]) -> list[HousePosition]:
        """Open positions, and resolved ones of orders that are known."""
        filled = [order.order_id for case in cases for order in case.orders if order.filled]
        booked = await asyncio.gather(*(self._store.house.booked(number) for number in filled))
        rows = [*await self._store.house.unresolved(), *(row for rows in booked for row in rows)]
        return list({row.id: row for row in rows}.values())

    async def _records(self, request_ids: Sequence[str]) -> RequestRecords:
        chain = self._stack.chain
        return await self._store.review.requests(chain.chain_id, chain.vault, request_ids)

    async def _positions(self) -> dict[str, int]:
        """Shares bought and sold through orders: what the account began with is nobody's here."""
        held = (await self._venue.account()).positions
        seeded = self._stack.options.positions
        return {symbol: held.get(symbol, 0) - seeded.get(symbol, 0) for symbol in {*held, *seeded}}

    async def _arrived(self, orders: Iterable[VenueOrder]) -> list[Begun]:
        """Every PlaceOrder the broker saw, executed or not; orders outlive its restarts."""
        seen = {(p.remark, p.received_at) for p in await self._venue.placements()}
        noted = {remark for remark, _ in seen}
        seen |= {(o.remark, o.received_at) for o in orders if o.remark not in noted}
        return [Begun(remark, datetime.fromtimestamp(at, UTC)) for remark, at in sorted(seen)]

    async def _ends(self, at: BlockRef) -> list[tuple[str, str]]:
        wanted = {
            "address": self._vault.address,
            "fromBlock": "0x0",
            "toBlock": hex(at.number),
            "topics": [[VAULT.topic(name) for name in ENDINGS]],
        }
        logs = await self._rpc.call("eth_getLogs", wanted)
        return [(event.name, event.request_id) for event in vault_events(logs, self._vault.address)]

    async def _trail(self) -> Trail:
        """Read last: an entry comes with the change that it tells of, and never goes."""
        entries = (await self._store.audit.latest(_AUDIT_ROWS))[::-1]
        return Trail(entries, datetime.now(UTC), await self._store.audit.verify())


def begun_of(claims: Iterable[Placement]) -> list[Begun]:
    """When each right to send was given.

    Burning an attempt that nobody claimed begins nothing: a lost one is burnt whenever its loss is
    noticed, also during a pause.
    """
    return [Begun(claim.remark, aware(claim.created_at)) for claim in claims if claim.granted]


def broker_order(order: VenueOrder) -> BrokerOrder:
    """An order as the broker itself has it, in our words."""
    return BrokerOrder(
        order_id=order.id,
        remark=order.remark,
        symbol=order.code.removeprefix("US."),
        side=Side(order.side),
        quantity=order.quantity,
        price=order.price,
        status=STATUSES[order.status],
        vendor_status=order.status,
        filled=order.filled,
        average_price=order.average,
        error=order.error,
    )


def _named(orders: Iterable[VenueOrder]) -> list[str]:
    parsed = (parse_remark(order.remark) for order in orders)
    return [ours[0] for ours in parsed if ours is not None]
