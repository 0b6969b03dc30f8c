"""One signing address: batches what is to be settled, signs, sends, and looks after the rest.

The items are in the store and the vault is idempotent, so whatever is lost here (a run, a batch, a
transaction) costs time and gas, never money. Signals only say that there is work.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import workflow

from activities.settlement import SettlementActivities
from activities.sweep import SweepActivities
from models.batches import (
    BatchInFlight,
    PrepareBatchInput,
    SettlementInput,
    SweepInput,
)
from models.requests import batch_prefix
from workflows.flights import Flights
from workflows.policies import ASK, SEND

_NO_TIME = timedelta(0)
_LONG_AGO = timedelta(days=1)


@workflow.defn(name="SettlementWorkflow")
class SettlementWorkflow:
    """Drains the settlement items of one signing address, for as long as that is the key."""

    @workflow.init
    def __init__(self, options: SettlementInput) -> None:
        self._options = options
        self._flights = Flights(
            options,
            leaving=lambda: self._leaving or self._ending,
            retired=lambda: self._retired_at is not None,
            tell=self._tell,
        )
        self._work = True
        self._waiting_for = ""
        self._stuck = 0
        self._taken_at = workflow.now() - _LONG_AGO
        self._retired_at = options.retired_at
        self._ending = False

    @workflow.signal(name="work", description="there may be something to settle")
    def work(self, *args: Any) -> None:
        """Look for work; what it is stands in the store."""
        self._work = True

    @workflow.run
    async def run(self, options: SettlementInput) -> None:
        """Continues as new, batches in flight included; returns once its key is retired."""
        for flight in options.in_flight:
            self._flights.launch(flight)
        while not self._leaving:
            await self._sweep()
            if self._drained:
                await self._hand_back()
                return
            await self._drain()
        # Each batch stops where its signed bytes and what to do next are both known here.
        await workflow.wait_condition(lambda: self._flights.landed)
        await workflow.wait_condition(workflow.all_handlers_finished)
        changed = {
            "in_flight": tuple(self._flights),
            "size": self._flights.size,
            "retired_at": self._retired_at,
        }
        workflow.continue_as_new(self._options.model_copy(update=changed))

    @property
    def _leaving(self) -> bool:
        info, most = workflow.info(), self._options.run_events
        long = most > 0 and info.get_current_history_length() >= most
        return long or info.is_continue_as_new_suggested()

    @property
    def _ready(self) -> bool:
        work = self._work or self._flights.returned
        return work and len(self._flights) < self._options.max_in_flight

    @property
    def _gathering(self) -> timedelta:
        """How long the next batch still waits for company: not at all when nothing is in flight."""
        pause = timedelta(seconds=self._options.gather_seconds * len(self._flights))
        return self._taken_at + pause - workflow.now()

    @property
    def _drained(self) -> bool:
        """Whether the key is retired and what it sent has ended, or was waited for long enough."""
        if self._retired_at is None:
            return False
        gone, options = workflow.now() - self._retired_at, self._options
        least = timedelta(seconds=options.retire_seconds)
        most = timedelta(seconds=options.drain_seconds)
        return gone >= (least if not len(self._flights) else max(least, most))

    async def _hand_back(self) -> None:
        """Leave every item to the key that settles now. The vault settles none of them twice."""
        self._ending = True
        self._tell()
        await workflow.wait_condition(lambda: self._flights.landed)
        self._flights.forget()
        await self._sweep()
        workflow.logger.warning("key_retired", extra={"settlement": workflow.info().workflow_id})

    async def _drain(self) -> None:
        """Prepare batches as work and nonces allow, until the next sweep is due."""
        due = workflow.now() + timedelta(seconds=self._options.sweep_seconds)
        while not self._looking_up and (left := due - workflow.now()) > _NO_TIME:
            if self._ready and self._gathering <= _NO_TIME:
                await self._prepare()
                continue
            wait = min(left, self._gathering) if self._ready else left
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    self._something_to_do(), timeout=wait, timeout_summary="sweep"
                )

    @property
    def _looking_up(self) -> bool:
        """Time for a sweep, or for the next run."""
        return self._leaving or self._flights.split

    def _something_to_do(self) -> Callable[[], bool]:
        """True once it is worth looking again before the time is up."""
        was_ready, in_flight = self._ready, len(self._flights)

        def changed() -> bool:
            fresh = self._ready and (not was_ready or len(self._flights) < in_flight)
            return self._looking_up or fresh

        return changed

    async def _prepare(self) -> None:
        """Take the next batch. Never beside a sweep: that would see its items as forgotten."""
        self._work = self._flights.returned = False
        flights = self._flights.prepared
        message = PrepareBatchInput(
            batch=f"{self._prefix}{workflow.uuid4().hex}",
            in_use=tuple(prepared.nonce for prepared in flights),
            limit=self._flights.size,
            committed=sum(prepared.gas * prepared.max_fee for prepared in flights),
        )
        prepared = await workflow.execute_activity_method(
            SettlementActivities.prepare_batch, message, summary="take the next batch", **ASK
        )
        self._waiting_for = prepared.waiting_for
        self._heed(prepared.retired)
        # After a batch that only filled a gap there may be others as well.
        more = prepared.more or bool(prepared.data and not prepared.count)
        self._work = self._work or more
        self._taken_at = workflow.now() - (_LONG_AGO if more else _NO_TIME)
        if prepared.data:
            self._flights.launch(BatchInFlight(prepared=prepared))
        self._tell()

    @property
    def _prefix(self) -> str:
        return batch_prefix(workflow.info().workflow_id)

    def _heed(self, retired: bool) -> None:
        """A rolling deployment has both keys for a while: one that has ours starts this anew."""
        if not retired:
            self._retired_at = None
        elif self._retired_at is None:
            self._retired_at = workflow.now()

    async def _sweep(self) -> None:
        self._flights.split = False
        swept = await workflow.execute_activity_method(
            SweepActivities.sweep,
            SweepInput(
                in_flight=tuple(p.batch for p in self._flights.prepared), prefix=self._prefix
            ),
            summary="look after what is not final",
            **SEND,
        )
        self._stuck = swept.stuck
        self._heed(swept.retired)
        # Also without pending items: there may be a gap below a batch that is in flight.
        self._work = self._work or swept.pending > 0 or swept.owed or len(self._flights) > 0
        self._tell()

    def _tell(self) -> None:
        lines = list(self._flights.lines())
        if self._retired_at is not None:
            state = "hands its items back" if self._ending else "waits for what it sent"
            lines.append(f"the key is retired: {state}")
        for missing in filter(None, (self._waiting_for, self._flights.waiting_for)):
            lines.append(f"waits for {missing}")
        if self._stuck:
            lines.append(f"{self._stuck} item(s) refused by the vault: an operator must look")
        workflow.set_current_details("  \n".join(lines) or "nothing to settle")
