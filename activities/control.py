"""Control's hands: the lease in Redis, the holds table, and waking held orders."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.common import QueryRejectCondition
from temporalio.exceptions import ApplicationError, TemporalError
from temporalio.service import RPCError, RPCStatusCode

from models.control import (
    LEASE_SECONDS,
    AppliedControl,
    ControlChange,
    ControlState,
    Hold,
    HoldKind,
    InFlight,
    RecordControlInput,
)
from models.drafts import AuditDraft
from models.errors import SourceUnavailable
from models.messages import WakeHeldInput, WakeHeldResult
from models.order import Stage
from models.requests import CONTROL_WORKFLOW_ID, Side

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowHandle

    from clients.flags import Flags
    from clients.store import Store
    from models.records import HoldRow, Placement

RENEW_SECONDS = 0.5
DRAIN_SECONDS = 0.25
"""A pause waits so long for what is in flight, and names what is left: a second is what it is meant
to take at most, with all around it."""
_DRAIN_STEPS = 12
_ASK_SECONDS = 0.3
_AGAIN_SECONDS = 0.05
_WAKES_PER_SECOND = 10
"""A page of held orders is signalled this many times a second."""


_CLAIMS_UNREAD = (
    "the database could not be asked at once: what is in flight is named by Redis alone, which "
    "forgets it when it is restarted"
)


class _Renewal(Enum):
    """What came of one renewal; CLOSED: trading is held, so there is no lease to keep."""

    DONE = auto()
    CLOSED = auto()
    FAILED = auto()


class ControlActivities:
    """What the control workflow does outside itself; safe to run on several workers at once."""

    def __init__(self, store: "Store", flags: "Flags", client: "Client") -> None:
        self._store = store
        self._flags = flags
        self._client = client

    @activity.defn(name="load_control")
    async def load_control(self) -> ControlState:
        """The holds on record: what a first run, or one after a lost history, begins with.

        Their version is that of the newest record, which may have changed no row: what comes next
        must be newer, or it would never be recorded.
        """
        rows = await self._store.holds.active()
        version = await self._store.holds.newest_version()
        holds = tuple(_hold_of(row) for row in rows)
        return ControlState(
            paused=any(hold.everything for hold in holds), version=version, holds=holds
        )

    @activity.defn(name="apply_control")
    async def apply_control(self, state: ControlState) -> AppliedControl:
        """Make a state known: lease revoked when paused; then wait a moment for what is in flight.

        Redis that does not answer is asked again for as long as a lease lasts: a restarted one is
        back sooner. After that the lease has expired, which no renewal can prevent: each is dated
        from before the workflow was asked.
        """
        problem = ""
        try:
            async with asyncio.timeout(LEASE_SECONDS):
                while True:
                    try:
                        return await self._applied(state)
                    except SourceUnavailable as error:
                        problem = str(error)
                    await asyncio.sleep(_AGAIN_SECONDS)
        except TimeoutError:
            activity.logger.warning("lease_left_to_expire", extra={"detail": problem})
            return AppliedControl(version=state.version, note=_left_to_expire(state))

    @activity.defn(name="record_control")
    async def record_control(self, message: RecordControlInput) -> None:
        """Write holds and audit rows; the event key makes a repetition harmless."""
        for change in message.changes:
            await self._store.audit.append(_audit_of(change))
        await self._store.holds.record(message.state, datetime.now(UTC))

    @activity.defn(name="keep_lease")
    async def keep_lease(self) -> None:
        """Renew the lease for as long as the control workflow says that trading is open.

        Raises:
            ApplicationError: the worker shuts down; another one is to take over at once.
        """
        loop = asyncio.get_running_loop()
        renewed_at: float | None = None
        while True:
            activity.heartbeat()
            renewal = await self._renew()
            if renewal is _Renewal.DONE and (
                renewed_at is None or loop.time() - renewed_at > LEASE_SECONDS
            ):
                await self._lease_is_back()
            if renewal is not _Renewal.FAILED:
                renewed_at = loop.time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEW_SECONDS):
                    await activity.wait_for_worker_shutdown()
                raise ApplicationError("the worker shuts down", type="WorkerShutdown")

    @activity.defn(name="wake_held")
    async def wake_held(self, message: WakeHeldInput) -> WakeHeldResult:
        """Signal `wake` to every held order, oldest first; goes on where a lost attempt was."""
        # Woken before the lease is back, an order would find trading closed and wait again.
        await self._renew()
        cursor, woken = _progress()
        page_size = max(1, message.per_second // _WAKES_PER_SECOND)
        while page := await self._store.orders.held(cursor, page_size):
            found, _ = await asyncio.gather(
                asyncio.gather(*(self._wake(workflow_id) for _, workflow_id in page)),
                asyncio.sleep(len(page) / message.per_second),
            )
            cursor, woken = page[-1][0], woken + sum(found)
            activity.heartbeat(cursor, woken)
        return WakeHeldResult(woken=woken)

    async def _renew(self) -> _Renewal:
        """One renewal, dated from before the workflow was asked, for that run of Redis alone."""
        try:
            asked = await self._flags.moment()
            # One that was terminated would still answer, with what it last knew.
            state = await self._control().query(
                "is_paused",
                result_type=ControlState,
                reject_condition=QueryRejectCondition.NOT_OPEN,
                rpc_timeout=timedelta(seconds=LEASE_SECONDS),
            )
            if state.paused:
                return _Renewal.CLOSED
            renewed = await self._flags.renew_lease(state, LEASE_SECONDS, asked=asked)
        except (SourceUnavailable, TemporalError) as error:
            activity.logger.warning("lease_not_renewed", extra={"detail": str(error)})
            return _Renewal.FAILED
        return _Renewal.DONE if renewed else _Renewal.FAILED

    async def _lease_is_back(self) -> None:
        """Orders that were turned away while nobody renewed must not wait for their backstop."""
        with contextlib.suppress(RPCError):
            await self._control().signal("lease_is_back")

    async def _applied(self, state: ControlState) -> AppliedControl:
        if not await self._flags.revoke(state):
            return AppliedControl(version=state.version, stale=True)
        left, note = await self._in_flight() if state.holds else ((), "")
        return AppliedControl(
            version=state.version,
            in_flight=left,
            waiting=0 if state.paused else await self._waiting(),
            note=note,
        )

    async def _in_flight(self) -> tuple[tuple[InFlight, ...], str]:
        """What is left over in flight, by Redis and by the claims; a word on who did not answer.

        Whoever has a claim may send though a restarted Redis has forgotten the permit.
        """
        left = await self._drained()
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                claims = await self._store.placements.in_hand(datetime.now(UTC))
        except (SourceUnavailable, TimeoutError):
            return left, _CLAIMS_UNREAD
        named = {flight.remark for flight in left}
        return (*left, *(_flight_of(row) for row in claims if row.remark not in named)), ""

    async def _drained(self) -> tuple[InFlight, ...]:
        """Wait until nothing is in flight, at most DRAIN_SECONDS; what is left over."""
        left = await self._flags.in_flight()
        for _ in range(_DRAIN_STEPS):
            if not left:
                break
            await asyncio.sleep(DRAIN_SECONDS / _DRAIN_STEPS)
            left = await self._flags.in_flight()
        return left

    async def _waiting(self) -> int:
        """How many orders are held; 0 when the store does not say so at once."""
        with contextlib.suppress(SourceUnavailable, TimeoutError):
            async with asyncio.timeout(_ASK_SECONDS):
                counts = await self._store.orders.counts()
            return counts.by_stage.get(Stage.HELD, 0)
        return 0

    async def _wake(self, workflow_id: str) -> bool:
        try:
            await self._client.get_workflow_handle(workflow_id).signal("wake")
        except RPCError as error:
            # The row is behind: the workflow has ended, or reconcile has to start it.
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True

    def _control(self) -> "WorkflowHandle[object, object]":
        return self._client.get_workflow_handle(CONTROL_WORKFLOW_ID)


def _progress() -> tuple[int, int]:
    """(last internal id, woken) of the attempt before this one."""
    details = activity.info().heartbeat_details
    return (int(details[0]), int(details[1])) if len(details) == 2 else (0, 0)


def _left_to_expire(state: ControlState) -> str:
    if state.holds:
        return (
            f"Redis could not be asked: the lease was left to expire ({LEASE_SECONDS:g} s), so no "
            "placement begins; those in flight cannot be named"
        )
    return "Redis could not be asked: trading opens when it answers again"


def _flight_of(row: "Placement") -> InFlight:
    return InFlight(remark=row.remark, since=row.created_at.replace(tzinfo=UTC).isoformat())


def _hold_of(row: "HoldRow") -> Hold:
    return Hold(
        key=row.key,
        kind=HoldKind(row.kind),
        reason=row.reason,
        who=row.who,
        at=row.set_at.replace(tzinfo=UTC).isoformat(),
        side=Side(row.side) if row.side else None,
        symbol=row.symbol,
    )


def _audit_of(change: ControlChange) -> AuditDraft:
    return AuditDraft(
        # A run whose past is lost may issue a version again, but not at the same moment.
        event_key=f"control:{change.version}:{change.at}:{change.hold.key}",
        action="hold_lifted" if change.lifted else "hold_set",
        actor=change.who or "unknown",
        data={
            "version": change.version,
            "reason": change.reason,
            "at": change.at,
            "hold": change.hold.model_dump(mode="json"),
        },
    )
