"""The audit log: every change of money and control, and whether it is the one that was sealed."""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi import APIRouter, Request, Response

from api.dashboard.pages import Pages
from api.dashboard.session import PREFIX
from bronco.audited import AuditReport, Outside, examine, gathered
from clients.head_file import HeadFile
from models.errors import InvalidInput, SourceUnavailable
from models.records import AuditEntry

if TYPE_CHECKING:
    from bronco.settings import Settings
    from clients.store import Store

_ROWS = 50
_LARGEST = 18


class Shown(NamedTuple):
    """An entry with its data in words."""

    row: AuditEntry
    facts: list[tuple[str, str]]


class Verifying:
    """`bronco audit verify`, one at a time: it reads the whole log."""

    def __init__(self, settings: "Settings", store: "Store") -> None:
        self._settings = settings
        self._store = store
        self._one = asyncio.Lock()

    async def report(self) -> tuple[AuditReport, float]:
        """What is known of the log, and the seconds it took to find out.

        Raises:
            SourceUnavailable: the database, or the folder of signed heads, could not be read.
        """
        async with self._one:
            began = time.monotonic()
            report = await examine(self._store.audit, await self._outside(), datetime.now(UTC))
            return report, time.monotonic() - began

    async def _outside(self) -> Outside:
        audit, chain = self._settings.audit, self._settings.chain
        if audit.directory is None or audit.address is None:
            return Outside()
        file = HeadFile(audit.directory, chain.id, chain.vault)
        try:
            kept = await asyncio.to_thread(file.read)
        except OSError as error:
            raise SourceUnavailable("signed heads", "reading them", str(error)) from error
        named, signers = [(file.path.name, kept)], [audit.address]
        return await gathered(self._store.audit, named, signers, chain.id, chain.vault)


def routes(pages: Pages, store: "Store", verifying: Verifying) -> APIRouter:
    """Reading and verifying."""
    router = APIRouter(include_in_schema=False)

    @router.get(f"{PREFIX}/audit")
    async def audit(request: Request) -> Response:
        before = _number(request.query_params.get("before", ""))
        rows = await store.audit.latest(_ROWS + 1, before=before)
        older = rows[_ROWS - 1].id if len(rows) > _ROWS else 0
        shown = [Shown(row, _facts(row)) for row in rows[:_ROWS]]
        head = await store.audit.head()
        return await pages.answer(
            request, "audit.html", entries=shown, older=older, before=before, head=head
        )

    @router.get(f"{PREFIX}/audit/verify")
    async def verify(request: Request) -> Response:
        report, seconds = await verifying.report()
        return await pages.answer(request, "verified.html", report=report, seconds=seconds)

    return router


def _number(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) <= _LARGEST):
        raise InvalidInput("before", text[:40], "use the link of the page before")
    return int(text or 0)


def _facts(row: AuditEntry) -> list[tuple[str, str]]:
    try:
        data: Any = json.loads(row.data or "{}")
    except ValueError:
        return [("data", row.data)]
    if not isinstance(data, dict):
        return [("data", row.data)]
    kept = {name: value for name, value in data.items() if value not in ("", None, [])}
    return [(n, v if isinstance(v, str) else json.dumps(v)) for n, v in kept.items()]
