"""What readers are told: one change, and whether somebody asked for it."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """What a change is about. RESET: older changes are forgotten; read the orders anew."""

    ORDER = "order"
    CONTROL = "control"
    RESET = "reset"


ALL_KINDS = (Kind.ORDER, Kind.CONTROL)


class Happened(NamedTuple):
    """One change. place: where to go on after it; None: it has none, go on after the one before.

    data: an OrderView, or a PauseStatus, as JSON. keys: what names the order.
    """

    kind: Kind
    data: Mapping[str, Any]
    place: int | None = None
    keys: frozenset[str] = frozenset()


def wanted(change: Happened, kinds: Collection[Kind] = ALL_KINDS, order: str = "") -> bool:
    """Whether a reader asked for it. order: any id of an order, in lower case; "" = all."""
    if change.kind is Kind.RESET:
        return True
    if change.kind not in kinds:
        return False
    return change.kind is not Kind.ORDER or not order or order in change.keys
