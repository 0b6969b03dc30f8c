"""What settlement forgot, what vanished, what may be tried again, what is final by now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio import activity

from activities.beating import beating
from activities.clock import utc_now
from activities.settled import ItemBooks, ident
from models.batches import SweepInput, SweepResult
from models.chain import Rejection, RejectionKind
from models.records import ItemState, SettlementItem
from models.requests import BlockRef
from models.verdict import POISON, REFUSALS, Verdict, rejection_kind

if TYPE_CHECKING:
    from activities.finality import Finality
    from clients.agreeing import AgreeingVault
    from clients.store.store import Store

_LIMIT = 2_000
_FOREIGN_SILENCE = timedelta(minutes=15)
_LONGEST_PAUSE_DOUBLINGS = 5
_SLOW_PAUSE = timedelta(hours=1)
_UNTOLD = frozenset({Rejection.PAYOUT.name, POISON})
# The vault itself takes these back when it no longer says so: a reorganisation, or ours was early.
_VAULT_DECIDES = frozenset({"UNKNOWN_REQUEST", "ID_MISMATCH", "ALREADY_ENDED", "CONFLICT"})


class SweepActivities:
    """Brings every item that is not final in line with the vault; never sends anything."""

    def __init__(
        self,
        vault: AgreeingVault,
        store: Store,
        books: ItemBooks,
        *,
        finality: Finality,
        batch_prefix: str,
        retry_pause: timedelta = timedelta(seconds=30),
    ) -> None:
        self._vault = vault
        self._finality = finality
        self._items = store.items
        self._books = books
        self._prefix = batch_prefix
        self._pause = retry_pause

    @activity.defn(name="sweep")
    async def sweep(self, message: SweepInput) -> SweepResult:
        """Read the vault about every item that is sent, mined or refused. Idempotent."""
        async with beating():
            return await self._sweep(message)

    async def _sweep(self, message: SweepInput) -> SweepResult:
        chain_id, vault = self._vault.chain_id, self._vault.address
        # The rows before the head: what a flight marks mined meanwhile is in that block, or older.
        unfinal = await self._items.unfinal(chain_id, vault, _LIMIT)
        refused = await self._items.rejected(chain_id, vault, _LIMIT)
        head, final = await asyncio.gather(self._vault.head(), self._finality.block())
        forgotten = [item for item in unfinal if self._forgotten(item, message)]
        mined = [item for item in unfinal if item.state is ItemState.MINED]
        first = await self._forgotten_items(forgotten, head)
        second = await self._mined_items(mined, head, final)
        third = await self._refused_items(refused, head, final)
        books = await self._vault.books(head)
        return SweepResult(
            owed=books.payable_debt > 0,
            pending=len(await self._items.waiting(chain_id, vault, _LIMIT)),
            finalized=second.finalized,
            returned=first.returned + second.returned + third.returned,
            mined=first.mined + third.mined,
            stuck=third.stuck,
            retired=message.prefix not in ("", self._prefix),
        )

    def _forgotten(self, item: SettlementItem, message: SweepInput) -> bool:
        """Sent in a batch that nobody waits for. Batches of another signing address get time."""
        if item.state is not ItemState.SENT or item.batch in message.in_flight:
            return False
        own = item.batch.startswith(message.prefix or self._prefix)
        return own or utc_now() - item.updated_at > _FOREIGN_SILENCE

    async def _forgotten_items(
        self, items: Sequence[SettlementItem], head: BlockRef
    ) -> SweepResult:
        tally = await self._books.apply(await self._books.judged(items, head), head)
        return SweepResult(mined=tally.mined, returned=await self._return(tally.open))

    async def _mined_items(
        self, items: Sequence[SettlementItem], head: BlockRef, final: BlockRef | None
    ) -> SweepResult:
        """Final, vanished, or still waiting for finality."""
        judged = await self._books.judged(items, head)
        tally = await self._books.apply([j for j in judged if j[1] is not Verdict.ENDED], head)
        standing = [item for item, verdict in judged if verdict is Verdict.ENDED]
        finalized = await self._finalize(standing, final)
        return SweepResult(finalized=finalized, returned=await self._return(tally.open))

    async def _refused_items(
        self, items: Sequence[SettlementItem], head: BlockRef, final: BlockRef | None
    ) -> SweepResult:
        """Back to PENDING when the reason may have passed; a refusal is never the last word."""
        judged = await self._books.judged(items, head)
        tally = await self._books.apply([j for j in judged if j[1] not in REFUSALS], head)
        await self._lose([item for item, verdict in judged if verdict is Verdict.LOST], final)
        again = [item for item in tally.open if self._due(item)]
        waits = [item for item in tally.open if item not in again and not _retried(item)]
        conflicts = sum(1 for _, verdict in judged if verdict is Verdict.CONFLICT)
        return SweepResult(
            mined=tally.mined, returned=await self._return(again), stuck=len(waits) + conflicts
        )

    async def _finalize(self, items: Sequence[SettlementItem], final: BlockRef | None) -> int:
        if final is None:
            return 0
        deep = [item for item in items if item.block_number <= final.number]
        done = [i for i, v in await self._books.judged(deep, final) if v is Verdict.ENDED]
        return await self._items.mark_final([ident(item) for item in done], utc_now())

    async def _lose(self, reclaimed: Sequence[SettlementItem], final: BlockRef | None) -> None:
        """Give up what was reclaimed for good: before that a reorganisation may undo it."""
        if final is None:
            return
        judged = await self._books.judged(reclaimed, final)
        lost = [item for item, verdict in judged if verdict is Verdict.LOST]
        for item in lost:
            await self._items.mark_lost(ident(item), utc_now())
        await self._books.tell(lost)

    def _due(self, item: SettlementItem) -> bool:
        if item.rejection in _VAULT_DECIDES:
            return True
        waited = utc_now() - item.updated_at
        if _retried(item):
            return bool(waited >= self._pause * 2 ** min(item.tries, _LONGEST_PAUSE_DOUBLINGS))
        # A token refused, or used up the gas: nobody tells us when it is put right.
        return item.rejection in _UNTOLD and waited >= _SLOW_PAUSE

    async def _return(self, items: Sequence[SettlementItem]) -> int:
        return await self._items.to_pending([ident(item) for item in items], utc_now())


def _retried(item: SettlementItem) -> bool:
    """Whether it may pass by itself: a price, a cap, or the signer's hour."""
    return rejection_kind(item.rejection) is RejectionKind.RETRY
