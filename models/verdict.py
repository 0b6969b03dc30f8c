"""What the vault's status of a request means for the item that was to end it."""

from collections.abc import Callable, Iterable
from enum import StrEnum

from models.chain import (
    REJECTION_KINDS,
    RefundItem,
    Rejection,
    RejectionKind,
    RequestState,
    SettleItem,
)
from models.records import ItemKind, SettlementItem
from models.requests import VaultStatus

_UINT128 = 2**128
_UINT8 = 2**8
MALFORMED = "MALFORMED"
"""Rejection of an item that no transaction can carry; nothing else of ours is named so."""

UNSIGNED = "UNSIGNED"
"""Rejection of an item that the signer refuses to sign for, alone: over a limit of its own."""

UNAPPROVED = "UNAPPROVED"
"""Rejection of an item whose approvals count no more: expired, or the approvers have changed."""

POISON = "POISON"
"""Rejection of an item that makes any batch revert, asked or sent alone."""


class Verdict(StrEnum):
    """What became of the request.

    ENDED: exactly as the item says. OPEN: still to do. LOST: reclaimed. CONFLICT: ended in another
    way. ABSENT, OTHER: no such request, or its number now has other terms.
    """

    ENDED = "ENDED"
    OPEN = "OPEN"
    LOST = "LOST"
    CONFLICT = "CONFLICT"
    ABSENT = "ABSENT"
    OTHER = "OTHER"


REFUSALS: frozenset[Verdict] = frozenset(Verdict) - {Verdict.ENDED, Verdict.OPEN}
"""Nothing can be sent for these now; each may be undone by a reorganisation."""


def judge(
    item: SettlementItem, state: RequestState, terms_of: Callable[[SettleItem], str]
) -> Verdict:
    """Compare an item with the vault's word on its request."""
    if state.status is VaultStatus.NONE:
        return Verdict.ABSENT
    if state.request_id.lower() != item.request_id.lower():
        return Verdict.OTHER
    if state.status is VaultStatus.OPEN:
        return Verdict.OPEN
    if state.status is VaultStatus.RECLAIMED:
        return Verdict.LOST
    return Verdict.ENDED if _as_said(item, state, terms_of) else Verdict.CONFLICT


def _as_said(
    item: SettlementItem, state: RequestState, terms_of: Callable[[SettleItem], str]
) -> bool:
    if item.kind is ItemKind.REFUND:
        return state.status is VaultStatus.REFUNDED
    settled = state.status is VaultStatus.SETTLED
    return settled and terms_of(settle_item(item)).lower() == state.terms.lower()


def refusal_code(verdict: Verdict) -> str:
    """The vault's own code for what it would say to the item."""
    codes = {
        Verdict.LOST: Rejection.ALREADY_ENDED,
        Verdict.CONFLICT: Rejection.CONFLICT,
        Verdict.ABSENT: Rejection.UNKNOWN_REQUEST,
        Verdict.OTHER: Rejection.ID_MISMATCH,
    }
    return codes[verdict].name


def rejection_kind(code: str) -> RejectionKind:
    """What a stored rejection code asks for; one we do not know asks for a human."""
    if code == UNSIGNED:  # the signer's hour passes, its limits can be raised
        return RejectionKind.RETRY
    known = Rejection.__members__.get(code)
    return RejectionKind.OPERATOR if known is None else REJECTION_KINDS[known]


def settle_item(item: SettlementItem) -> SettleItem:
    """The item as `settle` takes it."""
    return SettleItem(
        n=item.request_number,
        request_id=item.request_id,
        taken=item.taken,
        out=item.out,
        fee=item.fee,
        fill_hash=item.fill_hash,
    )


def refund_item(item: SettlementItem) -> RefundItem:
    """The item as a refund."""
    return RefundItem(n=item.request_number, request_id=item.request_id, reason=item.reason_code)


def batch_of(
    items: Iterable[SettlementItem],
) -> tuple[tuple[SettleItem, ...], tuple[RefundItem, ...]]:
    """Fills and refunds of a batch, each by request number: the same items give the same batch."""
    ordered = sorted(items, key=lambda item: item.request_number)
    settles = tuple(settle_item(i) for i in ordered if i.kind is ItemKind.SETTLE)
    refunds = tuple(refund_item(i) for i in ordered if i.kind is ItemKind.REFUND)
    return settles, refunds


def well_formed(item: SettlementItem) -> bool:
    """Whether the item fits the contract's types; one that does not must not spoil a batch."""
    amounts = all(0 <= value < _UINT128 for value in (item.taken, item.out, item.fee))
    hashes = all(_is_hash(text) for text in (item.request_id, item.fill_hash))
    return amounts and hashes and item.request_number > 0 and 0 <= item.reason_code < _UINT8


def _is_hash(text: str) -> bool:
    digits = text.removeprefix("0x")
    return len(digits) == 64 and all(digit in "0123456789abcdefABCDEF" for digit in digits)
