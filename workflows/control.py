"""The one owner of the holds: trading is open where none applies.

A change counts from the moment its handler runs: `is_paused` answers with it, so no lease is
renewed any more. Revoking the lease, the holds table and waking orders follow from there.
"""

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.control import ControlActivities
from activities.recalling import RecallActivities
from models.control import (
    AppliedControl,
    ControlCarry,
    ControlOrder,
    ControlState,
    HoldCommand,
    HoldKind,
    PauseResult,
    RecordControlInput,
)
from models.messages import WakeHeldInput
from models.requests import QUEUE_WATCH
from workflows.control_input import drain_command, hold_command, pause_command, resume_command
from workflows.holds import Holds, hold_of, recall_of
from workflows.policies import APPLY, ASK, LEASE, WAKE

_EPOCH = 1_577_836_800
"""2020-01-01: versions are seconds since then at least, so that a run whose past is lost (history
gone, database restored) still issues newer ones than any before, and they fit 31 bits to 2088."""
_STALE_STEP = 3_600
_CHANGES_PER_RECORD = 100
_EVENTS_PER_RUN = 500


@workflow.defn(name="TradingControlWorkflow")
class TradingControlWorkflow:
    """Holds trading back, for as long as somebody or something wants it held."""

    @workflow.init
    def __init__(self, carried: ControlCarry | None = None) -> None:
        self._known = carried is not None
        self._holds = Holds(carried.state, carried.unrecorded) if carried else self._unknown()
        self._inbox: list[ControlOrder] = []
        self._wake = carried.wake if carried else False
        self._applied: AppliedControl | None = carried.applied if carried else None
        self._recorded = carried.recorded if carried else -1
        self._recalls = list(carried.recalls) if carried else []
        self._cancelling = 0
        workflow.set_current_details(self._holds.in_words())

    # --- what may be asked and sent ---------------------------------------------------------

    @workflow.query(name="is_paused", description="every hold, and whether all trading is held")
    def is_paused(self) -> ControlState:
        """The state as it counts now."""
        return self._holds.state

    @workflow.signal(
        name="pause",
        description='hold: no input, "reason", or {reason, who, side, symbol, cancel_working}',
    )
    def pause_signal(self, *args: Any) -> None:
        """Set a manual hold."""
        self._take(ControlOrder(command=pause_command(args), lift=False))

    @workflow.signal(
        name="resume", description="lift the manual hold of the same scope; the input is as pause's"
    )
    def resume_signal(self, *args: Any) -> None:
        """Lift a manual hold."""
        if command := resume_command(args):
            self._take(ControlOrder(command=command, lift=True))
        else:
            workflow.logger.warning("resume_not_understood", extra={"input": repr(args)[:200]})

    @workflow.signal(name="drain", description="place nothing new; what was placed goes on")
    def drain_signal(self, *args: Any) -> None:
        """Begin a drain."""
        self._take(ControlOrder(command=drain_command(args), lift=False))

    @workflow.signal(name="end_drain", description="end the drain; other holds stay")
    def end_drain_signal(self, *args: Any) -> None:
        """End a drain."""
        self._take(ControlOrder(command=drain_command(args), lift=True))

    @workflow.signal(name="set_hold", description="a breaker or the house holds trading back")
    def set_hold(self, *args: Any) -> None:
        """Set the hold a program asks for."""
        if command := hold_command(args):
            self._take(ControlOrder(command=command, lift=False))
        else:
            workflow.logger.error("hold_not_understood", extra={"input": repr(args)[:200]})

    @workflow.signal(name="lift_hold", description="the condition of a hold is measured clear")
    def lift_hold(self, *args: Any) -> None:
        """Lift a hold of the same key and kind."""
        if command := hold_command(args):
            self._take(ControlOrder(command=command, lift=True))
        else:
            workflow.logger.error("hold_not_understood", extra={"input": repr(args)[:200]})

    @workflow.signal(
        name="lease_is_back", description="orders were turned away for want of a lease"
    )
    def lease_is_back(self, *args: Any) -> None:
        """Wake the orders that found trading closed while nobody renewed the lease."""
        self._wake = True

    @workflow.update(name="pause", description="as the signal; returns when no placement begins")
    async def pause(self, *args: Any) -> PauseResult:
        """Set a manual hold and answer when it is in force, naming what is still in flight."""
        command = pause_command(args)
        self._take(ControlOrder(command=command, lift=False))
        answer = await self._answer()
        if not command.cancel_working:
            return answer
        await workflow.wait_condition(lambda: not self._recalls)
        return answer.model_copy(update={"cancelling": self._cancelling})

    @workflow.update(name="resume", description="as the signal; returns when it is known")
    async def resume(self, *args: Any) -> PauseResult:
        """Lift a manual hold and answer when that is known."""
        command = resume_command(args)
        if command is None:
            raise ApplicationError(
                f"resume was not understood: {repr(args)[:200]}", type="InvalidInput"
            )
        self._take(ControlOrder(command=command, lift=True))
        return await self._answer()

    @workflow.update(name="drain", description="as the signal; returns when no placement begins")
    async def drain(self, *args: Any) -> PauseResult:
        """Begin a drain and answer when nothing new is placed."""
        self.drain_signal(*args)
        return await self._answer()

    @workflow.update(name="end_drain", description="as the signal; returns when it is known")
    async def end_drain(self, *args: Any) -> PauseResult:
        """End a drain and answer when that is known."""
        self.end_drain_signal(*args)
        return await self._answer()

    # --- the run ------------------------------------------------------------------------------

    @workflow.run
    async def run(self, carried: ControlCarry | None = None) -> None:
        """Never returns: continues as new; one that is asked to cancel pauses and goes on."""
        while True:
            try:
                await asyncio.gather(
                    self._keep_lease(),
                    self._apply(),
                    self._record(),
                    self._wake_held(),
                    self._recall(),
                    self._leave(),
                )
            except (asyncio.CancelledError, ActivityError) as error:
                if not is_cancelled_exception(error):
                    raise
                # Ended, it would leave trading closed with nobody to open it.
                self.pause_signal("somebody asked the control workflow to cancel")

    async def _keep_lease(self) -> None:
        while True:
            await workflow.execute_activity_method(
                ControlActivities.keep_lease,
                task_queue=QUEUE_WATCH,
                summary="renew the lease while trading is open",
                **LEASE,
            )

    async def _apply(self) -> None:
        """Make each state known, one after the other; several changes may become one."""
        if not self._known:
            await self._load()
        if self._applied is not None:
            # The run before made it known: a pause that comes now is not to wait for that again.
            await workflow.wait_condition(lambda: self._applied_version() < self._holds.version)
        while True:
            state = self.is_paused()
            applied = await workflow.execute_activity_method(
                ControlActivities.apply_control, state, summary=f"version {state.version}", **APPLY
            )
            if applied.stale:  # nothing was made known, so nothing is confirmed
                if state.version == self._holds.version:
                    self._holds.version += _STALE_STEP
                continue
            self._applied = applied
            await workflow.wait_condition(lambda: self._applied_version() < self._holds.version)

    async def _load(self) -> None:
        """Begin with the holds on record: a manual one outlives this workflow's history."""
        known = await workflow.execute_activity_method(
            ControlActivities.load_control, summary="read the holds on record", **ASK
        )
        version = max(_clock_version(), known.version) + 1
        self._holds = Holds(known.model_copy(update={"version": version}))
        self._known = True
        inbox, self._inbox = self._inbox, []
        for order in inbox:
            self._take(order)
        workflow.set_current_details(self._holds.in_words())

    async def _record(self) -> None:
        """Write holds and audit rows, for as long as that takes; nobody waits for it."""
        while True:
            await workflow.wait_condition(
                lambda: (
                    self._known
                    and (bool(self._holds.unrecorded) or self._recorded < self._holds.version)
                )
            )
            message = RecordControlInput(
                state=self.is_paused(), changes=tuple(self._holds.unrecorded[:_CHANGES_PER_RECORD])
            )
            await workflow.execute_activity_method(
                ControlActivities.record_control, message, summary="holds and audit rows", **ASK
            )
            del self._holds.unrecorded[: len(message.changes)]
            self._recorded = message.state.version

    async def _wake_held(self) -> None:
        """Wake held orders when something was lifted and that is known."""
        while True:
            await workflow.wait_condition(lambda: self._wake and self._open_and_known())
            self._wake = False
            await workflow.execute_activity_method(
                ControlActivities.wake_held, WakeHeldInput(), summary="wake held orders", **WAKE
            )

    async def _recall(self) -> None:
        """Call working orders back, once no further one can be placed."""
        while True:
            await workflow.wait_condition(
                lambda: bool(self._recalls) and self._applied_version() >= self._recalls[0].version
            )
            recalled = await workflow.execute_activity_method(
                RecallActivities.recall_working,
                self._recalls[0],
                summary="call working orders back",
                **WAKE,
            )
            self._cancelling = recalled.orders
            del self._recalls[0]

    async def _leave(self) -> None:
        """Continue as new when the history is long: what is not done yet goes along.

        Long before the server suggests it: a worker that has lost the run reads all of it again
        within one task, and one of thousands of events does not fit into its two seconds.
        """
        short = workflow.patched("short-runs")
        await workflow.wait_condition(lambda: _is_long(short))
        await workflow.wait_condition(lambda: self._known and workflow.all_handlers_finished())
        workflow.continue_as_new(
            ControlCarry(
                state=self.is_paused(),
                unrecorded=tuple(self._holds.unrecorded),
                wake=self._wake,
                recalls=tuple(self._recalls),
                applied=self._applied,
                recorded=self._recorded,
            )
        )

    # --- the holds --------------------------------------------------------------------------

    def _unknown(self) -> Holds:
        """All trading held, until the holds on record have been read."""
        command = HoldCommand(
            key="starting", kind=HoldKind.BREAKER, reason="the holds on record are being read"
        )
        hold = hold_of(command, workflow.now().isoformat())
        return Holds(ControlState(paused=True, version=_clock_version(), holds=(hold,)))

    def _take(self, order: ControlOrder) -> None:
        if not self._known:
            self._inbox.append(order)  # All trading is held until they are known.
            return
        act = self._holds.lift if order.lift else self._holds.set
        at = workflow.now().isoformat()
        self._wake = act(order.command, at) or self._wake
        if order.command.cancel_working and not order.lift:
            self._recalls.append(recall_of(order.command, self._holds.version, at))
        workflow.set_current_details(self._holds.in_words())

    # --- answers ----------------------------------------------------------------------------

    async def _answer(self) -> PauseResult:
        """Answer when the newest version is known; whoever is in a hurry stops waiting.

        A handler issues no command of its own, not even a timer: several updates at once would
        find another order of commands when the history is replayed.
        """
        await workflow.wait_condition(lambda: self._known)
        version = self._holds.version
        await workflow.wait_condition(lambda: self._applied_version() >= version)
        state = self.is_paused()
        if self._applied is None:
            return PauseResult(state=state)
        return PauseResult(
            state=state,
            in_flight=self._applied.in_flight if state.holds else (),
            woken=0 if state.paused else self._applied.waiting,
            note=self._applied.note,
        )

    def _applied_version(self) -> int:
        return self._applied.version if self._applied else -1

    def _open_and_known(self) -> bool:
        return self._applied_version() >= self._holds.version and not self.is_paused().paused


def _is_long(short: bool) -> bool:
    info = workflow.info()
    long = short and info.get_current_history_length() >= _EVENTS_PER_RUN
    return long or info.is_continue_as_new_suggested()


def _clock_version() -> int:
    return int(workflow.now().timestamp()) - _EPOCH
