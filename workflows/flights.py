"""The batches in flight of one signing address, each a nonce: signed, sent, raised, given up."""

import asyncio
from collections.abc import Callable, Iterable, Iterator

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.fees import bumped
from activities.settlement import SettlementActivities
from models.batches import (
    BatchInFlight,
    PreparedBatch,
    SendBatchInput,
    SendBatchResult,
    SettlementInput,
    SignBatchInput,
    SignedBatch,
)
from models.chain import BroadcastOutcome, Fees
from workflows.policies import SEND, SIGN

# Sent, perhaps sent, or refused for its fees: what is not mined in time offers more.
_DEARER = frozenset(
    {
        None,
        BroadcastOutcome.ACCEPTED,
        BroadcastOutcome.ALREADY_KNOWN,
        BroadcastOutcome.UNDERPRICED,
    }
)
_REFUSED = "SigningRefused"
_SMALLER = frozenset({BroadcastOutcome.TOO_BIG, BroadcastOutcome.REVERTS})


class Flights:
    """Looks after each batch until its nonce is used or free again.

    size: items in the next batch. returned: some items went back, so there is work. split: a batch
    was too much as a whole, and its items wait for a sweep. waiting_for: what signing waits for.
    """

    def __init__(
        self,
        options: SettlementInput,
        *,
        leaving: Callable[[], bool],
        retired: Callable[[], bool],
        tell: Callable[[], None],
    ) -> None:
        self.size = options.size or options.limit
        self.returned = False
        self.split = False
        self.waiting_for = ""
        self._options = options
        self._leaving = leaving
        self._retired = retired
        self._tell = tell
        self._held: dict[str, BatchInFlight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._notes: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[BatchInFlight]:
        return iter(tuple(self._held.values()))

    @property
    def prepared(self) -> list[PreparedBatch]:
        """What is in flight, lowest nonce first."""
        return sorted((flight.prepared for flight in self), key=lambda p: p.nonce)

    @property
    def landed(self) -> bool:
        """Whether nobody works on any of them; what is held still goes to the next run."""
        return not self._tasks

    def lines(self) -> Iterable[str]:
        """Each in words."""
        for prepared in self.prepared:
            yield f"{_words(prepared)} {self._notes.get(prepared.batch, '')}".rstrip()

    def launch(self, flight: BatchInFlight) -> None:
        """Begin, or go on where the last run stopped."""
        self._held[flight.prepared.batch] = flight
        task = asyncio.create_task(self._fly(flight.prepared.batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self) -> None:
        """Give up what is held: the next sweep returns its items."""
        self._held.clear()

    async def _fly(self, batch: str) -> None:
        """Sign and send until the nonce is used, or leave it to the next run."""
        while not self._leaving():
            flight = self._held[batch]
            if not await self._signed(flight) or await self._sent(self._held[batch]):
                del self._held[batch]
                self._notes.pop(batch, None)
                break
        self._tell()

    async def _signed(self, flight: BatchInFlight) -> bool:
        """Have bytes for the fees at hand. False: the signer refuses, the nonce is free again."""
        if flight.signed and flight.signed[-1].max_fee == flight.prepared.max_fee:
            return True
        message = SignBatchInput(prepared=flight.prepared, first=not flight.signed)
        try:
            signed = await workflow.execute_activity_method(
                SettlementActivities.sign_batch, message, summary=_words(flight.prepared), **SIGN
            )
        except ActivityError as error:
            return self._not_signed(flight, error)
        # Of what it replaces, only the hash is needed: the bytes would not fit into the next run.
        others = (old for old in flight.signed if old.tx_hash != signed.tx_hash)
        older = tuple(_hash_only(old) for old in others)
        self._keep(flight, flight.prepared, (*older, signed))
        return True

    def _not_signed(self, flight: BatchInFlight, error: ActivityError) -> bool:
        """What was sent already is looked after with the bytes there are, never forgotten."""
        why = str(error.cause or error)
        workflow.logger.error("batch_not_signed", extra={"batch": flight.prepared.batch})
        if not flight.signed:
            # Its items are in no batch in flight any more: the next sweep returns them.
            self.waiting_for = f"the signer ({why})"
            if isinstance(error.cause, ApplicationError) and error.cause.type == _REFUSED:
                self._shrink(flight.prepared)
                self.returned = flight.prepared.count == 1  # that item is set aside by now
            return False
        self._notes[flight.prepared.batch] = f"keeps its fees, the signer refuses more ({why})"
        self._keep(flight, _with_fees_of(flight.prepared, flight.signed[-1]), flight.signed)
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
            count=prepared.count,
        )
        sent = await workflow.execute_activity_method(
            SettlementActivities.send_batch, message, summary=_words(prepared), **SEND
        )
        self._resize(prepared, sent)
        if sent.mined or sent.nonce_used_by_other:
            self.returned = self.returned or sent.returned > 0
            return True
        return await self._next_try(flight, sent)

    def _resize(self, prepared: PreparedBatch, sent: SendBatchResult) -> None:
        """Halve what did not pass as a whole, grow again with what did."""
        if sent.reverted or sent.outcome in _SMALLER:
            self._shrink(prepared)
        elif sent.mined and prepared.count:
            self.size = min(self._options.limit, self.size * 2)

    def _shrink(self, prepared: PreparedBatch) -> None:
        self.size = max(1, min(self.size, prepared.count // 2))
        self.split = prepared.count > 1

    async def _next_try(self, flight: BatchInFlight, sent: SendBatchResult) -> bool:
        """What to send next under this nonce. True: nothing, it is free for another batch."""
        prepared, outcome = flight.prepared, sent.outcome
        self._notes[prepared.batch] = sent.detail or "not mined yet"
        self._tell()
        if outcome is BroadcastOutcome.REFUSED or outcome in _SMALLER:
            return True
        if outcome is BroadcastOutcome.NO_FUNDS and prepared.max_fee > sent.affordable:
            return self._step_back(flight, sent)
        if self._retired() and flight.signed:
            # Nobody would sign: what was sent is published on, and given up in the end.
            return False
        dearer = _dearer(prepared, sent) if outcome in _DEARER else None
        if dearer is not None:
            self._keep(flight, dearer, flight.signed)
        elif outcome in _DEARER:
            self._notes[prepared.batch] = f"fees are at the ceiling, {sent.fee_ceiling} wei per gas"
            self._tell()
            if outcome is BroadcastOutcome.UNDERPRICED:
                await workflow.sleep(self._options.wait_seconds, summary="fees are at the ceiling")
        return False

    def _step_back(self, flight: BatchInFlight, sent: SendBatchResult) -> bool:
        """To the dearest bytes of before that the purse can pay; without any the nonce is free."""
        older = [old for old in flight.signed if old.max_fee <= sent.affordable]
        if not older:
            return True
        dearest = max(older, key=lambda old: old.max_fee)
        self._keep(flight, _with_fees_of(flight.prepared, dearest), flight.signed)
        return False

    def _keep(
        self, flight: BatchInFlight, prepared: PreparedBatch, signed: tuple[SignedBatch, ...]
    ) -> None:
        changed = flight.model_copy(update={"prepared": prepared, "signed": signed})
        self._held[prepared.batch] = changed


def _words(prepared: PreparedBatch) -> str:
    what = f"{prepared.count} item(s)" if prepared.count else "fills a gap"
    return f"nonce {prepared.nonce}: {what}"


def _hash_only(signed: SignedBatch) -> SignedBatch:
    return signed.model_copy(update={"raw": ""})


def _with_fees_of(prepared: PreparedBatch, signed: SignedBatch) -> PreparedBatch:
    fees = {"max_fee": signed.max_fee, "max_priority_fee": signed.max_priority_fee}
    return prepared.model_copy(update=fees)


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
