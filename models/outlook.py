"""What is told of an order whose outcome is unknown: why, what is done, and until when. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from models.records import AuditEntry

UNKNOWN_ACTION = "order.unknown"
"""Action of the audit entry that keeps it: the first one of an attempt stays."""
_ROW_CHARACTERS = 255
_DOING = "it is looked for in the broker's book and not sent again before that is certain"


class UnknownOutlook(BaseModel):
    """Why an outcome is unknown, what is being done, and when it ends. Times are UTC and fixed.

    decided_by: while the broker answers, it is known by then whether it has the order; if it has
    not, the refund is on its way. works_until: if it has, nothing of it works later than that, and
    what did not fill is returned. money_back_by: from then on the owner can take the escrow out of
    the vault alone, whoever of us is down.
    """

    model_config = ConfigDict(frozen=True)

    attempt: int
    cause: str
    doing: str = _DOING
    decided_by: datetime
    works_until: datetime | None = None
    money_back_by: datetime | None = None

    @property
    def words(self) -> str:
        """The whole of it in one line that fits a row."""
        rest = f": {self.doing}, decided by {_clock(self.decided_by)}"
        if self.money_back_by is not None:
            rest += f"; the money is back by {self.money_back_by:%Y-%m-%d %H:%MZ} at the latest"
        return self.cause[: _ROW_CHARACTERS - len(rest)] + rest

    @property
    def data(self) -> dict[str, Any]:
        """For the audit entry."""
        return self.model_dump(mode="json")


def unknown_outlook(
    *,
    attempt: int,
    cause: str,
    since: datetime,
    proof: timedelta,
    deadline: int = 0,
    reclaim_at: int = 0,
) -> UnknownOutlook:
    """What is known now. proof: from `since` to two reads of the broker's book without it.

    since: last moment it may be sent, or our first look where that is later, naive UTC. deadline,
    reclaim_at: the request's, Unix seconds; 0 = its row was lost, so not known here.
    """
    return UnknownOutlook(
        attempt=attempt,
        cause=cause or "the broker's answer was lost",
        decided_by=since.replace(tzinfo=UTC) + proof,
        works_until=_moment(deadline),
        money_back_by=_moment(reclaim_at),
    )


def last_outlook(
    entries: Sequence[AuditEntry], attempt: int | None = None
) -> UnknownOutlook | None:
    """What was told last, of one attempt or of any; None where no outcome was unknown."""
    told = (entry for entry in reversed(entries) if entry.action == UNKNOWN_ACTION)
    found = (UnknownOutlook.model_validate_json(entry.data) for entry in told)
    return next((outlook for outlook in found if attempt in (None, outlook.attempt)), None)


def _moment(unix: int) -> datetime | None:
    return datetime.fromtimestamp(unix, UTC) if unix else None


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"
