"""The invariants of DESIGN.md ("Proof"), computed from plain data: what breaks one, and where.

1 every request ended exactly once, or is open and accounted for
2 token supply + bought, not minted - sold, not burned = (broker position - house) in tokens
3 vault USDT = escrow + claimable + free, and what is owed is known
4 no broker order without a claim, one live order per request, fills within the request
5 no placement began while trading was paused
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from models.broker import BrokerOrder, BrokerStatus
from models.cases import Case
from models.chain import VaultBooks
from models.money import units_burned, units_exact, usd_to_units_up, whole_units_down
from models.order import OrderStatus, Stage
from models.records import HousePosition, ItemKind, ItemState
from models.requests import Side, VaultRequest, VaultStatus
from models.splits import ONE_TO_ONE, SharesPerToken

ENDINGS = ("Settled", "Refunded", "Reclaimed")
_ENDED_AS: Mapping[VaultStatus, OrderStatus] = {
    VaultStatus.SETTLED: OrderStatus.EXECUTED,
    VaultStatus.REFUNDED: OrderStatus.FAILED,
    VaultStatus.RECLAIMED: OrderStatus.FAILED,
}
LEFT_OVER = 10**9
_UNFINISHED = frozenset({OrderStatus.PENDING, OrderStatus.EXECUTING})


class Violation(NamedTuple):
    """One break of one invariant. key names what it is about, the same in every run."""

    invariant: int
    key: str
    detail: str


class Pause(NamedTuple):
    """Trading was paused from `since`; until None = it still is."""

    since: datetime
    until: datetime | None = None


class Begun(NamedTuple):
    """One placement that began."""

    remark: str
    at: datetime


@dataclass(frozen=True)
class World:
    """All that the invariants speak of, read while nothing is in flight.

    supply: token units by symbol. positions: whole shares by symbol. ends: the vault's Settled,
    Refunded and Reclaimed events as (event, request id). owed: what each request is owed.
    money_decimals: of the vault's money token. ratios: shares per token now, by symbol; 1 where
    nothing is said.
    """

    cases: Sequence[Case]
    supply: Mapping[str, int]
    positions: Mapping[str, int]
    books: VaultBooks
    house: Sequence[HousePosition] = ()
    ends: Sequence[tuple[str, str]] | None = None
    owed: Sequence[int] | None = None
    begun: Sequence[Begun] = ()
    pauses: Sequence[Pause] = ()
    money_decimals: int = 6
    ratios: Mapping[str, SharesPerToken] = field(default_factory=dict)


def check_all(world: World) -> list[Violation]:
    """Every violation of invariants 1 to 5."""
    terms = [case.terms for case in world.cases if case.terms is not None]
    return [
        *ended_once(world.cases, world.ends),
        *position_holds(world.cases, world.supply, world.positions, world.house, world.ratios),
        *money_holds(world.books, terms, world.owed),
        *orders_claimed(world.cases, world.house, world.money_decimals),
        *none_begun_while_paused(world.begun, world.pauses),
    ]


# --- 1 ------------------------------------------------------------------------------------------


def ended_once(
    cases: Iterable[Case], ends: Sequence[tuple[str, str]] | None = None
) -> list[Violation]:
    """Every request ended exactly once, or is open and accounted for."""
    counted = None if ends is None else _count_ends(ends)
    found: list[Violation] = []
    for case in cases:
        words = [_row_problem(case), _item_problem(case)]
        if counted is not None:
            words.append(_ends_problem(case, counted[case.request_id]))
        found += [Violation(1, case.request_id, word) for word in words if word]
    return found


def _count_ends(ends: Sequence[tuple[str, str]]) -> Counter[str]:
    return Counter(request_id.lower() for name, request_id in ends if name in ENDINGS)


def _ends_problem(case: Case, ends: int) -> str:
    wanted = 1 if case.status in _ENDED_AS else 0
    return "" if ends == wanted else f"{case.status.name} with {ends} ends on chain"


def _row_problem(case: Case) -> str:
    if case.row is None:
        unknown = case.status is not VaultStatus.NONE
        return f"{case.status.name} in the vault without a row" if unknown else ""
    status, stage = case.row.status, case.row.stage
    if case.status is VaultStatus.NONE:
        gone = stage is Stage.ORPHANED
        return "" if gone else f"row is {status}, {stage}, but the vault has no such request"
    if case.status is VaultStatus.OPEN:
        return "" if status in _UNFINISHED else f"row is {status}, but the vault holds it open"
    wanted = _ENDED_AS[case.status]
    return "" if status is wanted else f"row is {status}, but the vault says {case.status.name}"


def _item_problem(case: Case) -> str:
    if case.status is VaultStatus.SETTLED and not case.item_units:
        return "settled, but not by an item of ours"
    if case.item is None:
        return ""
    if case.item.state is ItemState.FINAL and case.status is VaultStatus.OPEN:
        return "its item is final, but the vault holds it open"
    if case.item.kind is ItemKind.SETTLE and case.status is VaultStatus.REFUNDED:
        return "refunded, although its item settles a fill"
    return ""


# --- 2 ------------------------------------------------------------------------------------------


def position_holds(
    cases: Sequence[Case],
    supply: Mapping[str, int],
    positions: Mapping[str, int],
    house: Iterable[HousePosition],
    ratios: Mapping[str, SharesPerToken] | None = None,
) -> list[Violation]:
    """Tokens are backed by shares: per symbol, exactly but for what conversions leave over."""
    booked = list(house)
    symbols = {*supply, *positions, *(row.symbol for row in booked if row.resolved_at is None)}
    found: list[Violation] = []
    for symbol in sorted(symbols):
        ratio = (ratios or {}).get(symbol, ONE_TO_ONE)
        held = positions.get(symbol, 0)
        gap = position_gap(symbol, cases, supply.get(symbol, 0), held, booked, ratio)
        if not 0 <= gap <= left_over(ratio):
            detail = f"broker minus house exceeds tokens and unsettled fills by {gap} units"
            found.append(Violation(2, symbol, detail))
    return found


def position_gap(
    symbol: str,
    cases: Iterable[Case],
    supply: int,
    position: int,
    house: Iterable[HousePosition],
    ratio: SharesPerToken = ONE_TO_ONE,
) -> int:
    """Token units at the broker, the house's apart, beyond what tokens and open fills explain.

    position: whole shares now, ratio: what a token is of them now. Fills and the house's rows count
    by their own ratio: a share from before a split is several now.
    """
    pending = sum(
        case.unsettled if case.side is Side.BUY else -case.unsettled
        for case in cases
        if case.symbol == symbol
    )
    left = units_exact(position, ratio)
    for row in house:
        if row.symbol == symbol and row.resolved_at is None:
            left -= units_exact(row.quantity, row.ratio)
    return whole_units_down(left) - pending - supply


def left_over(ratio: SharesPerToken) -> int:
    """Most token units that conversions may have left unminted: none before the first split.

    Each fill leaves less than one unit, always to the backing. A billionth of a token is room for a
    billion fills and still worth nothing.
    """
    return LEFT_OVER if ratio.epoch else 0


# --- 3 ------------------------------------------------------------------------------------------


def money_holds(
    books: VaultBooks, requests: Iterable[VaultRequest], owed: Sequence[int] | None = None
) -> list[Violation]:
    """The vault's money is where its books say, and the books are what the requests add up to.

    requests: all that are open, at least.
    """
    found: list[Violation] = []
    accounted = books.escrow + books.claimable + books.free
    if books.balance != accounted:
        found.append(Violation(3, "balance", f"{books.balance} held, {accounted} accounted for"))
    open_deposits = sum(
        request.amount
        for request in requests
        if request.status is VaultStatus.OPEN and request.side is Side.BUY
    )
    if books.escrow != open_deposits:
        detail = f"{books.escrow} in escrow, open deposits are {open_deposits}"
        found.append(Violation(3, "escrow", detail))
    if owed is not None and books.owed != sum(owed):
        found.append(Violation(3, "owed", f"{books.owed} owed, requests lack {sum(owed)}"))
    return found


# --- 4 ------------------------------------------------------------------------------------------


def orders_claimed(
    cases: Iterable[Case], house: Iterable[HousePosition] = (), money_decimals: int = 6
) -> list[Violation]:
    """Every order of ours had its claim, works alone, and filled no more than was asked.

    What the house has booked is out of the request's account, so it breaks nothing any more.
    """
    booked: Counter[str] = Counter()
    for row in house:
        booked[row.broker_order_id] += abs(row.quantity)
    found: list[Violation] = []
    for case in cases:
        words = [*_order_problems(case, booked), _beyond_request(case, booked, money_decimals)]
        found += [Violation(4, case.request_id, word) for word in words if word]
    return found


def _order_problems(case: Case, booked: Mapping[str, int]) -> list[str]:
    words: list[str] = []
    for order in case.orders:
        claim = case.claim_of(order)
        own = order.filled - booked.get(order.order_id, 0)
        if claim is None and (own or not _dead(order)):
            words.append(f"order {order.order_id} has no claim")
        if claim is not None and own > claim.quantity:
            words.append(f"order {order.order_id} filled {own} of {claim.quantity}")
    live = [order.order_id for order in case.orders if not _dead(order)]
    if len(live) > 1:
        words.append(f"orders {', '.join(live)} are live at once")
    remarks = Counter(order.remark for order in case.orders)
    words += [f"{n} orders carry remark {remark}" for remark, n in remarks.items() if n > 1]
    return words


def _beyond_request(case: Case, booked: Mapping[str, int], money_decimals: int) -> str:
    """Attempts may each be within their claim, and together beyond what was escrowed."""
    if case.terms is None:
        return ""
    own = [(order, order.filled - booked.get(order.order_id, 0)) for order in case.orders]
    used: int
    if case.side is Side.SELL:
        used = sum(units_burned(filled, case.ratio_of(order)) for order, filled in own)
    else:
        costs = [order.average_price * filled for order, filled in own]
        used = sum(int(usd_to_units_up(cost, money_decimals)) for cost in costs)
    amount = case.terms.amount
    return f"fills take {used} units of {amount}" if used > amount else ""


def _dead(order: BrokerOrder) -> bool:
    return order.dead or order.status is BrokerStatus.FILL_CANCELLED


# --- 5 ------------------------------------------------------------------------------------------


def none_begun_while_paused(begun: Iterable[Begun], pauses: Sequence[Pause]) -> list[Violation]:
    """No placement began between a pause's return and its end."""
    return [
        Violation(5, one.remark, f"began at {one.at}, trading was paused from {since} to {until}")
        for one in begun
        for since, until in pauses
        if since < one.at and (until is None or one.at < until)
    ]
