"""The hands of SettlementWorkflow: take a batch, sign it, send it, look after what is not final."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from temporalio import activity

from activities import spans
from activities.alarms import RaiseAlarm, SettlementAlarm, log_alarm
from activities.batching import BatchMaker
from activities.beating import beating
from activities.booking import Booking
from activities.clock import utc_now
from activities.fees import FeeLimits, bumped
from activities.settled import BatchCodec, ItemBooks
from models.batches import (
    PrepareBatchInput,
    PreparedBatch,
    SendBatchInput,
    SendBatchResult,
    SignBatchInput,
    SignedBatch,
)
from models.chain import Broadcast, BroadcastOutcome, Fees, TxReceipt
from models.errors import SigningRefused, SourceUnavailable, UnknownOutcome
from models.requests import BlockRef, batch_prefix, settlement_workflow_id
from models.verdict import POISON, UNSIGNED

if TYPE_CHECKING:
    from clients.agreeing import AgreeingVault
    from clients.gateway import WorkflowGateway
    from clients.keys import Signer
    from clients.sender import ChainSender
    from clients.store.store import Store

_LATE_RECEIPT_SECONDS = 1.0
_FIRST_POLL_SECONDS = 0.05
_SLOWEST_POLL_SECONDS = 2.0
_SURELY_ARRIVED_SECONDS = 0.5
_AGREE_SECONDS = 15.0
_KEY = "the key of this deployment is another one now"
# Nothing is gained by waiting: other bytes are needed.
_AT_ONCE = frozenset(
    {
        BroadcastOutcome.UNDERPRICED,
        BroadcastOutcome.TOO_BIG,
        BroadcastOutcome.REVERTS,
        BroadcastOutcome.REFUSED,
    }
)
_NOT_TAKEN = frozenset(_AT_ONCE - {BroadcastOutcome.UNDERPRICED} | {BroadcastOutcome.NOT_NOW})


class SettlementActivities:
    """Sends what the store says for one signing address; the vault says what came of it."""

    def __init__(
        self,
        vault: AgreeingVault,
        sender: ChainSender,
        store: Store,
        signer: Signer,
        gateway: WorkflowGateway,
        *,
        codec: BatchCodec,
        limits: FeeLimits | None = None,
        alarm: RaiseAlarm = log_alarm,
    ) -> None:
        self._vault = vault
        self._sender = sender
        self._signer = signer
        self._codec = codec
        self._limits = limits or FeeLimits()
        self._alarm = alarm
        self._own = batch_prefix(settlement_workflow_id(vault.chain_id, signer.address))
        self._books = ItemBooks(vault, sender, store.items, gateway, codec.terms_of)
        self._booking = Booking(self._books, store.items, alarm)
        self._maker = BatchMaker(
            vault,
            sender,
            store.items,
            store.approvals,
            self._books,
            signer=signer.address,
            codec=codec,
            limits=self._limits,
            alarm=alarm,
        )

    # --- prepare --------------------------------------------------------------------------------

    @activity.defn(name="prepare_batch")
    async def prepare_batch(self, message: PrepareBatchInput) -> PreparedBatch:
        """Take items and make one unsigned transaction of those that the vault holds open.

        Idempotency key: the batch id; a repeated call takes no other items.
        """
        if message.batch.startswith(self._own):
            return await self._maker.prepare(message)
        waiting_for = f"a worker that signs for it, {_KEY}"
        return PreparedBatch(batch=message.batch, count=0, waiting_for=waiting_for, retired=True)

    # --- sign -----------------------------------------------------------------------------------

    @activity.defn(name="sign_batch")
    async def sign_batch(self, message: SignBatchInput) -> SignedBatch:
        """Signed bytes; the same input gives the same bytes. Raises SigningRefused."""
        prepared = message.prepared
        if not prepared.batch.startswith(self._own):
            raise SigningRefused(f"the batch is another key's: {_KEY}")
        tx = self._codec.unsigned(
            chain_id=prepared.chain_id,
            to=prepared.to,
            nonce=prepared.nonce,
            gas=prepared.gas,
            max_fee=prepared.max_fee,
            max_priority_fee=prepared.max_priority_fee,
            data=prepared.data,
        )
        try:
            signed = await self._signer.sign(tx)
        except SigningRefused as refused:
            if message.first:
                await self._booking.set_aside(
                    prepared.batch,
                    prepared.count,
                    SettlementAlarm.UNSIGNED,
                    UNSIGNED,
                    refused.problem,
                )
            raise
        return SignedBatch(
            batch=prepared.batch,
            raw=signed.raw,
            tx_hash=signed.tx_hash,
            max_fee=prepared.max_fee,
            max_priority_fee=prepared.max_priority_fee,
        )

    # --- send -----------------------------------------------------------------------------------

    @activity.defn(name="send_batch")
    async def send_batch(self, message: SendBatchInput) -> SendBatchResult:
        """Broadcast the newest bytes and wait until any of them is mined or the nonce is gone.

        Sending again is harmless: one nonce, one calldata, and the vault settles each item once.
        """
        async with beating():
            return await self._send(message)

    async def _send(self, message: SendBatchInput) -> SendBatchResult:
        loop = asyncio.get_running_loop()
        end = loop.time() + message.wait_seconds
        newest = message.signed[-1]
        answer = await self._broadcast(newest)
        pause = _FIRST_POLL_SECONDS
        while True:
            done = await self._outcome(message)
            if done is not None:
                return done
            at_once = answer is not None and answer.outcome in _AT_ONCE
            if at_once or loop.time() + pause > end:
                return await self._not_mined(message, answer)
            await asyncio.sleep(pause)
            if pause > _SURELY_ARRIVED_SECONDS and not await self._sender.known(newest.tx_hash):
                # Dropped from every mempool, or never arrived.
                answer = await self._broadcast(newest)
            pause = min(pause * 2, _SLOWEST_POLL_SECONDS)

    async def _broadcast(self, signed: SignedBatch) -> Broadcast | None:
        """None: unknown whether it was sent, so look for it like for one that was."""
        try:
            return await self._sender.broadcast(signed.raw)
        except (UnknownOutcome, SourceUnavailable) as error:
            # Also where nobody was reached: older bytes may have been mined meanwhile.
            activity.logger.warning("broadcast_unknown", extra={"detail": str(error)})
            return None

    async def _outcome(self, message: SendBatchInput) -> SendBatchResult | None:
        """The end of this nonce; None while it has none."""
        receipt = await self._receipt(message)
        if receipt is None:
            signer = message.signer or self._signer.address
            if await self._sender.latest_nonce(signer) <= message.nonce:
                return None
            receipt = await self._late_receipt(message)
        head = await self._head_at(receipt.block_number if receipt is not None else 0)
        if receipt is not None and not await self._stands(receipt):
            return None
        sent = await self._booking.sent(message.batch)
        booked = await self._booking.book(message, sent, head, receipt)
        spans.tell_batch(message.batch, sent, booked.tx_hash, utc_now(), nonce=message.nonce)
        return booked

    async def _stands(self, receipt: TxReceipt) -> bool:
        """Whether the receipt's block is the one that the endpoints agree on."""
        block = await self._vault.block(receipt.block_number)
        return block is not None and block.hash == receipt.block_hash

    async def _receipt(self, message: SendBatchInput) -> TxReceipt | None:
        receipts = await self._sender.receipts([signed.tx_hash for signed in message.signed])
        return next((receipt for receipt in receipts if receipt is not None), None)

    async def _late_receipt(self, message: SendBatchInput) -> TxReceipt | None:
        """The receipt of a nonce that is used, by one of ours since we looked, perhaps.

        A node may count a transaction a moment before it tells its receipt, and another node was
        asked for the one than for the other: a foreign transaction is believed a second later.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + _LATE_RECEIPT_SECONDS
        while True:
            receipt = await self._receipt(message)
            if receipt is not None or loop.time() > end:
                return receipt
            await asyncio.sleep(_FIRST_POLL_SECONDS)

    async def _head_at(self, number: int) -> BlockRef:
        """The agreed head, once it has come to this block."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _AGREE_SECONDS
        while (head := await self._vault.head()).number < number:
            if loop.time() > end:
                doing = f"waiting for block {number}"
                raise SourceUnavailable("chain", doing, f"the agreed head is {head.number}")
            await asyncio.sleep(_FIRST_POLL_SECONDS)
        return head

    async def _not_mined(
        self, message: SendBatchInput, answer: Broadcast | None
    ) -> SendBatchResult:
        signer = message.signer or self._signer.address
        suggested, balance = await asyncio.gather(
            self._sender.fee_suggestion(), self._sender.balance(signer)
        )
        ceiling = self._limits.ceiling(suggested, message.gas, balance)
        affordable = balance // max(1, message.gas)
        self._say_why(message, answer, suggested, ceiling)
        if answer is not None and answer.outcome is BroadcastOutcome.REVERTS:
            words = "reverts alone: set aside"
            await self._booking.set_aside(
                message.batch, message.count, SettlementAlarm.POISON, POISON, words
            )
        return SendBatchResult(
            mined=False,
            outcome=answer.outcome if answer is not None else None,
            detail=answer.detail if answer is not None else "",
            suggested=suggested,
            fee_ceiling=ceiling,
            affordable=affordable,
        )

    def _say_why(
        self, message: SendBatchInput, answer: Broadcast | None, suggested: Fees, ceiling: int
    ) -> None:
        outcome = answer.outcome if answer is not None else None
        detail = answer.detail if answer is not None else ""
        key, newest = f"nonce {message.nonce}", message.signed[-1]
        offered = Fees(base_fee=0, max_priority_fee=newest.max_priority_fee, max_fee=newest.max_fee)
        if outcome in _NOT_TAKEN:
            self._alarm(SettlementAlarm.NOT_TAKEN, key, detail)
        elif outcome is BroadcastOutcome.NO_FUNDS:
            self._alarm(SettlementAlarm.GAS_MONEY, key, detail)
        elif bumped(offered, suggested, ceiling) is None:
            words = f"offers {newest.max_fee} wei per gas and may not go above {ceiling}"
            self._alarm(SettlementAlarm.FEE_CEILING, key, words)
