"""Webhooks: who is told of orders' changes, and how far the telling is."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from models.columns import TABLE_OPTIONS, enum_column, time_column

URL_CHARACTERS = 500
OVERLAP = timedelta(hours=24)
"""How long the secret before still signs too, after it was changed."""


class Webhook(SQLModel, table=True):
    """One endpoint that is told. version: of its secret; the one before signs too until `overlap`.

    cursor: place in `changes` up to which deliveries are written. failures: sends that failed since
    the last that did not; failing_since: the first of them.
    """

    __tablename__ = "webhooks"
    __table_args__ = TABLE_OPTIONS

    id: int | None = Field(default=None, primary_key=True)
    endpoint_id: str = Field(max_length=32, unique=True)
    url: str = Field(max_length=URL_CHARACTERS)
    description: str = Field(default="", max_length=240)
    version: int = 1
    overlap_until: datetime | None = Field(default=None, sa_column=time_column(nullable=True))
    cursor: int = Field(default=0, sa_type=BigInteger)
    failures: int = 0
    failing_since: datetime | None = Field(default=None, sa_column=time_column(nullable=True))
    created_by: str = Field(default="", max_length=64)
    created_at: datetime = Field(sa_column=time_column())
    disabled_at: datetime | None = Field(default=None, sa_column=time_column(nullable=True))
    disabled_reason: str = Field(default="", max_length=240)
    deleted_at: datetime | None = Field(default=None, sa_column=time_column(nullable=True))

    @property
    def active(self) -> bool:
        """Whether anything is sent to it."""
        return self.disabled_at is None and self.deleted_at is None

    def versions(self, now: datetime) -> tuple[int, ...]:
        """The secrets that sign now, newest first. now: naive UTC."""
        overlaps = self.overlap_until is not None and now < self.overlap_until
        return (self.version, self.version - 1) if overlaps else (self.version,)


class DeliveryState(StrEnum):
    """PENDING ▶ DELIVERED, or FAILED when it was tried for days; a replay makes it PENDING anew."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


class Delivery(SQLModel, table=True):
    """One change that one endpoint is to be told of.

    leased_until: whoever sends it now is believed to live until then. last_status: HTTP status of
    the last answer, 0 = there was none.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("endpoint_id", "seq", name="uq_deliveries_change"),
        Index("ix_deliveries_due", "endpoint_id", "state", "request_id", "seq"),
        TABLE_OPTIONS,
    )

    id: int | None = Field(default=None, primary_key=True)
    endpoint_id: str = Field(max_length=32)
    seq: int = Field(sa_type=BigInteger)
    request_id: str = Field(max_length=66)
    state: DeliveryState = Field(sa_column=enum_column(DeliveryState))
    attempts: int = 0
    next_at: datetime = Field(sa_column=time_column())
    leased_until: datetime | None = Field(default=None, sa_column=time_column(nullable=True))
    last_status: int = 0
    last_error: str = Field(default="", max_length=240)
    created_at: datetime = Field(sa_column=time_column(index=True))
    ended_at: datetime | None = Field(default=None, sa_column=time_column(nullable=True))


class Sent(NamedTuple):
    """What came of one send. status 0: no answer. gone: it asked to be told nothing any more."""

    status: int
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the endpoint has it: any 2xx."""
        return 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether it wants nothing any more: https://www.rfc-editor.org/rfc/rfc9110#status.410."""
        return self.status == 410


NOT_KEPT = Sent(0, "the change is not kept any more")
"""There is nothing to send: it is given up at once, and says nothing of the endpoint."""


class RetryPolicy(NamedTuple):
    """When a send is tried again. first, most: the pauses. lifetime: of a change, then it is up."""

    first: timedelta = timedelta(seconds=5)
    most: timedelta = timedelta(hours=4)
    lifetime: timedelta = timedelta(days=5)

    def pause(self, attempts: int) -> timedelta:
        """How long after that many sends: three times as long as before."""
        longer: timedelta = self.first * int(3 ** min(attempts - 1, 20))
        return min(self.most, longer)


class Backlog(NamedTuple):
    """What is still to be told, and what was given up. oldest: of the pending ones, None = none."""

    pending: int
    failed: int
    oldest: datetime | None
