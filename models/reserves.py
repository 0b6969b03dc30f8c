"""What is held against what is owed, at one block: published, and forecast for redeems.

Amounts are whole: USDT units, token units of 10^-18, whole shares, cents. Nothing in flight is left
out of it: it is named beside the sums it belongs to.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer

from models.canonical import canonical_json
from models.chain import VaultBooks
from models.money import SHARE_SCALE
from models.requests import BlockRef
from models.splits import ONE_TO_ONE, SharesPerToken

DAYS_LOOKED_BACK = 7
HORIZONS = (1, 3)
"""Days ahead that are forecast, beside now."""
Units = Annotated[int, PlainSerializer(str, return_type=str)]
"""Base units: exact at any size, so a string in JSON."""


class ReserveModel(BaseModel):
    """Base of the frozen values here."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Cover(StrEnum):
    """COVERED: shares and tokens add up. IN_FLIGHT: they do, give or take what is named there.

    SHORT, SURPLUS: fewer, or more, shares than explained. UNKNOWN: it could not be measured.
    """

    COVERED = "COVERED"
    IN_FLIGHT = "IN_FLIGHT"
    SHORT = "SHORT"
    SURPLUS = "SURPLUS"
    UNKNOWN = "UNKNOWN"


class ShareReserve(ReserveModel):
    """One symbol. held, house, in_flight: whole shares; held None: the broker did not answer.

    held_units: token units that the shares held, less the house's, stand for. issued_units: minted.
    bought_units, sold_units: traded for open requests, and not yet minted or burned. gap_units:
    held beyond what tokens and trades explain. price_units: USDT units per token; 0 = none known.
    """

    symbol: str
    token: str
    held: int | None
    house: int
    in_flight: int
    shares_per_token: SharesPerToken = ONE_TO_ONE
    held_units: Units = 0
    issued_units: Units
    bought_units: Units = 0
    sold_units: Units = 0
    gap_units: Units = 0
    cover: Cover
    price_units: Units = 0

    @property
    def issued_shares(self) -> Fraction:
        """Shares that the tokens minted stand for."""
        return Fraction(self.issued_units, SHARE_SCALE) * self.shares_per_token.exact

    @property
    def sold_shares(self) -> Fraction:
        """Shares sold for open redeems, whose tokens are not burned yet."""
        return Fraction(self.sold_units, SHARE_SCALE) * self.shares_per_token.exact


class MoneyReserve(ReserveModel):
    """The vault's USDT, units of 10^-decimals. liabilities = escrow + claimable + owed.

    escrow: of open deposits. claimable: given back and not fetched yet. owed: to redeems that were
    settled when there was too little. free: what is the house's, before what is owed.
    """

    decimals: int
    vault_units: Units
    escrow_units: Units
    claimable_units: Units
    owed_units: Units
    liabilities_units: Units
    free_units: Units
    fees_units: Units
    floor_units: Units

    @property
    def surplus_units(self) -> int:
        """What the vault holds beyond its liabilities; negative: it cannot pay them all."""
        return self.vault_units - self.liabilities_units


class Float(ReserveModel):
    """The house's own money on both sides. usdt_units: free less owed, in the vault.

    usd_cents: settled dollars at the broker, rounded down; None: it did not answer. working_cents:
    of these what working buys take, rounded up.
    """

    usdt_units: Units
    usd_cents: Units | None
    working_cents: Units


class RedeemNeed(ReserveModel):
    """What redeems will take until `days` from now: what is open, and the most of so many days.

    past_units: most that was paid out in that many consecutive days of the last week. short_units:
    what is missing of it, by the vault's own money now; deposits to come are not counted.
    """

    days: int
    open_units: Units
    past_units: Units
    need_units: Units
    have_units: Units
    short_units: Units


class InFlight(ReserveModel):
    """What moves while it is looked at. placements: sent, outcome unknown. orders: at the broker.

    settlements: items sent and not mined. requests: open in the vault.
    """

    placements: int
    orders: int
    settlements: int
    requests: int


class Reserves(ReserveModel):
    """One statement. taken_at, broker_at, book_at: UTC; broker_at: when positions were read."""

    chain_id: int
    vault: str
    block: BlockRef
    taken_at: datetime
    broker_at: datetime | None
    book_at: datetime | None
    usdt: MoneyReserve
    float: Float
    shares: tuple[ShareReserve, ...]
    forecast: tuple[RedeemNeed, ...]
    in_flight: InFlight
    problems: tuple[str, ...] = ()

    def text(self) -> str:
        """As it is stored and published."""
        return self.model_dump_json()


def money_of(books: VaultBooks, decimals: int) -> MoneyReserve:
    """What the vault's books say of its USDT."""
    return MoneyReserve(
        decimals=decimals,
        vault_units=books.balance,
        escrow_units=books.escrow,
        claimable_units=books.claimable,
        owed_units=books.owed,
        liabilities_units=books.escrow + books.claimable + books.owed,
        free_units=books.free,
        fees_units=books.fees,
        floor_units=books.floor,
    )


def canonical(statement: Reserves) -> str:
    """The one text of a statement, which is signed."""
    return canonical_json(statement.model_dump(mode="json"))


def forecast(open_units: int, paid: Mapping[date, int], have: int) -> tuple[RedeemNeed, ...]:
    """What redeems will need: now, and at each horizon.

    paid: USDT units paid out by day, of the last week. Day n needs what is open now, and as much as
    the worst n days in a row took: people do again what they have done.
    """
    return tuple(_need(days, open_units, _worst(paid, days), have) for days in (0, *HORIZONS))


def _need(days: int, open_units: int, past: int, have: int) -> RedeemNeed:
    need = open_units + past
    return RedeemNeed(
        days=days,
        open_units=open_units,
        past_units=past,
        need_units=need,
        have_units=have,
        short_units=max(0, need - have),
    )


def _worst(paid: Mapping[date, int], days: int) -> int:
    """Most that so many days in a row took."""
    if not days:
        return 0
    return max((_sum(paid, first.toordinal(), days) for first in paid), default=0)


def _sum(paid: Mapping[date, int], first: int, days: int) -> int:
    return sum(paid.get(date.fromordinal(first + each), 0) for each in range(days))


def short_words(needs: Iterable[RedeemNeed]) -> str:
    """What is missing within a day, in words; empty while nothing is."""
    for need in needs:
        if need.short_units and need.days <= 1:
            when = "now" if not need.days else "within a day"
            return (
                f"redeems need {need.need_units} USDT units {when}, {need.have_units} are free: "
                f"{need.short_units} are missing"
            )
    return ""


def days_of(moments: Sequence[tuple[datetime, int]]) -> dict[date, int]:
    """Amounts by the day (UTC) they were paid on."""
    found: dict[date, int] = {}
    for moment, units in moments:
        found[moment.date()] = found.get(moment.date(), 0) + units
    return found
