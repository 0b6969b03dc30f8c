"""What a caller asked to be done once: its key, its body, and the answer it had."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import Field, SQLModel

from models.columns import TABLE_OPTIONS, text_column, time_column


class RequestKey(SQLModel, table=True):
    """One Idempotency-Key of one caller at one route.

    scope: SHA-256 of caller, route and key; digest: of path, query and body. token: of whoever
    carries it out now, until `runs_until`. status 0: not answered yet. answer: the body as it was
    sent; `kept` False: it may be kept nowhere, so only that it was done is known.
    """

    __tablename__ = "request_keys"
    __table_args__ = TABLE_OPTIONS

    scope: str = Field(max_length=64, primary_key=True)
    digest: str = Field(max_length=64)
    token: str = Field(max_length=32)
    status: int = 0
    media_type: str = Field(default="", max_length=80)
    answer: str = Field(default="", sa_column=text_column())
    kept: bool = True
    runs_until: datetime = Field(sa_column=time_column())
    created_at: datetime = Field(sa_column=time_column(index=True))


class Turn(StrEnum):
    """What a request with a key is to do."""

    GO = "GO"
    ANSWERED = "ANSWERED"
    RUNNING = "RUNNING"
    OTHER_BODY = "OTHER_BODY"


@dataclass(frozen=True, slots=True)
class Admitted:
    """turn: what to do. row: as stored; in case of GO its token is the caller's."""

    turn: Turn
    row: RequestKey
