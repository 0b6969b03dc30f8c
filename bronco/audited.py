"""Checking the audit log against itself and against the heads that were kept outside."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from clients.auditing import really_signed
from clients.head_file import KeptHeads
from clients.store.audit import AuditLog
from clients.store.audit_check import AuditVerdict, Progress
from models.audit import SignedHead


@dataclass(frozen=True)
class Outside:
    """Signed heads from outside the database, those that count; problems: why others do not."""

    heads: Sequence[SignedHead] = ()
    problems: Sequence[str] = ()

    @property
    def newest(self) -> SignedHead | None:
        """The one that covers most."""
        return max(self.heads, key=lambda head: head.seq, default=None)


@dataclass(frozen=True)
class AuditReport:
    """What is known of the log. problems: what could not be confirmed, in words."""

    verdict: AuditVerdict
    outside: Outside
    problems: Sequence[str] = field(default_factory=tuple)

    @property
    def whole(self) -> bool:
        """Whether nothing was changed, removed or put in, as far as it can be told."""
        return self.verdict.fault is None


def sift(
    kept: Iterable[tuple[str, KeptHeads]], signers: Collection[str], chain_id: int, vault: str
) -> Outside:
    """The heads that count. kept: by the name of what they are in. signers: whose word counts."""
    counting: list[SignedHead] = []
    problems: list[str] = []
    wanted = {signer.lower() for signer in signers}
    for name, found in kept:
        if found.spoilt:
            lines = ", ".join(map(str, found.spoilt[:5]))
            problems.append(f"{name}: {len(found.spoilt)} lines are no signed heads: {lines}")
        for head in found.heads:
            wrong = _wrong(head, wanted, chain_id, vault)
            if wrong:
                problems.append(f"{name}: the head signed for {head.seq} {wrong}")
            else:
                counting.append(head)
    return Outside(counting, problems)


def _wrong(head: SignedHead, signers: Collection[str], chain_id: int, vault: str) -> str:
    """Why a head does not count; empty when it does."""
    if (head.chain_id, head.vault.lower()) != (chain_id, vault.lower()):
        return f"is of vault {head.vault} on chain {head.chain_id}"
    if head.signer.lower() not in signers:
        return f"is by {head.signer}, whose word does not count here"
    return "" if really_signed(head) else "does not carry its signer's signature"


async def examine(log: AuditLog, outside: Outside, report: Progress | None = None) -> AuditReport:
    """Look at the whole log.

    Raises:
        SourceUnavailable: the database could not be asked.
    """
    verdict = await log.examine([head.head for head in outside.heads], report=report)
    problems = list(outside.problems)
    if outside.newest is None:
        problems.append("no signed head was given: an end that was cut off cannot be told")
    return AuditReport(verdict, outside, problems)
