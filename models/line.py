"""Who stands in line for a slot of the broker account's window, and where."""

from dataclasses import dataclass

from models.requests import Side


@dataclass(frozen=True)
class Waiter:
    """Who asks for a slot. request_id: its place in line; remark: whose the slot becomes."""

    request_id: str
    remark: str
    side: Side
    owner: str


@dataclass(frozen=True)
class Turn:
    """mine: the slot is taken. Else its place in line.

    place: 0 = next. slot_in: seconds until its slot opens. back_in: seconds until it must ask again
    to keep the place. turned_away: the owner has so many in line already, it has no place.
    """

    mine: bool
    place: int = 0
    slot_in: float = 0.0
    back_in: float = 0.0
    turned_away: int = 0


@dataclass(frozen=True)
class Place:
    """place: 0 = next. slot_in: seconds until its slot opens as things are."""

    place: int
    slot_in: float
