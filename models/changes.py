"""What happened to orders and to control, in one order: what streams and webhooks are fed from."""

import json
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from models.columns import TABLE_OPTIONS, enum_column, text_column, time_column


class ChangeKind(StrEnum):
    """What a change is about: one order, or the holds."""

    ORDER = "order"
    CONTROL = "control"


class Change(SQLModel, table=True):
    """One change, inserted in the transaction that made it.

    seq: its place, given by whoever reads next; None until then. Places have no gaps and never
    come late, which ids do: a smaller one may be committed after a larger one was read. moved: the
    order's stage, status or filled quantity is another one than before; False: only words are.
    content: the order's row, or the holds, as they were then, JSON.
    """

    __tablename__ = "changes"
    __table_args__ = TABLE_OPTIONS

    id: int | None = Field(default=None, primary_key=True)
    seq: int | None = Field(default=None, unique=True, sa_type=BigInteger)
    kind: ChangeKind = Field(sa_column=enum_column(ChangeKind))
    request_id: str = Field(default="", max_length=66)
    moved: bool = True
    content: str = Field(sa_column=text_column())
    at: datetime = Field(sa_column=time_column(index=True))

    @property
    def data(self) -> dict[str, Any]:
        """What it was then. Amounts are whole numbers of any size."""
        found: dict[str, Any] = json.loads(self.content)
        return found
