"""Who may do what at the API: roles, and keys."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlmodel import Field, SQLModel

from models.columns import TABLE_OPTIONS, enum_column, naive_utc, time_column

KEY_NAME = r"^[a-z0-9][a-z0-9._-]{1,39}$"
"""Names of keys go into the audit log as the one who did it."""


class Role(StrEnum):
    """What a key is for. ADMIN may all; OPERATOR and APPROVER may not do each other's work."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


class Caller(NamedTuple):
    """Who asks. named: whether the name is a person's or a program's own (a stored key has one)."""

    name: str
    role: Role
    named: bool = True


class ApiKey(SQLModel, table=True):
    """One key of the API, known by the SHA-256 of its text alone.

    key_id: the public part of the key's text. Up to two keys of one name are valid at a time, while
    one takes over from the other.
    """

    __tablename__ = "api_keys"
    __table_args__ = TABLE_OPTIONS

    id: int | None = Field(default=None, primary_key=True)
    key_id: str = Field(max_length=16, unique=True)
    name: str = Field(max_length=40, index=True)
    role: Role = Field(sa_column=enum_column(Role))
    digest: str = Field(max_length=64)
    created_by: str = Field(default="", max_length=64)
    created_at: datetime = Field(sa_column=time_column())
    expires_at: datetime = Field(sa_column=time_column())
    revoked_at: datetime | None = Field(default=None, sa_column=time_column(nullable=True))
    last_used_at: datetime | None = Field(default=None, sa_column=time_column(nullable=True))

    def valid(self, now: datetime) -> bool:
        """Whether it opens anything at this moment."""
        return self.revoked_at is None and naive_utc(now) < self.expires_at

    @property
    def caller(self) -> Caller:
        """Who asks with it."""
        return Caller(self.name, self.role)


class DashboardSession(SQLModel, table=True):
    """One sign-in at the dashboard, known by the SHA-256 of its cookie alone.

    identity: which key opened it (api/auth.py spells it); it is asked for its role at each request,
    so a session never outlives its key.
    """

    __tablename__ = "dashboard_sessions"
    __table_args__ = TABLE_OPTIONS

    digest: str = Field(max_length=64, primary_key=True)
    identity: str = Field(max_length=80)
    created_at: datetime = Field(sa_column=time_column())
    expires_at: datetime = Field(sa_column=time_column(index=True))
    ended_at: datetime | None = Field(default=None, sa_column=time_column(nullable=True))

    def valid(self, now: datetime) -> bool:
        """Whether it opens anything at this moment."""
        return self.ended_at is None and naive_utc(now) < self.expires_at
