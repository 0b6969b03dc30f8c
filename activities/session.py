"""Whether the exchange's calendar lets an order be placed now, and when it will. Pure."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from models.guard import Guard, Trip
from models.messages import PlaceOrderResult, PlaceOutcome
from models.order import Reason
from models.requests import VaultRequest
from models.sessions import Sessions

_SPREAD_STEPS = 2**32


@dataclass(frozen=True)
class OpenLimits:
    """Seconds: margin before the deadline without orders, spread of orders after an open."""

    margin: float
    spread: float


def session_stop(
    terms: VaultRequest, symbol: str, sessions: Sessions, now: float, limits: OpenLimits
) -> PlaceOrderResult | None:
    """Why the request waits or goes back while the exchange is closed; None while it is open.

    The wait ends at the next open, plus a little that is the request's own, so that what came over
    a weekend does not ask for quotes in the same second. Raises BeyondCalendar.
    """
    if sessions.is_open(now):
        return None
    opens = sessions.next_open(now)
    last = terms.deadline - limits.margin
    words = (
        f"{symbol}: {sessions.exchange} is closed, the next session opens {_told(opens, sessions)}"
    )
    if last <= opens:
        late = f"{words}, and the deadline {_told(terms.deadline, sessions)} comes before an order"
        return PlaceOrderResult(
            outcome=PlaceOutcome.REFUND,
            reason=Reason.NO_SESSION,
            detail=str(Trip(Guard.SESSION, late)),
            guard=Guard.SESSION.value,
        )
    spread = min(limits.spread, (last - opens) / 2) * _share(terms.request_id)
    return PlaceOrderResult(
        outcome=PlaceOutcome.WAITING_SESSION,
        detail=str(Trip(Guard.SESSION, words)),
        guard=Guard.SESSION.value,
        retry_seconds=opens - now + spread,
    )


def _told(moment: int, sessions: Sessions) -> str:
    """In the exchange's own zone, as its people say it."""
    return f"{datetime.fromtimestamp(moment, ZoneInfo(sessions.zone)):%a %Y-%m-%d %H:%M %Z}"


def _share(request_id: str) -> float:
    """From 0 to 1, always the same for a request."""
    return int(request_id[-8:], 16) / _SPREAD_STEPS
