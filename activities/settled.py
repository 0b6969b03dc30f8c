"""Settlement items brought in line with the vault: what it has ended is mined, lost or refused."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from temporalio import activity

from activities.clock import utc_now
from models.chain import RefundItem, SettleItem, TxReceipt
from models.errors import SourceUnavailable
from models.records import ApprovalRow, SettlementItem
from models.requests import BlockRef
from models.verdict import REFUSALS, Verdict, judge, refusal_code

if TYPE_CHECKING:
    from clients.agreeing import AgreeingVault
    from clients.gateway import WorkflowGateway
    from clients.keys import UnsignedTx
    from clients.sender import ChainSender
    from clients.store.items import Items

_PAGE = 200
_SIGNALS_AT_ONCE = 16
_LOOKUPS_AT_ONCE = 8
_LOOKUP_SECONDS = 5.0


@dataclass(frozen=True)
class BatchCodec:
    """The vault's own language, given by clients/: calldata, gas limit, terms hash, transaction.

    approved: calldata and gas limit of one item with the signatures it is sent with.
    """

    terms_of: Callable[[SettleItem], str]
    calldata: Callable[[Sequence[SettleItem], Sequence[RefundItem]], str]
    gas_limit: Callable[[Sequence[SettleItem], Sequence[RefundItem]], int]
    unsigned: type[UnsignedTx]
    approved: Callable[[SettlementItem, Sequence[ApprovalRow]], tuple[str, int]]


@dataclass
class Tally:
    """What came of items. open: those the vault still holds open; what to do is the caller's."""

    open: list[SettlementItem] = field(default_factory=list)
    mined: int = 0
    refused: int = 0


class ItemBooks:
    """Reads the vault's word on items and writes it to their rows."""

    def __init__(
        self,
        vault: AgreeingVault,
        sender: ChainSender,
        items: Items,
        gateway: WorkflowGateway,
        terms_of: Callable[[SettleItem], str],
    ) -> None:
        self._vault = vault
        self._sender = sender
        self._items = items
        self._gateway = gateway
        self._terms_of = terms_of

    async def judged(
        self, items: Sequence[SettlementItem], at: BlockRef
    ) -> list[tuple[SettlementItem, Verdict]]:
        """Each item with what the vault says about it at a block."""
        verdicts: list[tuple[SettlementItem, Verdict]] = []
        for start in range(0, len(items), _PAGE):
            page = items[start : start + _PAGE]
            states = await self._vault.states([item.request_number for item in page], at)
            pairs = zip(page, states, strict=True)
            verdicts += [(item, judge(item, state, self._terms_of)) for item, state in pairs]
        return verdicts

    async def apply(
        self,
        judged: Sequence[tuple[SettlementItem, Verdict]],
        at: BlockRef,
        receipt: TxReceipt | None = None,
    ) -> Tally:
        """Write what has ended or cannot be ended; tell the orders. Open items are only named."""
        tally = Tally(open=[item for item, verdict in judged if verdict is Verdict.OPEN])
        ended = [item for item, verdict in judged if verdict is Verdict.ENDED]
        tally.mined = await self._mine(ended, at, receipt)
        for item, verdict in judged:
            if verdict in REFUSALS:
                tally.refused += await self.refuse(item, refusal_code(verdict))
        await self.tell([item for item, verdict in judged if verdict is not Verdict.OPEN])
        return tally

    async def refuse(self, item: SettlementItem, code: str) -> bool:
        """Mark an item refused; a mined one goes through PENDING, as the store wants it."""
        if await self._items.mark_rejected(ident(item), code, utc_now()):
            return True
        await self._items.to_pending([ident(item)], utc_now())
        return await self._items.mark_rejected(ident(item), code, utc_now())

    async def tell(self, items: Sequence[SettlementItem]) -> None:
        """Wake the orders of these items. Only a hint, so a failure is logged and left."""
        slots = asyncio.Semaphore(_SIGNALS_AT_ONCE)

        async def one(workflow_id: str) -> None:
            async with slots:
                await self._gateway.signal_order(workflow_id, "settled")

        told = await asyncio.gather(
            *(one(item.workflow_id) for item in items), return_exceptions=True
        )
        for item, failed in zip(items, told, strict=True):
            if isinstance(failed, SourceUnavailable):
                extra = {"order_id": item.request_id, "detail": str(failed)}
                activity.logger.warning("order_not_told", extra=extra)
            elif isinstance(failed, BaseException):
                raise failed

    async def _mine(
        self, items: Sequence[SettlementItem], at: BlockRef, receipt: TxReceipt | None
    ) -> int:
        """Mark MINED, each with the transaction that did it."""
        places: dict[tuple[str, int], list[int]] = defaultdict(list)
        own = _ended_in(receipt)
        others = [item for item in items if item.request_id.lower() not in own]
        own = {**own, **await self._places(others, at)}
        for item in items:
            places[own[item.request_id.lower()]].append(ident(item))
        changed = 0
        for (tx_hash, block), ids in places.items():
            changed += await self._items.mark_mined(ids, tx_hash, block, utc_now())
        return changed

    async def _places(
        self, items: Sequence[SettlementItem], at: BlockRef
    ) -> dict[str, tuple[str, int]]:
        """Where each request ended. It only decorates: what is not found soon is left out."""
        found = {item.request_id.lower(): ("", at.number) for item in items}
        slots = asyncio.Semaphore(_LOOKUPS_AT_ONCE)

        async def one(item: SettlementItem) -> None:
            async with slots:
                found[item.request_id.lower()] = await self._place(item, at)

        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOKUP_SECONDS):
                await asyncio.gather(*(one(item) for item in items))
        return found

    async def _place(self, item: SettlementItem, at: BlockRef) -> tuple[str, int]:
        """Transaction and block that ended a request; the hash only decorates, so "" will do."""
        try:
            request = await self._vault.request(item.request_number, at)
            event = await self._sender.ending(request, at) if request is not None else None
        except SourceUnavailable as error:
            extra = {"order_id": item.request_id, "detail": str(error)}
            activity.logger.warning("ending_not_found", extra=extra)
            event = None
        return (event.tx_hash, event.block_number) if event is not None else ("", at.number)


def ident(item: SettlementItem) -> int:
    """Row id of an item that came from the store."""
    if item.id is None:
        raise ValueError(f"item of request {item.request_id} has no row")
    return item.id


def _ended_in(receipt: TxReceipt | None) -> Mapping[str, tuple[str, int]]:
    if receipt is None or not receipt.ok:
        return {}
    place = (receipt.tx_hash, receipt.block_number)
    ends = ("Settled", "Refunded")
    return {event.request_id.lower(): place for event in receipt.events if event.name in ends}
