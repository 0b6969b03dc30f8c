"""A settler's outside world for workflow tests: activities under their real names, no chain."""

import asyncio
from collections.abc import Callable

from temporalio import activity
from temporalio.exceptions import ApplicationError

from models.batches import (
    PrepareBatchInput,
    PreparedBatch,
    SendBatchInput,
    SendBatchResult,
    SignBatchInput,
    SignedBatch,
    SweepInput,
    SweepResult,
)
from models.chain import BroadcastOutcome, Fees

Answer = Callable[[SendBatchInput], SendBatchResult]
FEE = 1000


def mined(message: SendBatchInput) -> SendBatchResult:
    return SendBatchResult(mined=True, tx_hash=message.signed[-1].tx_hash, settled=1)


def not_mined(
    outcome: BroadcastOutcome = BroadcastOutcome.ACCEPTED,
    ceiling: int = 10**12,
    affordable: int = 10**12,
) -> Answer:
    suggested = Fees(base_fee=1, max_priority_fee=1, max_fee=FEE)
    return lambda _: SendBatchResult(
        mined=False,
        outcome=outcome,
        suggested=suggested,
        fee_ceiling=ceiling,
        affordable=affordable,
    )


class FakeSettler:
    """Items are a number; nonces count up; what a send comes to is scripted per call."""

    def __init__(self) -> None:
        self.pending = 0
        self.waiting_for = ""
        self.nonce = 7
        self.answers: list[Answer] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.refuse_to_sign: set[int] = set()
        self.refuse_above = 10**9
        self.most_items = 10**9
        self.retired = False
        self.returning = False
        self.prepared: list[PrepareBatchInput] = []
        self.signed: list[PreparedBatch] = []
        self.sent: list[SendBatchInput] = []
        self.swept: list[SweepInput] = []

    @property
    def activities(self) -> list[Callable[..., object]]:
        return [self.prepare_batch, self.sign_batch, self.send_batch, self.sweep]

    @activity.defn(name="prepare_batch")
    async def prepare_batch(self, message: PrepareBatchInput) -> PreparedBatch:
        self.prepared.append(message)
        idle = PreparedBatch(batch=message.batch, count=0, waiting_for=self.waiting_for)
        count = min(self.pending, message.limit)
        if self.retired:
            return idle.model_copy(update={"waiting_for": "its key", "retired": True})
        if self.waiting_for or not count:
            return idle
        self.pending -= count
        nonce = next(n for n in range(self.nonce, 10**6) if n not in message.in_use)
        return PreparedBatch(
            batch=message.batch,
            count=count,
            nonce=nonce,
            data=f"0x{message.batch}",
            gas=21_000,
            max_fee=FEE,
            max_priority_fee=10,
            more=count == message.limit,
        )

    @activity.defn(name="sign_batch")
    async def sign_batch(self, message: SignBatchInput) -> SignedBatch:
        prepared = message.prepared
        if prepared.nonce in self.refuse_to_sign or prepared.max_fee > self.refuse_above:
            raise ApplicationError("not signed: no settlement", type="SigningRefused")
        if prepared.count > self.most_items:
            self.pending += prepared.count
            raise ApplicationError("not signed: too much", type="SigningRefused")
        self.signed.append(prepared)
        name = f"{prepared.nonce}@{prepared.max_fee}"
        return SignedBatch(
            batch=prepared.batch,
            raw=f"raw {name}",
            tx_hash=name,
            max_fee=prepared.max_fee,
            max_priority_fee=prepared.max_priority_fee,
        )

    @activity.defn(name="send_batch")
    async def send_batch(self, message: SendBatchInput) -> SendBatchResult:
        self.sent.append(message)
        answer = self.answers.pop(0) if self.answers else mined
        while not self.gate.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.02)
        result = answer(message)
        if self.returning and (not result.mined or result.reverted):
            self.pending += message.count
        if result.mined:
            self.nonce = max(self.nonce, message.nonce + 1)
        return result

    @activity.defn(name="sweep")
    async def sweep(self, message: SweepInput) -> SweepResult:
        self.swept.append(message)
        return SweepResult(pending=self.pending, retired=self.retired)
