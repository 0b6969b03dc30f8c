"""The hands of SettlementWorkflow: take a batch, sign it, send it, look after what is not final."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from temporalio import activity

from activities.beating import beating
from activities.clock import utc_now
from activities.fees import FeeLimits
from activities.settled import BatchCodec, ItemBooks, ident
from models.batches import (
    PrepareBatchInput,
    PreparedBatch,
    SendBatchInput,
    SendBatchResult,
    SignBatchInput,
    SignedBatch,
)
from models.chain import ZERO_HASH, Broadcast, BroadcastOutcome, Fees, RefundItem, TxReceipt
from models.errors import SigningRefused, SourceUnavailable, UnknownOutcome
from models.records import ItemState, SettlementItem
from models.requests import BlockRef, batch_prefix, settlement_workflow_id
from models.verdict import MALFORMED, batch_of, well_formed

if TYPE_CHECKING:
    from clients.agreeing import AgreeingVault
    from clients.gateway import WorkflowGateway
    from clients.keys import Signer
    from clients.sender import ChainSender
    from clients.store.store import Store

_FILLER = RefundItem(n=0, request_id=ZERO_HASH, reason=0)
"""There is no request 0, so the vault refuses it and changes nothing: it only uses a nonce."""
_FIRST_POLL_SECONDS = 0.05
_SLOWEST_POLL_SECONDS = 2.0
_AGREE_SECONDS = 15.0
_KEY = "the key of this deployment is another one now"
_AT_ONCE = frozenset({BroadcastOutcome.UNDERPRICED, BroadcastOutcome.REFUSED})


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
    ) -> None:
        self._vault = vault
        self._sender = sender
        self._items = store.items
        self._signer = signer
        self._codec = codec
        self._limits = limits or FeeLimits()
        self._own = batch_prefix(settlement_workflow_id(vault.chain_id, signer.address))
        self._books = ItemBooks(vault, sender, store.items, gateway, codec.terms_of)

    # --- prepare --------------------------------------------------------------------------------

    @activity.defn(name="prepare_batch")
    async def prepare_batch(self, message: PrepareBatchInput) -> PreparedBatch:
        """Take items and make one unsigned transaction of those that the vault holds open.

        Idempotency key: the batch id; a repeated call takes no other items.
        """
        idle = PreparedBatch(batch=message.batch, count=0)
        if not message.batch.startswith(self._own):
            return idle.model_copy(update={"waiting_for": f"a worker that signs for it, {_KEY}"})
        head, fees = await asyncio.gather(self._vault.head(), self._sender.fee_suggestion())
        settler = await self._vault.settler(self._signer.address, head)
        room = self._room(fees, settler.balance)
        missing = self._missing(settler.has_role, room, fees, settler.balance)
        if missing:
            return idle.model_copy(update={"waiting_for": missing})
        items = await self._open_items(message.batch, min(room, message.limit), head)
        nonce = _lowest_free(settler.latest_nonce, message.in_use)
        gap = any(used > nonce for used in message.in_use)
        if not items and not gap and (message.in_use or not await self._owes(head)):
            return idle
        return self._unsigned(message.batch, items, nonce, fees)

    async def _owes(self, head: BlockRef) -> bool:
        """Whether the vault could pay some of what it owes: any batch makes it do so."""
        return (await self._vault.books(head)).payable_debt > 0

    def _missing(self, has_role: bool, room: int, fees: Fees, balance: int) -> str:
        """What stands in the way of any transaction, in words; nothing is taken then."""
        who = self._signer.address
        if not has_role:
            return f"the settler role of vault {self._vault.address}, which {who} does not have"
        if fees.base_fee > self._limits.max_fee:
            return f"gas below {self._limits.max_fee} wei (it is {fees.base_fee})"
        if room < 1:
            return f"gas money: {who} has {balance} wei, too little at {fees.max_fee} wei per gas"
        return ""

    def _room(self, fees: Fees, balance: int) -> int:
        """How many items one transaction could pay the gas for now."""
        one, two = (self._codec.gas_limit((), (_FILLER,) * count) for count in (1, 2))
        affordable = self._limits.gas(balance, self._limits.offer(fees))
        return max(0, (affordable - one) // (two - one) + 1)

    async def _open_items(self, batch: str, limit: int, head: BlockRef) -> list[SettlementItem]:
        """Items taken for this batch, less those that have ended or cannot be sent."""
        chain_id, vault = self._vault.chain_id, self._vault.address
        taken = await self._items.take_batch(chain_id, vault, batch, limit, utc_now())
        taken = [item for item in taken if item.state is ItemState.SENT]
        for item in taken:
            if not well_formed(item):
                activity.logger.error("item_malformed", extra={"request_id": item.request_id})
                await self._items.mark_rejected(ident(item), MALFORMED, utc_now())
        good = [item for item in taken if well_formed(item)]
        return (await self._books.apply(await self._books.judged(good, head), head)).open

    def _unsigned(
        self, batch: str, items: Sequence[SettlementItem], nonce: int, fees: Fees
    ) -> PreparedBatch:
        settles, refunds = batch_of(items)
        if not items:
            refunds = (_FILLER,)
        offer = self._limits.offer(fees)
        return PreparedBatch(
            batch=batch,
            count=len(items),
            nonce=nonce,
            to=self._vault.address,
            data=self._codec.calldata(settles, refunds),
            gas=self._codec.gas_limit(settles, refunds),
            max_fee=offer.max_fee,
            max_priority_fee=offer.max_priority_fee,
            chain_id=self._vault.chain_id,
            signer=self._signer.address,
        )

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
        signed = await self._signer.sign(tx)
        return SignedBatch(
            batch=prepared.batch,
            raw=signed.raw,
            tx_hash=signed.tx_hash,
            max_fee=prepared.max_fee,
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
        answer = await self._broadcast(message.signed[-1])
        pause = _FIRST_POLL_SECONDS
        while True:
            done = await self._outcome(message)
            if done is not None:
                return done
            at_once = answer is not None and answer.outcome in _AT_ONCE
            if at_once or loop.time() + pause > end:
                return await self._not_mined(message, answer)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _SLOWEST_POLL_SECONDS)

    async def _broadcast(self, signed: SignedBatch) -> Broadcast | None:
        """None: unknown whether it was sent, so look for it like for one that was."""
        try:
            return await self._sender.broadcast(signed.raw)
        except UnknownOutcome as error:
            activity.logger.warning("broadcast_unknown", extra={"detail": str(error)})
            return None

    async def _outcome(self, message: SendBatchInput) -> SendBatchResult | None:
        """The end of this nonce; None while it has none."""
        receipt = await self._receipt(message)
        if receipt is None:
            signer = message.signer or self._signer.address
            if await self._sender.latest_nonce(signer) <= message.nonce:
                return None
            # The nonce may have been used between the two reads: by one of ours, then.
            receipt = await self._receipt(message)
        head = await self._head_at(receipt.block_number if receipt is not None else 0)
        taken = await self._items.of_batch(message.batch)
        sent = [item for item in taken if item.state is ItemState.SENT]
        return await self._book(message, sent, head, receipt)

    async def _receipt(self, message: SendBatchInput) -> TxReceipt | None:
        receipts = await self._sender.receipts([signed.tx_hash for signed in message.signed])
        return next((receipt for receipt in receipts if receipt is not None), None)

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

    async def _book(
        self,
        message: SendBatchInput,
        sent: Sequence[SettlementItem],
        head: BlockRef,
        receipt: TxReceipt | None,
    ) -> SendBatchResult:
        """Write what came of each item, from the vault's word; what is open was refused or waits.

        receipt None: a transaction that is not ours used the nonce, which proves nothing.
        """
        tally = await self._books.apply(await self._books.judged(sent, head), head, receipt)
        codes = _refusals(receipt)
        refused = [item for item in tally.open if item.request_id.lower() in codes]
        for item in refused:
            await self._books.refuse(item, codes[item.request_id.lower()])
        await self._books.tell(refused)
        waiting = [ident(item) for item in tally.open if item not in refused]
        await self._items.to_pending(waiting, utc_now())
        return SendBatchResult(
            mined=receipt is not None,
            tx_hash=receipt.tx_hash if receipt is not None else "",
            block_number=receipt.block_number if receipt is not None else 0,
            settled=tally.mined,
            rejected=tally.refused + len(refused),
            returned=len(waiting),
            nonce_used_by_other=receipt is None,
        )

    async def _not_mined(
        self, message: SendBatchInput, answer: Broadcast | None
    ) -> SendBatchResult:
        suggested = await self._sender.fee_suggestion()
        return SendBatchResult(
            mined=False,
            outcome=answer.outcome if answer is not None else None,
            detail=answer.detail if answer is not None else "",
            suggested=suggested,
            fee_ceiling=self._limits.ceiling(suggested, message.gas),
        )


def _lowest_free(latest: int, in_use: Sequence[int]) -> int:
    """The lowest nonce that no block and no batch in flight has used: gaps are filled first."""
    nonce = latest
    while nonce in in_use:
        nonce += 1
    return nonce


def _refusals(receipt: TxReceipt | None) -> dict[str, str]:
    """The vault's code by request id."""
    if receipt is None or not receipt.ok:
        return {}
    rejected = (event for event in receipt.events if event.name == "SettlementRejected")
    return {event.request_id.lower(): event.rejection.name for event in rejected}
