"""An order's own steps besides trading: admit, show, enqueue its settlement, close."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from temporalio import activity

from activities import spans
from activities.clock import from_unix, unix_now, utc_now
from activities.lookup import read_request
from activities.pricing import indicative
from activities.reporting import claim_view, ending, enqueued, item_view, owed_words, settling
from activities.rows import show
from activities.settling import Decline, fills_of, settlement_item
from models.approvals import approvable
from models.assets import AssetBook, UnknownAsset
from models.drafts import Admission, AuditDraft
from models.errors import Conflict, NotFound, SourceUnavailable
from models.messages import (
    AdmitInput,
    AdmitResult,
    CloseInput,
    CloseResult,
    EnqueueInput,
    EnqueueResult,
    OrderPolicy,
    ReadOrderInput,
    ReadOrderResult,
    ReadRequestInput,
    ReadRequestResult,
    RecordStageInput,
)
from models.order import OrderStatus, Stage
from models.records import ItemKind, SettlementItem
from models.requests import (
    BlockRef,
    OrderRequest,
    VaultRequest,
    VaultStatus,
    order_workflow_id,
    remark_of,
)
from models.splits import ONE_TO_ONE

if TYPE_CHECKING:
    from activities.confirming import Confirming
    from activities.splitting import Splitting
    from clients.agreeing import AgreeingVault
    from clients.gateway import WorkflowGateway
    from clients.sender import ChainSender
    from clients.store.store import Store

_TOO_YOUNG_SECONDS = 120
"""A request of this age was not made before a database was lost and restored."""
_BEFORE_SENDING = frozenset({Stage.CONFIRMING, Stage.HELD, Stage.WAITING_SESSION, Stage.QUEUED})


class _Drafted(NamedTuple):
    """An item to be written, and the fills it was computed from."""

    item: SettlementItem
    fills: Sequence[Mapping[str, str | int]] = ()


class OrderActivities:
    """Thin steps over the vault (which decides) and the store (which reports)."""

    def __init__(
        self,
        vault: AgreeingVault,
        sender: ChainSender,
        store: Store,
        gateway: WorkflowGateway,
        assets: AssetBook,
        *,
        policy: OrderPolicy,
        confirming: Confirming,
        splitting: Splitting,
    ) -> None:
        self._splitting = splitting
        self._vault = vault
        self._sender = sender
        self._store = store
        self._gateway = gateway
        self._assets = assets
        self._policy = policy
        self._confirming = confirming

    @activity.defn(name="admit")
    async def admit(self, message: AdmitInput) -> AdmitResult:
        """Read the vault, have a row and a version range for this run."""
        terms, head = await self._read(message.request)
        if terms is None:
            return await self._admit_vanished(message.request, head)
        symbol = self._symbol(terms.asset)
        quote, standing = await asyncio.gather(
            self._indicative(terms, head), self._confirming.standing(terms, head)
        )
        admission = await self._admit(terms, message.request, symbol, quote, standing.waits_for)
        return AdmitResult(
            terms=terms,
            head=head,
            version=admission.version,
            symbol=symbol,
            confirmations_missing=standing.missing,
            waits_for=standing.waits_for,
            policy=self._policy,
            retry_count=admission.order.retry_count,
            claims=tuple(claim_view(claim) for claim in admission.claims),
            item=item_view(admission.item),
            indicative=quote,
        )

    @activity.defn(name="read_request")
    async def read_request(self, message: ReadRequestInput) -> ReadRequestResult:
        """The vault's word on the request at the agreed head; the row says what it waits for."""
        terms, head = await self._read(message.request)
        if terms is None:
            return ReadRequestResult(terms=None, head=head, confirmations_missing=0)
        standing = await self._confirming.standing(terms, head)
        if message.version and terms.status is VaultStatus.OPEN:
            changes = {"stage": Stage.CONFIRMING, "waiting_for": standing.waits_for}
            await show(self._store, message.request, message.version, changes)
        return ReadRequestResult(
            terms=terms,
            head=head,
            confirmations_missing=standing.missing,
            waits_for=standing.waits_for,
        )

    @activity.defn(name="record_stage")
    async def record_stage(self, message: RecordStageInput) -> None:
        """Show a wait on the row; a newer writer wins."""
        waiting = message.stage in _BEFORE_SENDING
        await show(
            self._store,
            message.request,
            message.version,
            {
                "status": OrderStatus.PENDING if waiting else OrderStatus.EXECUTING,
                "stage": message.stage,
                "waiting_for": message.waiting_for,
                "retry_count": message.retry_count,
            },
        )

    @activity.defn(name="read_order")
    async def read_order(self, message: ReadOrderInput) -> ReadOrderResult:
        """The broker's book as last polled, and whether the user asked for a cancel."""
        request = message.request
        remark = remark_of(request.request_id, message.attempt)
        order = await self._store.book.by_remark(remark)
        terms, head = await self._read(request)
        if terms is None:
            return ReadOrderResult(order=order, status=VaultStatus.NONE)
        outdated = False
        if order is not None and order.alive:
            claim = await self._store.placements.by_remark(remark)
            outdated = await self._splitting.outdated(claim, terms.asset, head)
        return ReadOrderResult(
            order=order,
            cancel_requested=terms.cancel_requested,
            status=terms.status,
            outdated=outdated,
        )

    @activity.defn(name="enqueue_settlement")
    async def enqueue_settlement(self, message: EnqueueInput) -> EnqueueResult:
        """Write the request's one settlement item (the first one stays) and wake the sender."""
        request = message.request
        key = (request.chain_id, request.vault, request.request_id)
        item = await self._store.items.of_request(*key)
        if item is None:
            drafted = await self._draft(message)
            if isinstance(drafted, Decline):
                return EnqueueResult(item=None, refused=drafted.why)
            try:
                item = await self._store.items.enqueue(drafted.item, drafted.fills)
            except Conflict as doubt:
                # The book knows of an order that no claim names, or one filled just now.
                return EnqueueResult(item=None, refused=str(doubt))
        changes = settling(item, message)
        await show(self._store, request, message.version, changes, enqueued(item, message))
        await self._gateway.wake_settlement()
        return EnqueueResult(item=item_view(item))

    @activity.defn(name="close_order")
    async def close_order(self, message: CloseInput) -> CloseResult:
        """Write the end that the vault has for the request, and free what it reserved."""
        request = message.request
        terms, _ = await self._read(request)
        status = terms.status if terms is not None else VaultStatus.NONE
        key = (request.chain_id, request.vault, request.request_id)
        item = await self._store.items.of_request(*key)
        if status is VaultStatus.OPEN:
            await self._gateway.wake_settlement()
            refused = item is not None and approvable(item.state, item.rejection)
            stage = Stage.AWAITING_APPROVAL if refused else Stage.SETTLING
            missing = item is None
            return CloseResult(closed=False, status=status, stage=stage, item_missing=missing)
        owed = terms.owed if terms is not None else 0
        stage, changes = ending(status, item, message, owed)
        # What is owed may be looked at often before it is paid: one entry tells of it.
        key_of_entry = "owed" if owed else f"close:{message.version}"
        audit = AuditDraft(
            event_key=f"{key_of_entry}:{request.request_id}",
            action=f"order.{stage.value.lower()}",
            request_id=request.request_id,
            data={"reason": message.reason.value, "detail": message.detail},
        )
        await self._write_end(terms, message, changes, audit)
        await self._store.placements.release(request.request_id, utc_now())
        if owed:
            await self._gateway.wake_settlement()
            return CloseResult(closed=False, status=status, stage=stage, detail=owed_words(owed))
        await spans.tell_closed(self._store, request, item)
        return CloseResult(closed=True, status=status, stage=stage, detail=message.detail)

    async def _read(self, request: OrderRequest) -> tuple[VaultRequest | None, BlockRef]:
        return await read_request(self._vault, request)

    async def _write_end(
        self,
        terms: VaultRequest | None,
        message: CloseInput,
        changes: dict[str, object],
        audit: AuditDraft,
    ) -> None:
        """Unlike what is shown on the way, the end must be on the row."""
        request = message.request
        try:
            if not await self._update(request, message.version, changes, audit):
                await self._overtake(request, changes)
        except NotFound:
            if terms is None:
                # Orphaned before it ever had a row: nothing to report on.
                return
            # A lost database has forgotten the row.
            await self._admit(terms, request, self._symbol(terms.asset))
            await self._overtake(request, changes, audit)

    async def _overtake(
        self, request: OrderRequest, changes: dict[str, object], audit: AuditDraft | None = None
    ) -> None:
        """A run that was reset numbers its writes lower than the one it replaces did."""
        row = await self._store.orders.get(request.chain_id, request.vault, request.request_id)
        if row.stage is not changes["stage"]:
            await self._update(request, row.version + 1, changes, audit)

    async def _indicative(self, terms: VaultRequest, head: BlockRef) -> str:
        """It only informs, so a feed that cannot be read holds nothing up here."""
        try:
            price, (_, decimals), ratio = await asyncio.gather(
                self._vault.reference_price(terms.asset, head),
                self._vault.usdt(head),
                self._splitting.ratio(terms.asset, head),
            )
        except SourceUnavailable:
            price, decimals, ratio = 0, 0, ONE_TO_ONE
        return indicative(terms, price, decimals, ratio)

    async def _admit(
        self,
        terms: VaultRequest,
        request: OrderRequest,
        symbol: str,
        quote: str = "",
        waits_for: str = "",
    ) -> Admission:
        return await self._store.orders.admit(
            terms,
            quote=quote,
            waiting_for=waits_for,
            workflow_id=order_workflow_id(request.chain_id, request.vault, request.request_id),
            symbol=symbol,
            tx_hash=request.tx_hash or await self._tx_hash(terms),
            now=utc_now(),
        )

    async def _tx_hash(self, terms: VaultRequest) -> str:
        """The hash only decorates: an endpoint that keeps no logs must not hold an order up."""
        try:
            return await self._sender.request_tx_hash(terms)
        except SourceUnavailable as error:
            activity.logger.warning("tx_hash_not_found", extra={"detail": str(error)})
            return ""

    async def _admit_vanished(self, request: OrderRequest, head: BlockRef) -> AdmitResult:
        """Without terms, but with the claims: what they sent still works at the broker."""
        try:
            row = await self._store.orders.get(request.chain_id, request.vault, request.request_id)
            version = row.version + 1
        except NotFound:
            version = 1
        claims = await self._store.placements.of_request(request.request_id)
        return AdmitResult(
            terms=None,
            head=head,
            version=version,
            symbol="",
            confirmations_missing=0,
            policy=self._policy,
            claims=tuple(claim_view(claim) for claim in claims),
        )

    async def _draft(self, message: EnqueueInput) -> _Drafted | Decline:
        request = message.request
        terms, head = await self._read(request)
        if terms is None:
            return Decline("the vault does not show the request at its newest block")
        _, decimals = await self._vault.usdt(head)
        claims = await self._store.placements.of_request(request.request_id)
        known = await self._splitting.known(
            claims, terms, head, await self._store.book.fill_times(request.request_id)
        )
        orders = await self._store.book.of_request(request.request_id)
        item = settlement_item(message, terms, known, orders, decimals, utc_now())
        if isinstance(item, Decline):
            return item
        if item.kind is ItemKind.REFUND:
            unread = await self._unread(terms, message.began)
            return Decline(unread) if unread else _Drafted(item)
        return _Drafted(item, fills_of(known, orders))

    async def _unread(self, terms: VaultRequest, began: float) -> str:
        """Why the store may have forgotten an order of this request; empty when it may not.

        A database that was lost or restored knows no claim of what was sent before. A run that
        began with such a one must see the broker's book first, unless nothing is that old.
        """
        if not began or await self._store.book.read_since(from_unix(began)):
            return ""
        block = await self._vault.block(terms.created_block)
        if block is not None and unix_now() - block.timestamp < _TOO_YOUNG_SECONDS:
            return ""
        return "the broker's book was not read since this run began"

    def _symbol(self, token: str) -> str:
        try:
            return self._assets.of_token(token).symbol
        except UnknownAsset:
            return ""

    async def _update(
        self,
        request: OrderRequest,
        version: int,
        changes: dict[str, object],
        audit: AuditDraft | None = None,
    ) -> bool:
        return await self._store.orders.update(
            request.chain_id,
            request.vault,
            request.request_id,
            version,
            changes,
            audit=audit,
            now=utc_now(),
        )
