"""Items become one unsigned transaction: as many as gas, purse and load allow, and no poison."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from temporalio import activity

from activities.alarms import RaiseAlarm, SettlementAlarm
from activities.clock import utc_now
from activities.fees import FeeLimits
from activities.settled import BatchCodec, ItemBooks, ident
from activities.sieve import Sieve, Sifted
from models.batches import PrepareBatchInput, PreparedBatch
from models.chain import ZERO_HASH, Fees, RefundItem, SettlerState
from models.records import ItemState, SettlementItem
from models.requests import BlockRef
from models.verdict import MALFORMED, POISON, UNAPPROVED, batch_of, well_formed

if TYPE_CHECKING:
    from clients.agreeing import AgreeingVault
    from clients.sender import ChainSender
    from clients.store.approvals import Approvals
    from clients.store.items import Items

_FILLER = RefundItem(n=0, request_id=ZERO_HASH, reason=0)
"""There is no request 0, so the vault refuses it and changes nothing: it only uses a nonce."""

_SIFTING_SECONDS = 6.0
"""Of the activity's fifteen: what is not sifted by then is for the next batch."""


class BatchMaker:
    """Takes items for one signing address."""

    def __init__(
        self,
        vault: AgreeingVault,
        sender: ChainSender,
        items: Items,
        approvals: Approvals,
        books: ItemBooks,
        *,
        signer: str,
        codec: BatchCodec,
        limits: FeeLimits,
        alarm: RaiseAlarm,
    ) -> None:
        self._vault = vault
        self._sender = sender
        self._items = items
        self._approvals = approvals
        self._books = books
        self._signer = signer
        self._codec = codec
        self._limits = limits
        self._alarm = alarm

    async def prepare(self, message: PrepareBatchInput) -> PreparedBatch:
        """Take items and make one unsigned transaction of those that the vault holds open.

        Idempotency key: the batch id; a repeated call takes no other items.
        """
        idle = PreparedBatch(batch=message.batch, count=0)
        head, fees = await asyncio.gather(self._vault.head(), self._sender.fee_suggestion())
        settler = await self._vault.settler(self._signer, head)
        room = self._room(fees, settler.balance - message.committed)
        missing = await self._missing(settler, room, fees, idle=not message.in_use)
        if missing:
            return idle.model_copy(update={"waiting_for": missing})
        limit = min(room, message.limit)
        taken = await self._open_items(message.batch, limit, head)
        sifted = await self._sifted(taken, message)
        if sifted.blocked:
            return idle.model_copy(update={"waiting_for": "the vault, which reverts any batch"})
        nonce = _lowest_free(settler.latest_nonce, message.in_use)
        gap = any(used > nonce for used in message.in_use)
        more = bool(sifted.unsure) or len(taken) >= limit or _alone(taken)
        if not sifted.good and not gap and (message.in_use or not await self._owes(head)):
            return idle.model_copy(update={"more": more})
        unsigned = await self._unsigned(message.batch, sifted.good, nonce, fees)
        return unsigned.model_copy(update={"more": more})

    async def _owes(self, head: BlockRef) -> bool:
        """Whether the vault could pay some of what it owes: any batch makes it do so."""
        return (await self._vault.books(head)).payable_debt > 0

    async def _missing(self, settler: SettlerState, room: int, fees: Fees, *, idle: bool) -> str:
        """What stands in the way of any transaction, in words; nothing is taken then.

        While something is in flight, it may be that alone which holds the money.
        """
        found = self._hindrance(settler, room, fees)
        if found is None:
            return ""
        kind, words = found
        if idle and await self._items.waiting(self._vault.chain_id, self._vault.address, 1):
            self._alarm(kind, self._signer, words)
        return words

    def _hindrance(
        self, settler: SettlerState, room: int, fees: Fees
    ) -> tuple[SettlementAlarm, str] | None:
        who, most = self._signer, self._limits.max_fee
        if not settler.has_role:
            words = f"the settler role of vault {self._vault.address}, which {who} does not have"
            return SettlementAlarm.NO_ROLE, words
        if fees.base_fee > most:
            return SettlementAlarm.GAS_PRICE, f"gas below {most} wei (it is {fees.base_fee})"
        if room < 1:
            has = f"{who} has {settler.balance} wei, too little at {fees.max_fee} wei per gas"
            return SettlementAlarm.GAS_MONEY, f"gas money: {has}"
        return None

    def _room(self, fees: Fees, purse: int) -> int:
        """How many items one transaction could pay the gas for now, and may hold."""
        one, two = (self._codec.gas_limit((), (_FILLER,) * count) for count in (1, 2))
        affordable = self._limits.gas(purse, self._limits.offer(fees))
        return max(0, (affordable - one) // (two - one) + 1)

    async def _open_items(self, batch: str, limit: int, head: BlockRef) -> list[SettlementItem]:
        """Items taken for this batch, less those that have ended or cannot be sent."""
        chain_id, vault = self._vault.chain_id, self._vault.address
        taken = await self._items.take_batch(chain_id, vault, batch, limit, utc_now())
        taken = [item for item in taken if item.state is ItemState.SENT]
        for item in taken:
            if not well_formed(item):
                activity.logger.error("item_malformed", extra={"order_id": item.request_id})
                await self._items.mark_rejected(ident(item), MALFORMED, utc_now())
        good = [item for item in taken if well_formed(item)]
        return (await self._books.apply(await self._books.judged(good, head), head)).open

    async def _sifted(self, items: Sequence[SettlementItem], message: PrepareBatchInput) -> Sifted:
        """The items that pass together; who spoils a batch is set aside, the rest waits."""
        if _alone(items):
            return await self._approved(items[0])
        loop = asyncio.get_running_loop()
        end = loop.time() + _SIFTING_SECONDS
        sieve = Sieve(self._passes, patience=lambda: loop.time() < end)
        sifted = await sieve.sift(items)
        for item in sifted.poison:
            await self._books.refuse(item, POISON)
            words = "any batch with it reverts: set aside, its neighbours go on"
            self._alarm(SettlementAlarm.POISON, item.request_id, words)
        if sifted.blocked:
            words = "even an empty batch reverts, so nothing is sent"
            self._alarm(SettlementAlarm.VAULT_REFUSES, message.batch, words)
        await self._books.tell(sifted.poison)
        await self._items.to_pending([ident(item) for item in sifted.unsure], utc_now())
        return sifted

    async def _approved(self, item: SettlementItem) -> Sifted:
        """An item that is sent alone, with its approvals; what counts no more is collected anew."""
        data, gas = await self._call([item])
        code = await self._sender.refusal_of_item(self._signer, data, gas)
        if code is None:
            return Sifted(good=[item])
        await self._books.refuse(item, code or UNAPPROVED)
        words = f"the vault refuses it with its approvals ({code or 'they count no more'})"
        self._alarm(SettlementAlarm.UNAPPROVED, item.request_id, words)
        await self._books.tell([item])
        return Sifted()

    async def _passes(self, items: Sequence[SettlementItem]) -> bool:
        data, gas = await self._call(items)
        return await self._sender.refusal(self._signer, data, gas) is None

    async def _call(self, items: Sequence[SettlementItem]) -> tuple[str, int]:
        """Calldata and gas limit; the approvals of an item that has some come from the store."""
        if _alone(items):
            given = await self._approvals.of_digest(items[0].approval)
            return self._codec.approved(items[0], given)
        settles, refunds = batch_of(items)
        if not items:
            refunds = (_FILLER,)
        return self._codec.calldata(settles, refunds), self._codec.gas_limit(settles, refunds)

    async def _unsigned(
        self, batch: str, items: Sequence[SettlementItem], nonce: int, fees: Fees
    ) -> PreparedBatch:
        offer = self._limits.offer(fees)
        data, gas = await self._call(items)
        return PreparedBatch(
            batch=batch,
            count=len(items),
            nonce=nonce,
            to=self._vault.address,
            data=data,
            gas=gas,
            max_fee=offer.max_fee,
            max_priority_fee=offer.max_priority_fee,
            chain_id=self._vault.chain_id,
            signer=self._signer,
        )


def _alone(items: Sequence[SettlementItem]) -> bool:
    """Whether this is one item with its approvals: others were left behind."""
    return bool(items) and bool(items[0].approval)


def _lowest_free(latest: int, in_use: Sequence[int]) -> int:
    """The lowest nonce that no block and no batch in flight has used: gaps are filled first."""
    nonce = latest
    while nonce in in_use:
        nonce += 1
    return nonce
