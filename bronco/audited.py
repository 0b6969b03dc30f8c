"""Checking the audit log against itself and against the heads that were kept outside."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from clients.auditing import why_ignored
from clients.head_file import KeptHeads
from clients.store.audit import AuditLog
from clients.store.audit_check import AuditVerdict, Progress
from models.audit import SignedHead
from models.columns import naive_utc
from models.drafts import AuditHead

_SIGNED_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True)
class Outside:
    """Signed heads from outside the database, those that count; problems: why others do not.

    inside: those that the database keeps. Who can write there can take them away, but make none.
    """

    heads: Sequence[SignedHead] = ()
    problems: Sequence[str] = ()
    inside: Sequence[SignedHead] = ()

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
            wrong = why_ignored(head, wanted, chain_id, vault)
            if wrong:
                problems.append(f"{name}: the head signed for {head.seq} {wrong}")
            else:
                counting.append(head)
    return Outside(counting, problems)


async def gathered(
    log: AuditLog,
    kept: Iterable[tuple[str, KeptHeads]],
    signers: Collection[str],
    chain_id: int,
    vault: str,
) -> Outside:
    """As `sift`, with the heads that the database itself keeps; what else is there is no problem.

    Raises:
        SourceUnavailable: the database could not be asked.
    """
    wanted, found = {signer.lower() for signer in signers}, await log.heads_from(1)
    inside = [head for head in found if not why_ignored(head, wanted, chain_id, vault)]
    return replace(sift(kept, signers, chain_id, vault), inside=inside)


async def examine(
    log: AuditLog, outside: Outside, now: datetime, report: Progress | None = None
) -> AuditReport:
    """Look at the whole log. now: UTC; what nobody has signed for by then is a problem.

    Raises:
        SourceUnavailable: the database could not be asked.
    """
    signed = [*outside.heads, *outside.inside]
    verdict = await log.examine({head.head for head in signed}, report=report)
    problems = list(outside.problems)
    if outside.newest is None:
        problems.append("no signed head was given: an end that was cut off cannot be told")
    if signed and verdict.fault is None:
        newest = max(head.seq for head in signed)
        problems += await _unsigned(log, newest, verdict.head, now)
    return AuditReport(verdict, outside, problems)


async def _unsigned(log: AuditLog, newest: int, head: AuditHead, now: datetime) -> list[str]:
    """Entries behind the newest signed head could be others than they were, if they are old."""
    page = await log.sealed(newest, head.seq, 1)
    if not page or naive_utc(now) - page[0].at < _SIGNED_WITHIN:
        return []
    since = f"{page[0].at.isoformat(timespec='seconds')}Z"
    return [f"nobody has signed for entry {newest + 1} of {since} and those behind it"]
