"""What workers and the signer say to each other: JSON over HTTP, one version, bounded.

POST /v1/audit-head  a HeadRequest, answered by a SignedHead
POST /v1/sign  a SignRequest, answered by {"version": 1, "raw": "0x…", "tx_hash": "0x…"}
GET  /v1/status  who it signs for, where, how much of the hour is used
An error is {"version": 1, "error": "refused|malformed|unauthorized|unavailable", "detail": "…"}.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clients.keys import UnsignedTx
from models.drafts import AuditHead
from models.errors import SigningRefused

VERSION = 1
SIGN_PATH, STATUS_PATH, HEAD_PATH = "/v1/sign", "/v1/status", "/v1/audit-head"
MOST_BYTES = 256 * 1024
"""Of a question or an answer: a batch of 100 items is 60 KB."""
# What a question nests is one object and an empty list; parsers differ in how deep they go.
_MOST_BRACKETS = 1_000
_WORD = 2**256
_EIP1559 = 2
Word = Annotated[int, Field(ge=0, lt=_WORD)]


class Malformed(ValueError):
    """It is no question at all."""


class SignRequest(BaseModel):
    """A whole transaction, also the fields that must be empty: what they hold is then refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1]
    type: Word
    chain_id: Word
    to: str = Field(pattern=r"^(?:0x[0-9a-fA-F]{40})?$")
    nonce: Word
    gas: Word
    max_fee: Word
    max_priority_fee: Word
    value: Word
    data: str = Field(pattern=r"^0x(?:[0-9a-fA-F]{2})*$", max_length=MOST_BYTES)
    access_list: list[Any]

    @classmethod
    def of(cls, tx: UnsignedTx) -> SignRequest:
        """The question for a transaction."""
        fields = tx.model_dump()
        return cls(version=1, type=_EIP1559, value=0, access_list=[], **fields)

    @classmethod
    def parse(cls, body: bytes) -> SignRequest:
        """From a request's body. Raises Malformed, which never quotes a value."""
        try:
            return cls.model_validate(parsed(body))
        except ValidationError as error:
            raise _malformed(error) from None

    def transaction(self) -> UnsignedTx:
        """The call it asks for. Raises SigningRefused: no other kind is ever signed."""
        if self.type != _EIP1559:
            raise SigningRefused(f"a transaction of type {self.type}, only type 2 is signed")
        if self.value:
            raise SigningRefused(f"it sends {self.value} wei along")
        if self.access_list:
            raise SigningRefused("it has an access list")
        return UnsignedTx(
            chain_id=self.chain_id,
            to=self.to,
            nonce=self.nonce,
            gas=self.gas,
            max_fee=self.max_fee,
            max_priority_fee=self.max_priority_fee,
            data=self.data,
        )


class HeadRequest(BaseModel):
    """A head of the audit log to vouch for: chain and vault are the signer's own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1]
    seq: int = Field(gt=0, lt=2**63)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")

    @classmethod
    def parse(cls, body: bytes) -> AuditHead:
        """From a request's body. Raises Malformed, which never quotes a value."""
        try:
            asked = cls.model_validate(parsed(body))
        except ValidationError as error:
            raise _malformed(error) from None
        return AuditHead(asked.seq, asked.hash)


class SignerStatus(BaseModel):
    """Who the signer is and what it did since it started. used, allowed: of the sliding hour."""

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    address: str
    chain_id: int
    vault: str
    signed: int
    refused: int
    used: dict[str, str]
    allowed: dict[str, str]


def parsed(body: bytes) -> Any:
    """JSON from somebody who may be hostile. Raises Malformed."""
    if body.count(b"[") + body.count(b"{") > _MOST_BRACKETS:
        raise Malformed("no JSON object (it is nested too deep)")
    try:
        return json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON object ({type(error).__name__})") from None


def _malformed(error: ValidationError) -> Malformed:
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return Malformed(f"{where}: {first['msg']}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object that says each thing once: readers differ in which of two they believe."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field twice")
    return found
