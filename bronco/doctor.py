"""Reading everything about an order that is stuck, and doing what a person decides about it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError, RPCStatusCode

from api.operating import OrderDesk
from api.switch import TradingSwitch
from clients.agreeing import AgreeingVault
from clients.flags import Flags
from clients.gateway import WorkflowGateway
from clients.store import Store
from models.control import ControlState, Hold
from models.diagnosis import diagnose
from models.drafts import AuditDraft
from models.errors import BroncoError, Conflict, InvalidInput, NotFound, SourceUnavailable
from models.facts import Diagnosis, Facts, Run, Step, Verb, order_request
from models.operating import WHO_CHARACTERS, WHY_CHARACTERS, OperatorAct
from models.operating import Verb as OperatorVerb
from models.order import Order
from models.outlook import last_outlook
from models.requests import VaultRequest, VaultStatus, order_workflow_id

T = TypeVar("T")
_PAGE = 500
_LOOKED_BACK = 5_000
"""Requests of the vault that are looked through for one that has no row."""
_AT_ONCE = 8
_NOT_REACHED = (TemporalError, OSError, RuntimeError)
_DONE = {
    Verb.RESUME: "a workflow runs for it, and looks again now",
    Verb.RECHECK: "it looks again now",
}


class Doctor:
    """Reads; what it changes goes through the workflow, and only where the facts allow it."""

    def __init__(
        self, store: Store, client: Client, flags: Flags, vault: AgreeingVault, settlement: str
    ) -> None:
        """settlement: workflow id of the settlement of our signing address."""
        self._store = store
        self._client = client
        self._flags = flags
        self._vault = vault
        self._gateway = WorkflowGateway(client, settlement)

    async def facts(self, key: str) -> Facts:
        """All that is known of one order: internal id, request id or workflow id.

        Raises:
            NotFound: neither the store nor the vault knows it.
            Conflict: several orders have this id.
            SourceUnavailable: the store could not be asked, and nothing else can find it.
        """
        rows = await self._store.orders.by_id(int(key) if key.isdecimal() else key.lower())
        if len(rows) > 1:
            ids = ", ".join(str(row.internal_id) for row in rows)
            raise Conflict("order", key, f"several orders have it, ask for one of them: {ids}")
        if rows:
            return await self.about(rows[0])
        return await self._about(None, await self._in_vault(key.lower()))

    async def about(self, row: Order) -> Facts:
        """All that is known of the order of this row; what could not be asked is named."""
        unread: list[str] = []
        terms = await _asked(self._terms(row), unread)
        return await self._about(row, terms, unread)

    async def stuck(self, quiet: timedelta, limit: int) -> list[tuple[Order, Diagnosis]]:
        """Orders of which nothing was heard for so long, oldest first, each explained.

        Raises:
            SourceUnavailable: the store could not be asked.
        """
        rows = await self._store.orders.unfinished(self._vault.chain_id, self._vault.address)
        before = datetime.now(UTC).replace(tzinfo=None) - quiet
        late = [row for row in rows if row.updated_at < before][:limit]
        lane = asyncio.Semaphore(_AT_ONCE)

        async def one(row: Order) -> Diagnosis:
            async with lane:
                return diagnose(await self.about(row))

        found = await asyncio.gather(*(one(row) for row in late))
        return list(zip(late, found, strict=True))

    async def act(self, facts: Facts, verb: Verb, who: str, reason: str) -> str:
        """Do it, once it is in the audit log; what came of it in words.

        Raises:
            InvalidInput: the facts do not allow it, or no reason is given.
            Conflict: a refund, and the order refuses it as it is by now.
            SourceUnavailable: store or Temporal could not be told; it may have been done.
        """
        refused = facts.why_not(verb)
        request = order_request(facts)
        if refused or request is None:
            raise InvalidInput("order", verb.value, refused or "it is not known well enough")
        if not reason.strip():
            raise InvalidInput("reason", reason, "say why: it goes into the audit log")
        if verb is Verb.REFUND:
            return await self._refund(request.request_id, who, reason)
        await self._note(request.request_id, verb, who, reason)
        if verb is Verb.RESUME:
            await self._gateway.start_order(request)
        workflow_id = order_workflow_id(request.chain_id, request.vault, request.request_id)
        if not await self._gateway.signal_order(workflow_id, "wake"):
            return "no workflow runs for it any more: look again"
        if facts.item is not None:
            await self._gateway.wake_settlement()
        return _DONE[verb]

    async def _refund(self, request_id: str, who: str, reason: str) -> str:
        """As over the API: the order's workflow notes it, and does it or says why not."""
        act = OperatorAct(
            verb=OperatorVerb.REFUND,
            who=who[:WHO_CHARACTERS],
            reason=reason.strip()[:WHY_CHARACTERS],
        )
        return (await OrderDesk(self._client, self._store).tell(request_id, act)).words

    # --- reading

    async def _about(
        self, row: Order | None, terms: VaultRequest | None, unread: list[str] | None = None
    ) -> Facts:
        unread = [] if unread is None else unread
        request_id = row.request_id if row is not None else terms.request_id if terms else ""
        state = await _asked(TradingSwitch(self._client, self._flags).state(), unread)
        asked = not any(problem.startswith("chain ") for problem in unread)
        records = await _asked(
            self._store.review.requests(self._vault.chain_id, self._vault.address, [request_id]),
            unread,
        )
        told = await _asked(self._store.audit.of_request(request_id), unread)
        house = await _asked(self._store.house.unresolved(), unread) or []
        return Facts(
            now=datetime.now(UTC),
            row=row,
            status=_status(terms) if asked else None,
            terms=terms,
            run=await _asked(self._run(request_id), unread),
            claims=tuple(records.claims) if records else (),
            orders=tuple(records.orders) if records else (),
            item=next(iter(records.items), None) if records else None,
            holds=_covering(state, row),
            closed=await self._closed(state, unread),
            outlook=last_outlook(told) if told else None,
            house=tuple(one for one in house if one.request_id == request_id),
            unread=tuple(unread),
        )

    async def _terms(self, row: Order) -> VaultRequest | None:
        head = await self._vault.head()
        found = await self._vault.request(row.request_number, head)
        same = found is not None and found.request_id.lower() == row.request_id
        return found if same else None

    async def _in_vault(self, request_id: str) -> VaultRequest:
        head = await self._vault.head()
        count = await self._vault.count(head)
        for last in range(count, max(0, count - _LOOKED_BACK), -_PAGE):
            page = await self._vault.requests(max(1, last - _PAGE + 1), last, head)
            for found in page:
                if found.request_id.lower() == request_id:
                    return found
        raise NotFound("order", request_id)

    async def _run(self, request_id: str) -> Run:
        workflow_id = order_workflow_id(self._vault.chain_id, self._vault.address, request_id)
        try:
            found = await self._client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return Run(running=False)
            raise SourceUnavailable("Temporal", f"reading {workflow_id}", str(error)) from error
        except _NOT_REACHED as error:
            raise SourceUnavailable("Temporal", f"reading {workflow_id}", str(error)) from error
        running = found.status is WorkflowExecutionStatus.RUNNING
        steps = tuple(_step(one) for one in found.raw_description.pending_activities)
        ended = "" if running or found.status is None else found.status.name
        return Run(running=running, ended=ended, steps=steps)

    async def _closed(self, state: ControlState | None, unread: list[str]) -> str:
        halted = await _asked(self._flags.halted(), unread)
        if halted is not None:
            return f"the break-glass halt is set: {halted}"
        if state is None:
            return "the control workflow does not answer, so nobody renews the lease"
        return "trading is paused" if state.paused else ""

    async def _note(self, request_id: str, verb: Verb, who: str, reason: str) -> None:
        draft = AuditDraft(
            event_key=f"operator:{verb}:{request_id}:{uuid.uuid4().hex}",
            action=f"operator.{verb}",
            request_id=request_id,
            actor=who[:64],
            data={"reason": reason},
        )
        await self._store.audit.append(draft)


async def _asked(asking: Awaitable[T], unread: list[str]) -> T | None:
    """The answer; None, and the problem named, where it could not be had."""
    try:
        return await asking
    except BroncoError as error:
        unread.append(str(error))
        return None


def _status(terms: VaultRequest | None) -> VaultStatus:
    return VaultStatus.NONE if terms is None else terms.status


def _covering(state: ControlState | None, row: Order | None) -> tuple[Hold, ...]:
    if state is None:
        return ()
    return state.blocking(row.order_type, row.symbol) if row is not None else state.holds


def _step(raw: Any) -> Step:
    """One pending activity, as the server describes it."""
    return Step(
        name=raw.activity_type.name,
        attempt=raw.attempt,
        started=raw.HasField("last_started_time"),
        since=raw.scheduled_time.ToDatetime(UTC) if raw.HasField("scheduled_time") else None,
        failure=raw.last_failure.message if raw.HasField("last_failure") else "",
    )
