"""The house's verbs: what a person may do about a fill that no request may claim. Pure.

position +2 AAPL ─flatten──▶ order at the broker, sold 2 ─▶ row FLATTEN -2 ─▶ net 0: both closed
                 ─adopt────▶ its own request is served with it: closed
                 ─write-off▶ the shares are at the broker no more: closed, and what they had cost
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from models.broker import BrokerOrder, BrokerStatus
from models.records import ClaimState, HousePosition, Placement
from models.requests import OrderRequest, Side

FLATTEN = "FLATTEN"
"""Cause of what the house's own orders filled; it is added to the position they are for."""
_PREFIX = "0x" + b"bronco/house/order\0\0".hex()
_ROUNDS = 2**32 - 1


class HouseVerb(StrEnum):
    """What a person may do about a position."""

    FLATTEN = "flatten"
    ADOPT = "adopt"
    WRITE_OFF = "write-off"


class HouseInput(BaseModel):
    """One verb on one position. act False: only say what it would do."""

    model_config = ConfigDict(frozen=True)

    position_id: int = Field(gt=0)
    verb: HouseVerb
    who: str = Field(min_length=1, max_length=64)
    reason: str = Field(min_length=1, max_length=200)
    act: bool = False


class HouseOutcome(BaseModel):
    """What a verb does or did. refused: why it may not; waits: what it waits for."""

    model_config = ConfigDict(frozen=True)

    verb: HouseVerb
    words: str = ""
    refused: str = ""
    waits: str = ""
    done: bool = False


class HouseDecision(BaseModel):
    """Who stands behind a verb. approved: as many persons as its value asks for."""

    model_config = ConfigDict(frozen=True)

    approved: bool
    proposed_by: str
    confirmed_by: str = ""


class FlattenStep(BaseModel):
    """Where flattening stands, from store and book alone.

    outstanding: signed whole shares that the house still has. number: of the round that is open, or
    comes next. open: that round's order works, or is not known. order: as the book has it.
    """

    model_config = ConfigDict(frozen=True)

    position_id: int
    symbol: str
    outstanding: int
    number: int
    open: bool
    order: BrokerOrder | None = None

    @property
    def request(self) -> OrderRequest:
        """The next or open round, as the steps at the broker take it."""
        return house_request(self.position_id, self.number, self.symbol, self.side)

    @property
    def side(self) -> Side:
        """Of the open order, else of what is left to trade."""
        if self.order is not None and self.open:
            return self.order.side
        return Side.SELL if self.outstanding > 0 else Side.BUY


@dataclass(frozen=True)
class HouseStanding:
    """A position, and its own orders' claims (oldest first) with what the book has of each."""

    row: HousePosition
    rounds: Sequence[tuple[Placement, BrokerOrder | None]] = ()

    @property
    def outstanding(self) -> int:
        """Signed whole shares: what was booked, and what its orders have traded since."""
        if self.row.resolved_at is not None:
            return 0
        return self.row.quantity + sum(traded(order) for _, order in self.rounds)

    @property
    def value(self) -> Decimal:
        """Dollars that it cost or brought when it was filled: what a second person is asked for."""
        return abs(self.row.cost)

    @property
    def step(self) -> FlattenStep:
        """Where flattening stands."""
        number, working = len(self.rounds) + 1, None
        for claim, order in self.rounds:
            if _is_open(claim, order):
                parsed = house_round(claim.request_id)
                number, working = (parsed or (0, number))[1], order
                return self._step(number, working, is_open=True)
        return self._step(number, None, is_open=False)

    def _step(self, number: int, order: BrokerOrder | None, *, is_open: bool) -> FlattenStep:
        return FlattenStep(
            position_id=self.row.id or 0,
            symbol=self.row.symbol,
            outstanding=self.outstanding,
            number=number,
            open=is_open,
            order=order,
        )


def traded(order: BrokerOrder | None) -> int:
    """Signed whole shares that an order filled: sold = negative."""
    if order is None:
        return 0
    return order.filled if order.side is Side.BUY else -order.filled


def _is_open(claim: Placement, order: BrokerOrder | None) -> bool:
    if order is not None:
        return not (order.dead or order.status is BrokerStatus.FILL_CANCELLED)
    return claim.state in (ClaimState.CLAIMED, ClaimState.PLACED)


def house_id(position_id: int, number: int) -> str:
    """What stands for the request id of a position's order; no vault has one that begins so.

    Each round has its own, so that one order is sent for it and never a second.

    Raises:
        ValueError: the numbers do not fit.
    """
    if not (0 < position_id < 2**64 and 0 <= number <= _ROUNDS):
        raise ValueError(f"no house order {number} of position {position_id}")
    return f"{_PREFIX}{position_id:016x}{number:08x}"


def house_round(request_id: str) -> tuple[int, int] | None:
    """(position id, round) of one of the house's orders; None for a request's."""
    if not request_id.lower().startswith(_PREFIX):
        return None
    rest = request_id[len(_PREFIX) :]
    return int(rest[:16], 16), int(rest[16:], 16)


def house_ids(position_id: int) -> tuple[str, str]:
    """First and last id of a position's orders, in their order as text."""
    return house_id(position_id, 0), house_id(position_id, _ROUNDS)


def house_request(position_id: int, number: int, symbol: str, side: Side) -> OrderRequest:
    """One round in the shape of a request; no chain and no vault know it."""
    return OrderRequest(
        chain_id=0,
        vault="",
        n=position_id,
        request_id=house_id(position_id, number),
        side=side,
        user="house",
        symbol=symbol,
    )


def house_workflow_id(position_id: int) -> str:
    """One workflow acts on a position at a time."""
    return f"house-{position_id}"
