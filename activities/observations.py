"""How a mismatch is named and told: the same one has the same key in every run. Pure."""

from collections.abc import Iterable

from models.cases import Case, HouseDue
from models.drafts import Observation
from models.invariants import Violation
from models.records import HousePosition

NO_WORKFLOW = "NO_WORKFLOW"
HOUSE = "HOUSE"
HOUSE_STALE = "HOUSE_STALE"
ROW = "ROW"
ORDERS = "ORDERS"
ITEM_REFUSED = "ITEM_REFUSED"
ITEM_STUCK = "ITEM_STUCK"
POSITION = "POSITION"
MONEY = "MONEY"
OWED = "OWED"
BOOK_STALE = "BOOK_STALE"
RATIO_UNREAD = "RATIO_UNREAD"
ATTESTATION_OLD = "ATTESTATION_OLD"
SUPPLY_UNCOVERED = "SUPPLY_UNCOVERED"
SUPPLY_UNKNOWN = "SUPPLY_UNKNOWN"
RESERVE_SHORT = "RESERVE_SHORT"
ROW_MISSING = "ROW_MISSING"
ROW_BEHIND = "ROW_BEHIND"
ROW_EARLY = "ROW_EARLY"
ITEM_MISSING = "ITEM_MISSING"
RESERVATION = "RESERVATION"
HOLDS = "HOLDS"
STRANGER = "STRANGER"
KINDS = (
    NO_WORKFLOW, HOUSE, HOUSE_STALE, ROW, ORDERS, ITEM_REFUSED, ITEM_STUCK, POSITION, MONEY, OWED,
    BOOK_STALE, RATIO_UNREAD, ATTESTATION_OLD, SUPPLY_UNCOVERED, SUPPLY_UNKNOWN, RESERVE_SHORT,
    ROW_MISSING, ROW_BEHIND, ROW_EARLY, ITEM_MISSING, RESERVATION, HOLDS, STRANGER,
)  # fmt: skip
_KEY_LENGTH = 191


def observed(kind: str, violation: Violation) -> Observation:
    """Of one request there may be several, so its key says which; a sum has one."""
    which = "" if kind == MONEY else f":{violation.detail}"
    key = f"{kind.lower()}:{violation.key}{which}"
    return Observation(key[:_KEY_LENGTH], kind, violation.detail)


def house_key(due: HouseDue) -> str:
    """A total that grows is another finding."""
    return f"house:{due.broker_order_id}:{due.cause}:{due.quantity}"


def due_words(due: HouseDue) -> str:
    """A house position in words."""
    return f"{due.quantity} {due.symbol} of order {due.broker_order_id} ({due.cause})"


def no_longer_due(row: HousePosition) -> HouseDue:
    """What is booked although nothing is due."""
    return HouseDue(
        broker_order_id=row.broker_order_id,
        request_id=row.request_id,
        symbol=row.symbol,
        cause=row.cause,
        quantity=row.quantity,
        cost=row.cost,
        ratio=row.ratio,
    )


def strangers(case: Case) -> Iterable[Observation]:
    """Orders of a request that neither vault nor store were asked about.

    A lost database forgets requests that have long ended: their fills back tokens, so what nobody
    knows is never booked to the house, only held and told.
    """
    for order in case.orders:
        if order.filled or not order.dead:
            detail = f"order {order.order_id} is of a request that nobody here knows"
            yield Observation(f"orders:{case.request_id}:{order.order_id}", ORDERS, detail)
