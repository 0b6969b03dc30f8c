"""What came of a batch, written to its items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from activities.alarms import RaiseAlarm, SettlementAlarm
from activities.clock import utc_now
from activities.settled import ItemBooks, ident
from models.batches import SendBatchInput, SendBatchResult
from models.chain import TxReceipt
from models.records import ItemState, SettlementItem
from models.requests import BlockRef
from models.verdict import POISON

if TYPE_CHECKING:
    from clients.store.items import Items


class Booking:
    """Books the end of a nonce; the vault's word decides, the receipt only explains."""

    def __init__(self, books: ItemBooks, items: Items, alarm: RaiseAlarm) -> None:
        self._books = books
        self._items = items
        self._alarm = alarm

    async def book(
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
        codes = _refusals(receipt) | self._spoilers(message, tally.open, receipt)
        refused = [item for item in tally.open if item.request_id.lower() in codes]
        for item in refused:
            await self._books.refuse(item, codes[item.request_id.lower()])
        await self._books.tell(refused)
        waiting = [ident(item) for item in tally.open if item not in refused]
        await self._items.to_pending(waiting, utc_now())
        if receipt is None and waiting and not tally.mined:
            words = "a transaction that is not this batch's used its nonce and settled none of it"
            self._alarm(SettlementAlarm.KEY_USED, f"nonce {message.nonce}", words)
        return SendBatchResult(
            mined=receipt is not None,
            tx_hash=receipt.tx_hash if receipt is not None else "",
            block_number=receipt.block_number if receipt is not None else 0,
            settled=tally.mined,
            rejected=tally.refused + len(refused),
            returned=len(waiting),
            nonce_used_by_other=receipt is None,
            reverted=receipt is not None and not receipt.ok,
        )

    def _spoilers(
        self,
        message: SendBatchInput,
        still_open: Sequence[SettlementItem],
        receipt: TxReceipt | None,
    ) -> dict[str, str]:
        """An item that reverted alone is set aside; of several, smaller batches find which."""
        if receipt is None or receipt.ok:
            return {}
        words = f"mined and reverted with {message.count} item(s)"
        self._alarm(SettlementAlarm.REVERTED, receipt.tx_hash, words)
        if message.count != 1:
            return {}
        for item in still_open:
            self._alarm(SettlementAlarm.POISON, item.request_id, "reverts, also alone: set aside")
        return {item.request_id.lower(): POISON for item in still_open}

    async def sent(self, batch: str) -> list[SettlementItem]:
        """The items of a batch whose end is not booked yet."""
        taken = await self._items.of_batch(batch)
        return [item for item in taken if item.state is ItemState.SENT]

    async def set_aside(
        self, batch: str, count: int, alarm: SettlementAlarm, code: str, why: str
    ) -> None:
        """An item that nobody signs for or takes, alone, must not be the next one again."""
        if count != 1:
            return
        items = await self.sent(batch)
        for item in items:
            self._alarm(alarm, item.request_id, why)
            await self._books.refuse(item, code)
        await self._books.tell(items)


def _refusals(receipt: TxReceipt | None) -> dict[str, str]:
    """The vault's code by request id."""
    if receipt is None or not receipt.ok:
        return {}
    rejected = (event for event in receipt.events if event.name == "SettlementRejected")
    return {event.request_id.lower(): event.rejection.name for event in rejected}
