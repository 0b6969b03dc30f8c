"""M-of-N approvals: what the vault refuses to a settler alone, and who has signed for it so far.

An approval is an EIP-712 signature of exactly one settlement or refund (clients/approvals spells
the typed data). It is checked here as the vault will check it, without asking anybody, so that the
order's workflow can refuse a wrong one at once. Only a contract has to be asked whether it signed.
"""

from collections.abc import Collection
from typing import Self

from eth_keys.backends.native.main import NativeECCBackend
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.chain import Rejection
from models.errors import InvalidInput
from models.records import ItemKind, ItemState
from models.verdict import UNAPPROVED

APPROVABLE: frozenset[str] = frozenset(
    {
        Rejection.STALE_REFERENCE.name,
        Rejection.BAND.name,
        Rejection.CAP.name,
        Rejection.RETURN_LIMIT.name,
        UNAPPROVED,
    }
)
"""Refusals that approvals go past. Limit, fee and amount bind approvers like everybody."""

# https://eips.ethereum.org/EIPS/eip-2: half the order of secp256k1
_HIGHEST_S = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_PLAIN_LENGTH = 132
_MOST_BYTES = 2048
"""Of a contract's signature: more than thirty owners of a multi-signature wallet need."""
_SIGNATURE = rf"^0x([0-9a-fA-F]{{2}}){{0,{_MOST_BYTES}}}$"
_ADDRESS = r"^(0x[0-9a-fA-F]{40})?$"
_V_OFFSET = 27
# Named, so that every worker replays with the same one, whatever else is installed.
_CURVE = NativeECCBackend()


def approvable(state: ItemState, rejection: str) -> bool:
    """Whether the vault refused an item for something that approvals go past."""
    return state is ItemState.REJECTED and rejection in APPROVABLE


class Frozen(BaseModel):
    """Base of the values here."""

    model_config = ConfigDict(frozen=True)


class ApprovalCase(Frozen):
    """One settlement or refund that waits for approvals.

    code: why the vault refused it. taken, out, fee, fill_hash: of a settlement, in the vault's
    units (models.money.Settlement); reason_code: of a refund. epoch: of the approvers, who may be
    others in another one. deadline: Unix seconds, after it no signature counts. digest: the 32
    bytes that are signed, 0x hex. signed: who did, checksummed.
    """

    chain_id: int
    vault: str
    n: int
    request_id: str
    kind: ItemKind
    code: str
    taken: int = 0
    out: int = 0
    fee: int = 0
    fill_hash: str = ""
    reason_code: int = 0
    epoch: int
    threshold: int
    approvers: tuple[str, ...]
    deadline: int
    digest: str
    signed: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """How many signatures it still needs."""
        return max(0, self.threshold - len(self.signed))

    @property
    def words(self) -> str:
        """What it waits for."""
        return f"{self.code}: {len(self.signed)} of {self.threshold} approvals"


class ApprovalGiven(Frozen):
    """A signature, as it is handed in.

    signature: 65 bytes (r, s, v), 0x hex; or what the contract `signer` takes (ERC-1271). signer:
    only needed for a contract, a plain signature tells its own. who: handed it in.
    """

    signature: str = Field(pattern=_SIGNATURE, examples=["0x" + "11" * 65])
    who: str = Field("", max_length=64, examples=["ada"])
    signer: str = Field("", pattern=_ADDRESS)

    @model_validator(mode="after")
    def _plain_or_named(self) -> Self:
        if not self.signer and len(self.signature) != _PLAIN_LENGTH:
            raise ValueError("a signature of another length than 65 bytes needs its signer")
        return self


def approver_of(case: ApprovalCase, given: ApprovalGiven, others: Collection[str] = ()) -> str:
    """Who signed, checksummed; others: whose signatures are being written just now.

    A named signer is taken at its word here where the signature is not plainly its own: a contract
    has still to be asked (`plainly_by`).

    Raises:
        InvalidInput: the signature is none, is of somebody who may not approve (or of other terms,
            which cannot be told apart), or of somebody who has signed already.
    """
    signer = _named(case, given) or _recovered(case.digest, given.signature)
    if signer not in case.approvers:
        raise InvalidInput(
            "signature",
            given.signature[:18] + "...",
            f"it is {signer}'s, who is no approver of epoch {case.epoch}, or it is of other terms: "
            f"an approver signs the digest {case.digest}",
        )
    if signer in case.signed or signer in others:
        raise InvalidInput("signature", given.signature[:18] + "...", f"{signer} has signed")
    return signer


def plainly_by(signer: str, digest: str, signature: str) -> bool:
    """Whether a signature is that of the signer's own key; else only its contract can say."""
    if len(signature) != _PLAIN_LENGTH:
        return False
    try:
        return _recovered(digest, signature).lower() == signer.lower()
    except InvalidInput:
        return False


def _named(case: ApprovalCase, given: ApprovalGiven) -> str:
    """The signer as named, spelled as the case spells it; empty when none is named."""
    spelled = (one for one in case.approvers if one.lower() == given.signer.lower())
    return next(spelled, given.signer)


def _recovered(digest: str, signature: str) -> str:
    """The address whose key made the signature of this digest.

    As strict as the vault: v is 27 or 28, and s in the lower half, so that nobody can write a
    signature down in another way.
    """
    raw = bytes.fromhex(signature[2:])
    s, v = int.from_bytes(raw[32:64], "big"), raw[64] - _V_OFFSET
    if v not in (0, 1) or s > _HIGHEST_S:
        raise InvalidInput(
            "signature",
            signature[:18] + "...",
            "use r, s, v with v 27 or 28 and s in the lower half",
        )
    try:
        made = Signature(signature_bytes=raw[:64] + bytes([v]), backend=_CURVE)
        key = made.recover_public_key_from_msg_hash(bytes.fromhex(digest[2:]))
    except (BadSignature, ValidationError) as error:
        problem = "it is no signature of any key"
        raise InvalidInput("signature", signature[:18] + "...", problem) from error
    return key.to_checksum_address()
