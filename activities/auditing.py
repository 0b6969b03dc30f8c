"""Signing the audit log's head and keeping it outside the database, where its past is checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from temporalio import activity

from models.audit import START
from models.drafts import AuditFault
from models.messages import AuditHeadResult

if TYPE_CHECKING:
    from clients.head_file import HeadFile
    from clients.signer import RemoteSigner
    from clients.store.store import Store

Report = Callable[[AuditFault | None], None]
"""Told after each look at the log: what is wrong with it, None when nothing is."""


class AuditActivities:
    """Runs where the folder of signed heads is; the key is the signer's."""

    def __init__(
        self, store: Store, signer: RemoteSigner, file: HeadFile, auditor: str, report: Report
    ) -> None:
        """auditor: address of the audit key."""
        self._store = store
        self._signer = signer
        self._file = file
        self._auditor = auditor
        self._report = report

    @activity.defn(name="sign_audit_head")
    async def sign_audit_head(self) -> AuditHeadResult:
        """Have the head signed and written down, if the log grew out of the last one that was.

        A log whose past is another one by now is not signed for: that would cover it up.
        Idempotency key: the head's place; the same one signed twice is two lines that agree.

        Raises:
            SigningRefused: the signer holds no audit key.
            SourceUnavailable: the store, the signer or the folder cannot be asked.
        """
        kept = await asyncio.to_thread(self._file.read)
        last = kept.heads[-1].head if kept.heads else START
        verdict = await self._store.audit.examine([last] if kept.heads else [], since=last)
        if verdict.fault is not None:
            self._report(verdict.fault)
            return AuditHeadResult(seq=last.seq, fault=str(verdict.fault))
        if kept.heads:
            await self._store.audit.keep_head(kept.heads[-1])
        head = verdict.reached
        grown = head.seq > last.seq
        if grown:
            signed = await self._signer.sign_head(head, self._auditor)
            await asyncio.to_thread(self._file.append, signed)
            await self._store.audit.keep_head(signed)
        self._report(None)
        return AuditHeadResult(seq=head.seq, signed=grown)
