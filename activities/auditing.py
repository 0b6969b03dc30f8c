"""Signing the audit log's head and keeping it outside the database, where its past is checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from temporalio import activity

from models.audit import START, SignedHead
from models.drafts import AuditFault, AuditHead
from models.messages import AuditHeadResult

if TYPE_CHECKING:
    from clients.head_file import HeadFile
    from clients.signer import RemoteSigner
    from clients.store.store import Store

Report = Callable[[AuditFault | None], None]
"""Told after each look at the log: what is wrong with it, None when nothing is."""

_STRETCH = 5_000
"""Entries of the past looked at each time: some millions a day."""


class AuditActivities:
    """Runs where the folder of signed heads is; the key is the signer's."""

    def __init__(
        self,
        store: Store,
        signer: RemoteSigner,
        file: HeadFile,
        auditor: str,
        report: Report,
        counts: Callable[[SignedHead], bool],
    ) -> None:
        """auditor: address of the audit key. counts: whether a head is really one of it."""
        self._store = store
        self._signer = signer
        self._file = file
        self._auditor = auditor
        self._report = report
        self._counts = counts
        self._looked = START

    @activity.defn(name="sign_audit_head")
    async def sign_audit_head(self) -> AuditHeadResult:
        """Have the head signed and written down, if the log grew out of the last one that was.

        A log whose past is another one by now is not signed for: that would cover it up. What was
        signed long ago is looked at again bit by bit.
        Idempotency key: the head's place; the same one signed twice is two lines that agree.

        Raises:
            SigningRefused: the signer holds no audit key.
            SourceUnavailable: the store, the signer or the folder cannot be asked.
        """
        kept = await asyncio.to_thread(self._file.read)
        last = kept.heads[-1].head if kept.heads else START
        lost = await self._lost(last)
        heads = [one.head for one in (*kept.heads, *lost)]
        newer = [one.head for one in (*kept.heads[-1:], *lost)]
        verdict = await self._store.audit.examine(newer, since=last)
        fault = verdict.fault or await self._look_back(heads)
        if fault is not None:
            self._report(fault)
            return AuditHeadResult(seq=last.seq, fault=str(fault))
        for one in lost:
            await asyncio.to_thread(self._file.append, one)
        if kept.heads:
            await self._store.audit.keep_head(kept.heads[-1])
        head = verdict.reached
        grown = head.seq > (heads[-1].seq if heads else 0)
        if grown:
            signed = await self._signer.sign_head(head, self._auditor)
            await asyncio.to_thread(self._file.append, signed)
            await self._store.audit.keep_head(signed)
        self._report(None)
        return AuditHeadResult(seq=head.seq, signed=grown)

    async def _lost(self, last: AuditHead) -> list[SignedHead]:
        """Heads that the database kept and the file, put back from a copy, has no more."""
        return [*filter(self._counts, await self._store.audit.heads_from(last.seq + 1))]

    async def _look_back(self, heads: list[AuditHead]) -> AuditFault | None:
        """Look at a stretch of what was signed before, another one each time, over and over.

        One in which something is wrong is looked at again until it is right.
        """
        if not heads:
            return None
        since = START if self._looked.seq >= heads[-1].seq else self._looked
        fault, reached = await self._store.audit.look_back(since, heads, _STRETCH)
        self._looked = since if fault else reached
        return fault
