"""Whether the audit log is the one that was sealed: its chain, and heads that others kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from models.audit import Sealed, digest
from models.drafts import AuditFault, AuditHead

Progress = Callable[[int, int], None]
"""Told now and then: entries checked, entries there are."""


class AuditVerdict(NamedTuple):
    """What a check found.

    reached: where it came to; head: where the log ends. checked: entries that are right; unsealed:
    those that no chain holds yet. heads: signed heads that were found in it.
    """

    fault: AuditFault | None
    reached: AuditHead
    head: AuditHead
    checked: int
    unsealed: int
    heads: int


class ChainCheck:
    """Walks the log from one head on; heads that were signed earlier must be found on the way."""

    def __init__(self, since: AuditHead, heads: Iterable[AuditHead]) -> None:
        self.at = since
        self._expected = sorted(head for head in heads if head.seq >= since.seq)
        self._agreed = since.seq
        self._first_doubtful = 0
        self.heads = 0

    def start(self) -> AuditFault | None:
        """What is wrong before the first entry is looked at."""
        return self._confirm()

    def take(self, entry: Sealed) -> AuditFault | None:
        """Look at the next entry; what is wrong with it, None when nothing is."""
        fault = entry_fault(entry, self.at)
        if fault is not None:
            return fault
        if entry.seq == self._agreed + 1:
            self._first_doubtful = entry.id
        self.at = AuditHead(entry.seq, entry.hash)
        return self._confirm()

    def end(self, head: AuditHead) -> AuditFault | None:
        """Whether the log ends where it says, and not before a head that was signed."""
        if self.at.seq < head.seq:
            return AuditFault(self.at.seq + 1, 0, f"missing: the head is {head.seq}")
        signed = self._expected[-1].seq if self._expected else self.at.seq
        if signed > head.seq:
            words = f"missing: a head was signed for {signed}, the log ends at {head.seq}"
            return AuditFault(head.seq + 1, 0, words)
        if self.at.hash != head.hash:
            return AuditFault(self.at.seq, 0, "the head has another hash")
        return None

    def _confirm(self) -> AuditFault | None:
        """Compare with every head that was signed for this very place."""
        while self._expected and self._expected[0].seq == self.at.seq:
            signed = self._expected.pop(0)
            if signed.hash != self.at.hash:
                return self._rewritten(signed)
            self._agreed, self.heads = signed.seq, self.heads + 1
        return None

    def _rewritten(self, signed: AuditHead) -> AuditFault:
        first = self._agreed + 1
        if first >= signed.seq:
            words = f"was rewritten: the head signed for {signed.seq} has another hash"
            return AuditFault(signed.seq, self._first_doubtful, words)
        words = f"this or one up to {signed.seq} was rewritten: the head signed for that differs"
        return AuditFault(first, self._first_doubtful, words)


def entry_fault(entry: Sealed, before: AuditHead) -> AuditFault | None:
    """What is wrong with the entry that should follow this head; None when nothing is."""
    seq = before.seq + 1
    if entry.seq != seq:
        return AuditFault(seq, 0, f"missing: the next entry is number {entry.seq}")
    if entry.previous_hash != before.hash:
        return AuditFault(seq, entry.id, "does not follow the entry before it")
    if entry.hash != digest(entry, seq, before.hash):
        return AuditFault(seq, entry.id, "was changed after it was sealed")
    return None
