"""The audit log's chain of hashes, and the heads of it that are signed.

 leaf_n = SHA-256(00 | canonical JSON of what entry n says)
 hash_n = SHA-256(01 | hash_n-1 | leaf_n)

So a hash stands for every entry up to its own, and that one entry is among them can be shown with
the leaves beside it: the others' contents stay unknown.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import BigInteger
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from models.canonical import canonical_json
from models.columns import TABLE_OPTIONS, text_column, time_column
from models.drafts import AuditHead
from models.records import AuditEntry

GENESIS = "0" * 64
START = AuditHead(0, GENESIS)
"""The head of a log that holds nothing."""
_LEAF, _LINK = b"\x00", b"\x01"
HEX64 = r"^[0-9a-f]{64}$"


class Sealed(NamedTuple):
    """A row of the log that has its place in the chain."""

    id: int
    event_key: str
    request_id: str
    actor: str
    action: str
    data: str
    at: datetime
    seq: int
    previous_hash: str
    hash: str


class SignedHead(BaseModel):
    """A head that the audit key signed, kept outside the database too. time: Unix seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    chain_id: int = Field(gt=0)
    vault: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    seq: int = Field(gt=0)
    hash: str = Field(pattern=HEX64)
    time: int = Field(gt=0)
    signer: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    # Other spellings of v mean the same to most who read it: one of two is the only one here.
    signature: str = Field(pattern=r"^0x[0-9a-f]{128}(?:1b|1c)$")

    @property
    def head(self) -> AuditHead:
        """What is signed of the log."""
        return AuditHead(self.seq, self.hash)


class AuditHeadRow(SQLModel, table=True):
    """A signed head, where receipts find it. What proves anything is the copy outside."""

    __tablename__ = "audit_heads"
    __table_args__ = TABLE_OPTIONS

    seq: int = Column(
        primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False}
    )
    content: str = Column(sa_column=text_column())
    signed_at: datetime = Column(sa_column=time_column())


def facts_of(entry: AuditEntry | Sealed, seq: int) -> dict[str, Any]:
    """What an entry says, as it is hashed."""
    return {
        "seq": seq,
        "id": entry.id,
        "event_key": entry.event_key,
        "request_id": entry.request_id,
        "actor": entry.actor,
        "action": entry.action,
        "data": entry.data,
        "at": entry.at.isoformat(timespec="microseconds"),
    }


def leaf_of(facts: dict[str, Any]) -> str:
    """The hash of what one entry says, hex."""
    return hashlib.sha256(_LEAF + canonical_json(facts).encode()).hexdigest()


def link(previous: str, leaf: str) -> str:
    """The hash of the chain with one leaf more, hex. Raises ValueError: no hex."""
    return hashlib.sha256(_LINK + bytes.fromhex(previous) + bytes.fromhex(leaf)).hexdigest()


def digest(entry: AuditEntry | Sealed, seq: int, previous: str) -> str:
    """The hash of an entry at this place: of all it says, and of the whole chain before it."""
    return link(previous, leaf_of(facts_of(entry, seq)))


def chained(previous: str, leaves: Iterable[str]) -> str:
    """The hash after these leaves. Raises ValueError: one is no hex."""
    for leaf in leaves:
        previous = link(previous, leaf)
    return previous
