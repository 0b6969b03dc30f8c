"""One signing address: batches what is to be settled, signs, sends, and looks after the rest.

The items are in the store and the vault is idempotent, so whatever is lost here (a run, a batch, a
transaction) costs time and gas, never money. Signals only say that there is work.
"""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.fees import bumped
from activities.settlement import SettlementActivities
from activities.sweep import SweepActivities
from models.batches import (
    BatchInFlight,
    PrepareBatchInput,
    PreparedBatch,
    SendBatchInput,
    SendBatchResult,
    SettlementInput,
    SignBatchInput,
    SignedBatch,
    SweepInput,
)
from models.chain import BroadcastOutcome, Fees
from models.requests import batch_prefix
from workflows.policies import ASK, SEND, SIGN


@workflow.defn(name="SettlementWorkflow")
class SettlementWorkflow:
    """Drains the settlement items of one signing address, for ever."""

    @workflow.init
    def __init__(self, options: SettlementInput) -> None:
        self._options = options
        self._flights = {flight.prepared.batch: flight for flight in options.in_flight}
        self._flying: set[asyncio.Task[None]] = set()
        self._work = True
        self._notes: dict[str, str] = {}
        self._waiting_for = ""
        self._stuck = 0

    @workflow.signal(name="work", description="there may be something to settle")
    def work(self, *args: Any) -> None:
        """Look for work; what it is stands in the store."""
        self._work = True

    @workflow.run
    async def run(self, options: SettlementInput) -> None:
        """Never returns: continues as new, batches in flight included."""
        for flight in options.in_flight:
            self._launch(flight)
        while not self._leaving:
            await self._sweep()
            await self._drain()
        # Each batch stops where its signed bytes and what to do next are both known here.
        await workflow.wait_condition(lambda: not self._flying)
        await workflow.wait_condition(workflow.all_handlers_finished)
        in_flight = tuple(self._flights.values())
        workflow.continue_as_new(self._options.model_copy(update={"in_flight": in_flight}))

    @property
    def _leaving(self) -> bool:
        info, most = workflow.info(), self._options.run_events
        long = most > 0 and info.get_current_history_length() >= most
        return long or info.is_continue_as_new_suggested()

    @property
    def _ready(self) -> bool:
        return self._work and len(self._flights) < self._options.max_in_flight

    async def _drain(self) -> None:
        """Prepare batches as work and nonces allow, until the next sweep is due."""
        due = workflow.now() + timedelta(seconds=self._options.sweep_seconds)
        while not self._leaving and (left := due - workflow.now()) > timedelta(0):
            if self._ready:
                await self._prepare()
                continue
            try:
                await workflow.wait_condition(
                    lambda: self._ready or self._leaving, timeout=left, timeout_summary="sweep"
                )
            except TimeoutError:
                return

    async def _prepare(self) -> None:
        """Take the next batch. Never beside a sweep: that would see its items as forgotten."""
        self._work = False
        message = PrepareBatchInput(
            batch=f"{batch_prefix(workflow.info().workflow_id)}{workflow.uuid4().hex}",
            in_use=tuple(flight.prepared.nonce for flight in self._flights.values()),
            limit=self._options.limit,
        )
        prepared = await workflow.execute_activity_method(
            SettlementActivities.prepare_batch, message, summary="take the next batch", **ASK
        )
        self._waiting_for = prepared.waiting_for
        if prepared.data:
            # A full batch says that more may be waiting; so does one that only filled a gap.
            self._work = self._work or prepared.count in (0, self._options.limit)
            self._launch(BatchInFlight(prepared=prepared))
        self._tell()

    async def _sweep(self) -> None:
        swept = await workflow.execute_activity_method(
            SweepActivities.sweep,
            SweepInput(in_flight=tuple(self._flights)),
            summary="look after what is not final",
            **SEND,
        )
        self._stuck = swept.stuck
        # Also without pending items: there may be a gap below a batch that is in flight.
        self._work = self._work or swept.pending > 0 or swept.owed or bool(self._flights)
        self._tell()

    # --- one batch ------------------------------------------------------------------------------

    def _launch(self, flight: BatchInFlight) -> None:
        self._flights[flight.prepared.batch] = flight
        task = asyncio.create_task(self._fly(flight.prepared.batch))
        self._flying.add(task)
        task.add_done_callback(self._flying.discard)

    async def _fly(self, batch: str) -> None:
        """Sign and send until the nonce is used, or leave it to the next run."""
        while not self._leaving:
            flight = self._flights[batch]
            if not await self._signed(flight) or await self._sent(self._flights[batch]):
                del self._flights[batch]
                self._notes.pop(batch, None)
                break
        self._tell()

    async def _signed(self, flight: BatchInFlight) -> bool:
        """Have bytes for the fees at hand. False: the signer refuses, the nonce is free again."""
        if flight.signed and flight.signed[-1].max_fee == flight.prepared.max_fee:
            return True
        message = SignBatchInput(prepared=flight.prepared)
        try:
            signed = await workflow.execute_activity_method(
                SettlementActivities.sign_batch, message, summary=_words(flight.prepared), **SIGN
            )
        except ActivityError as error:
            # Its items are in no batch in flight any more: the next sweep returns them.
            self._waiting_for = f"the signer ({error.cause or error})"
            workflow.logger.error("batch_not_signed", extra={"batch": flight.prepared.batch})
            return False
        # Of what it replaces, only the hash is needed: the bytes would not fit into the next run.
        older = tuple(_hash_only(old) for old in flight.signed)
        self._keep(flight, flight.prepared, (*older, signed))
        return True

    async def _sent(self, flight: BatchInFlight) -> bool:
        """Send and wait. True: over with this nonce."""
        prepared = flight.prepared
        message = SendBatchInput(
            batch=prepared.batch,
            nonce=prepared.nonce,
            signed=flight.signed,
            signer=prepared.signer,
            gas=prepared.gas,
            wait_seconds=self._options.wait_seconds,
        )
        sent = await workflow.execute_activity_method(
            SettlementActivities.send_batch, message, summary=_words(prepared), **SEND
        )
        if sent.mined or sent.nonce_used_by_other:
            self._work = self._work or sent.returned > 0
            return True
        return await self._next_try(flight, sent)

    async def _next_try(self, flight: BatchInFlight, sent: SendBatchResult) -> bool:
        """Raise the fees where that helps. True: these bytes can never be sent."""
        self._notes[flight.prepared.batch] = sent.detail or "not mined yet"
        self._tell()
        if sent.outcome is BroadcastOutcome.REFUSED:
            return True
        if sent.outcome is not BroadcastOutcome.NO_FUNDS:
            dearer = _dearer(flight.prepared, sent)
            if dearer is not None:
                self._keep(flight, dearer, flight.signed)
                return False
        if sent.outcome is BroadcastOutcome.UNDERPRICED:
            await workflow.sleep(self._options.wait_seconds, summary="fees are at the ceiling")
        return False

    def _keep(
        self, flight: BatchInFlight, prepared: PreparedBatch, signed: tuple[SignedBatch, ...]
    ) -> None:
        changed = flight.model_copy(update={"prepared": prepared, "signed": signed})
        self._flights[prepared.batch] = changed

    def _tell(self) -> None:
        flights = sorted((f.prepared for f in self._flights.values()), key=lambda p: p.nonce)
        lines = [f"{_words(p)} {self._notes.get(p.batch, '')}".rstrip() for p in flights]
        if self._waiting_for:
            lines.append(f"waits for {self._waiting_for}")
        if self._stuck:
            lines.append(f"{self._stuck} item(s) refused by the vault: an operator must look")
        workflow.set_current_details("  \n".join(lines) or "nothing to settle")


def _words(prepared: PreparedBatch) -> str:
    what = f"{prepared.count} item(s)" if prepared.count else "fills a gap"
    return f"nonce {prepared.nonce}: {what}"


def _hash_only(signed: SignedBatch) -> SignedBatch:
    return signed.model_copy(update={"raw": ""})


def _dearer(prepared: PreparedBatch, sent: SendBatchResult) -> PreparedBatch | None:
    """The same transaction with fees that replace it; None at the ceiling."""
    if sent.suggested is None:
        return None
    offered = Fees(base_fee=0, max_priority_fee=prepared.max_priority_fee, max_fee=prepared.max_fee)
    fees = bumped(offered, sent.suggested, sent.fee_ceiling)
    if fees is None:
        return None
    return prepared.model_copy(
        update={"max_fee": fees.max_fee, "max_priority_fee": fees.max_priority_fee}
    )
