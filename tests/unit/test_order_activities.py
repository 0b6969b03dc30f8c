"""An order's own steps over a real store: rows, versions, reasons, items, ends."""

import time
from datetime import timedelta
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.clock import utc_now
from activities.confirming import Confirming
from activities.finality import Finality
from activities.orders import OrderActivities
from activities.splitting import Splitting
from clients.store import Store
from models.broker import BrokerOrder
from models.confirmations import ConfirmationPolicy
from models.drafts import ClaimDraft, Headroom
from models.errors import NotFound, SourceUnavailable
from models.messages import (
    AdmitInput,
    AdmitResult,
    CloseInput,
    CloseResult,
    EnqueueInput,
    EnqueueResult,
    OrderPolicy,
    ReadOrderInput,
    ReadRequestInput,
    ReadRequestResult,
    RecordStageInput,
)
from models.order import Order, OrderStatus, Reason, Stage
from models.records import ClaimState, ItemKind
from models.requests import Side, VaultRequest, VaultStatus, order_workflow_id, remark_of
from tests.builders import (
    SHARE,
    SYMBOL,
    VAULT,
    block,
    broker_order,
    ended,
    filled,
    order_request,
    read_at,
    request_id_of,
    vault_request,
)
from tests.unit.trading import ASSETS, FakeGateway, FakeSender, FakeSplits, FakeVault

REQUEST = order_request(created_block=10)
WORKFLOW_ID = order_workflow_id(REQUEST.chain_id, VAULT, REQUEST.request_id)


class Book:
    """One order's activities, its vault, and what its workflow would ask."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.vault = FakeVault()
        self.gateway = FakeGateway()
        self.depth = ConfirmationPolicy.of_blocks(3)
        self.splits = FakeSplits()
        self.version = 0

    @property
    def activities(self) -> OrderActivities:
        return OrderActivities(
            self.vault,  # type: ignore[arg-type]
            FakeSender(),  # type: ignore[arg-type]
            self.store,
            self.gateway,  # type: ignore[arg-type]
            ASSETS,
            policy=OrderPolicy(tries=5),
            confirming=Confirming(
                self.vault,  # type: ignore[arg-type]
                self.depth,
                Finality(self.vault),  # type: ignore[arg-type]
            ),
            splitting=Splitting(
                self.vault,  # type: ignore[arg-type]
                self.splits,  # type: ignore[arg-type]
                margin=60,
            ),
        )

    def next(self) -> int:
        self.version += 1
        return self.version

    async def run(self, name: str, message: Any) -> Any:
        return await ActivityEnvironment().run(getattr(self.activities, name), message)

    async def admit(self) -> AdmitResult:
        admitted: AdmitResult = await self.run(
            "admit", AdmitInput(request=REQUEST, workflow_id=WORKFLOW_ID)
        )
        self.version = admitted.version - 1
        return admitted

    async def placed(self, order: BrokerOrder) -> None:
        draft = ClaimDraft(
            request_id=REQUEST.request_id,
            attempt=1,
            remark=remark_of(REQUEST.request_id, 1),
            symbol=SYMBOL,
            side=Side.BUY,
            quantity=order.quantity,
            price=order.price,
            send_by=utc_now(),
        )
        await self.store.placements.claim(draft, Headroom(0, order.price, 0), utc_now())
        await self.store.placements.mark(
            REQUEST.request_id, 1, ClaimState.PLACED, broker_order_id=order.order_id, now=utc_now()
        )
        await self.store.book.apply([order], utc_now())

    async def settled(self) -> None:
        """A whole life: admitted, filled, settled in the vault, closed."""
        await self.admit()
        await self.placed(filled(broker_order()))
        await self.enqueue(ItemKind.SETTLE)
        self.ends(VaultStatus.SETTLED)
        await self.close()

    async def enqueue(
        self,
        kind: ItemKind,
        reason: Reason = Reason.NONE,
        detail: str = "",
        began: float = 0.0,
    ) -> EnqueueResult:
        message = EnqueueInput(
            request=REQUEST,
            version=self.next(),
            kind=kind,
            reason=reason,
            detail=detail,
            began=began,
        )
        result: EnqueueResult = await self.run("enqueue_settlement", message)
        return result

    async def close(
        self, reason: Reason = Reason.NONE, detail: str = "", version: int | None = None
    ) -> CloseResult:
        message = CloseInput(
            request=REQUEST, version=version or self.next(), reason=reason, detail=detail
        )
        result: CloseResult = await self.run("close_order", message)
        return result

    def ends(self, status: VaultStatus) -> None:
        self.vault.terms = vault_request(status=status)

    async def row(self) -> Order:
        return await self.store.orders.get(REQUEST.chain_id, VAULT, REQUEST.request_id)


@pytest.fixture
async def book(sqlite_store: Store) -> Book:
    return Book(sqlite_store)


async def test_admit__first_time__has_a_pending_row_and_the_policy(book: Book) -> None:
    admitted = await book.admit()
    row = await book.row()
    assert (row.status, row.stage, row.symbol) == (OrderStatus.PENDING, Stage.CONFIRMING, SYMBOL)
    assert row.workflow_id == WORKFLOW_ID
    assert admitted.policy == OrderPolicy(tries=5)
    assert (admitted.claims, admitted.item) == ((), None)


@pytest.mark.parametrize(("head", "missing"), [(10, 3), (12, 1), (13, 0), (99, 0)])
async def test_admit__blocks_above_the_request__count_as_confirmations(
    book: Book, head: int, missing: int
) -> None:
    book.vault.at = block(head)
    assert (await book.admit()).confirmations_missing == missing


async def test_admit__not_deep_enough__row_and_answer_say_what_it_waits_for(book: Book) -> None:
    book.vault.at = block(11)
    words = "1 of 3 blocks on top of block 10"
    assert (await book.admit()).waits_for == words
    assert (await book.row()).waiting_for == words


async def test_read_request__while_it_waits__keeps_the_row_up_to_date(book: Book) -> None:
    book.vault.at = block(10)
    await book.admit()
    book.vault.at = block(12)
    message = ReadRequestInput(request=REQUEST, version=book.next())
    seen: ReadRequestResult = await book.run("read_request", message)
    assert (seen.confirmations_missing, seen.waits_for) == (1, "2 of 3 blocks on top of block 10")
    assert (await book.row()).waiting_for == seen.waits_for


async def test_close__request_vanished_with_its_settlement__is_orphaned_and_moved_nothing(
    book: Book,
) -> None:
    await book.settled()
    assert (await book.row()).spent > 0
    book.vault.terms = None
    await book.run("admit", AdmitInput(request=REQUEST, workflow_id=WORKFLOW_ID))
    book.version += 1 << 20
    assert (await book.close()).stage is Stage.ORPHANED
    row = await book.row()
    assert (row.status, row.stage, row.reason) == (
        OrderStatus.FAILED,
        Stage.ORPHANED,
        Reason.ORPHANED,
    )
    assert (row.spent, row.received, row.fee, row.settle_tx_hash) == (0, 0, 0, "")


async def test_admit__again__writes_with_newer_versions_and_sees_claims(book: Book) -> None:
    first = await book.admit()
    await book.placed(filled(broker_order()))
    second = await book.admit()
    assert second.version > first.version + 1_000
    assert [claim.state for claim in second.claims] == [ClaimState.PLACED]


async def test_admit__unknown_asset__still_has_a_row(book: Book) -> None:
    book.vault.terms = vault_request(asset=VAULT)
    assert (await book.admit()).symbol == ""


async def test_admit__endpoint_keeps_no_logs__goes_on_without_the_hash(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(_sender: FakeSender, _request: VaultRequest) -> str:
        raise SourceUnavailable("chain", "eth_getLogs", "history is pruned")

    monkeypatch.setattr(FakeSender, "request_tx_hash", refused)
    assert (await book.admit()).terms is not None
    assert (await book.row()).tx_hash == ""


async def test_admit__claim_lost_but_order_in_the_book__has_it_to_follow(book: Book) -> None:
    await book.admit()
    await book.store.book.apply([broker_order()], utc_now())
    admitted = await book.admit()
    assert [(c.attempt, c.state) for c in admitted.claims] == [(1, ClaimState.PLACED)]


async def test_admit__vanished_with_a_claim__says_what_was_sent(book: Book) -> None:
    await book.admit()
    await book.placed(broker_order())
    book.vault.terms = None
    admitted = await book.admit()
    assert [(c.attempt, c.state) for c in admitted.claims] == [(1, ClaimState.PLACED)]
    assert admitted.policy == OrderPolicy(tries=5)


async def test_refund__order_works_whose_claim_was_lost__is_refused_not_stuck(
    book: Book,
) -> None:
    await book.admit()
    await book.store.book.apply([broker_order()], utc_now())
    done = await book.enqueue(ItemKind.REFUND, Reason.USER_CANCELLED)
    assert done.item is None
    assert "claim was lost" in done.refused


async def test_reclaim_undone__an_order_still_works__can_be_shown_again(book: Book) -> None:
    await book.admit()
    book.ends(VaultStatus.RECLAIMED)
    await book.close()
    assert (await book.row()).status is OrderStatus.FAILED
    book.ends(VaultStatus.OPEN)
    await book.admit()
    message = RecordStageInput(request=REQUEST, version=book.next(), stage=Stage.UNKNOWN)
    await book.run("record_stage", message)
    assert (await book.row()).status is OrderStatus.EXECUTING


async def test_admit__number_carries_another_id__is_as_vanished(book: Book) -> None:
    book.vault.terms = vault_request(request_id=request_id_of(1, 9))
    assert (await book.admit()).terms is None
    with pytest.raises(NotFound):
        await book.row()


async def test_admit__head_before_the_block_it_was_seen_in__is_no_answer(book: Book) -> None:
    book.vault.terms, book.vault.at = None, block(9)
    with pytest.raises(SourceUnavailable):
        await book.admit()


async def test_vanished__with_and_without_a_row__ends_orphaned(book: Book) -> None:
    book.vault.terms = None
    await book.admit()
    assert (await book.close(Reason.ORPHANED)).closed
    book.vault.terms = vault_request()
    await book.admit()
    book.vault.terms = None
    await book.admit()
    closed = await book.close(Reason.ORPHANED)
    assert (closed.closed, closed.stage) == (True, Stage.ORPHANED)
    assert (await book.row()).status is OrderStatus.FAILED
    book.vault.terms = vault_request()
    await book.admit()
    row = await book.row()
    assert (row.status, row.stage) == (OrderStatus.PENDING, Stage.CONFIRMING)


async def test_admit__quotes_at_the_feeds_price__or_says_that_there_is_none(book: Book) -> None:
    book.vault.terms = vault_request(amount=1_000_000_000)
    assert (await book.admit()).indicative == "about 5 shares at 190 USDT"
    (entry, *_) = await book.store.audit.of_request(REQUEST.request_id)
    assert "about 5 shares at 190 USDT" in entry.data
    book.vault.reference = 0
    assert (await book.admit()).indicative == "no reference price now"


async def test_row__forgotten_by_the_store__holds_nothing_up_and_is_written_at_the_end(
    book: Book,
) -> None:
    message = RecordStageInput(request=REQUEST, version=7, stage=Stage.HELD)
    await book.run("record_stage", message)
    await book.placed(filled(broker_order()))
    assert (await book.enqueue(ItemKind.SETTLE)).item is not None
    book.ends(VaultStatus.SETTLED)
    assert (await book.close()).closed
    row = await book.row()
    assert (row.status, row.stage) == (OrderStatus.EXECUTED, Stage.SETTLED)
    assert row.workflow_id == WORKFLOW_ID


async def test_refund__the_store_may_have_forgotten_an_order__waits_for_the_book(
    book: Book,
) -> None:
    """A run on a restored database finds no claims, whatever was sent before."""
    began = utc_now()
    await book.admit()

    async def refund() -> EnqueueResult:
        return await book.enqueue(ItemKind.REFUND, Reason.DEADLINE, began=began.timestamp())

    assert "was not read since this run began" in (await refund()).refused
    await book.store.book.record_snapshot(read_at(began - timedelta(seconds=1)))
    assert "was not read since this run began" in (await refund()).refused
    await book.store.book.record_snapshot(read_at(began + timedelta(seconds=1)))
    assert (await refund()).item is not None


async def test_refund__of_a_request_made_just_now__needs_no_read_of_the_book(book: Book) -> None:
    await book.admit()
    book.vault.created_at = int(time.time()) - 60
    began = utc_now().timestamp()
    done = await book.enqueue(ItemKind.REFUND, Reason.TOO_SMALL, began=began)
    assert done.item is not None


async def test_close__payout_is_owed__says_so_and_is_not_the_end(book: Book) -> None:
    await book.admit()
    await book.placed(filled(broker_order()))
    item = (await book.enqueue(ItemKind.SETTLE)).item
    assert item is not None
    book.ends(VaultStatus.SETTLED)
    assert book.vault.terms is not None
    paid, book.vault.terms = book.vault.terms, book.vault.terms.model_copy(update={"owed": 40})
    for _ in range(2):
        closed = await book.close()
        assert (closed.closed, closed.stage) == (False, Stage.OWED)
    row = await book.row()
    assert (row.status, row.stage, row.received) == (
        OrderStatus.EXECUTED,
        Stage.OWED,
        item.out - 40,
    )
    assert "40 USDT units" in row.waiting_for
    assert [row] == await book.store.orders.unfinished(row.chain_id, row.vault)
    book.vault.terms = paid
    assert (await book.close()).closed
    row = await book.row()
    assert (row.stage, row.received, row.waiting_for) == (Stage.SETTLED, item.out, "")
    entries = [e.action for e in await book.store.audit.of_request(REQUEST.request_id)]
    assert (entries.count("order.owed"), entries.count("order.settled")) == (1, 1)


async def test_record__a_wait__shows_stage_words_and_tries(book: Book) -> None:
    await book.admit()
    for stage, status in (
        (Stage.HELD, OrderStatus.PENDING),
        (Stage.UNKNOWN, OrderStatus.EXECUTING),
        (Stage.QUEUED, OrderStatus.PENDING),
    ):
        message = RecordStageInput(
            request=REQUEST,
            version=book.next(),
            stage=stage,
            waiting_for="lunch",
            retry_count=2,
        )
        await book.run("record_stage", message)
        row = await book.row()
        assert (row.stage, row.status) == (stage, status)
        assert (row.waiting_for, row.retry_count) == ("lunch", 2)


async def test_settle__a_fill__is_written_once_and_shown(book: Book) -> None:
    await book.admit()
    await book.placed(filled(broker_order()))
    first = await book.enqueue(ItemKind.SETTLE)
    second = await book.enqueue(ItemKind.REFUND, Reason.OPERATOR)
    assert first == second
    assert first.item is not None
    assert first.item.kind is ItemKind.SETTLE
    row = await book.row()
    assert (row.stage, row.filled_quantity) == (Stage.SETTLING, 4 * SHARE)
    assert book.gateway.settlements == 2


async def test_settle__request_not_in_the_vault__is_refused(book: Book) -> None:
    await book.admit()
    await book.placed(filled(broker_order()))
    book.vault.terms = None
    refused = await book.enqueue(ItemKind.SETTLE)
    assert refused.item is None
    assert "vault" in refused.refused


async def test_refund__with_a_late_fill__settles_and_ends_executed(book: Book) -> None:
    await book.admit()
    await book.placed(ended(filled(broker_order(), 1)))
    done = await book.enqueue(ItemKind.REFUND, Reason.NOT_FILLED, "ended without a fill")
    assert done.item is not None
    assert done.item.kind is ItemKind.SETTLE
    book.ends(VaultStatus.SETTLED)
    await book.close(Reason.NOT_FILLED, "ended without a fill")
    row = await book.row()
    assert (row.status, row.reason, row.error_msg) == (OrderStatus.EXECUTED, Reason.NONE, "")
    assert (row.spent, row.received, row.fee) == (
        done.item.taken,
        done.item.out,
        done.item.fee,
    )


@pytest.mark.parametrize(
    ("reason", "stage"),
    [
        (Reason.USER_CANCELLED, Stage.CANCELLED),
        (Reason.DEADLINE, Stage.EXPIRED),
        (Reason.TOO_SMALL, Stage.REFUNDED),
        (Reason.BROKER_REJECTED, Stage.REFUNDED),
    ],
)
async def test_refund__closed_by_a_later_run__keeps_reason_and_words(
    book: Book, reason: Reason, stage: Stage
) -> None:
    await book.admit()
    await book.enqueue(ItemKind.REFUND, reason, "in words")
    assert ((await book.row()).reason, (await book.row()).error_msg) == (reason, "in words")
    await book.admit()
    await book.enqueue(ItemKind.REFUND)
    book.ends(VaultStatus.REFUNDED)
    assert (await book.close()).stage is stage
    row = await book.row()
    assert (row.status, row.reason, row.error_msg) == (OrderStatus.FAILED, reason, "in words")


async def test_close__still_open__wakes_the_settlement_and_ends_nothing(book: Book) -> None:
    await book.admit()
    closed = await book.close()
    assert (closed.closed, closed.status) == (False, VaultStatus.OPEN)
    assert (await book.row()).status is OrderStatus.PENDING
    assert book.gateway.settlements == 1


@pytest.mark.parametrize(
    ("code", "stage"),
    [
        ("", Stage.SETTLING),
        ("RETURN_LIMIT", Stage.AWAITING_APPROVAL),
        ("BAND", Stage.AWAITING_APPROVAL),
        ("CAP", Stage.AWAITING_APPROVAL),
        ("STALE_REFERENCE", Stage.AWAITING_APPROVAL),
        ("UNAPPROVED", Stage.AWAITING_APPROVAL),
        ("LIMIT", Stage.SETTLING),
        ("PAYOUT", Stage.SETTLING),
        ("UNSIGNED", Stage.SETTLING),
    ],
)
async def test_close__refused_by_the_vault__says_whether_approvals_go_past_it(
    book: Book, code: str, stage: Stage
) -> None:
    await book.admit()
    await book.enqueue(ItemKind.REFUND, Reason.TOO_SMALL)
    item = await book.store.items.of_request(REQUEST.chain_id, VAULT, REQUEST.request_id)
    assert item is not None
    if code:
        await book.store.items.mark_rejected(item.id or 0, code)
    closed = await book.close()
    assert (closed.closed, closed.stage) == (False, stage)


async def test_close__settled__frees_what_was_reserved(book: Book) -> None:
    await book.admit()
    await book.placed(filled(broker_order()))
    assert len(await book.store.placements.open_claims()) == 1
    book.ends(VaultStatus.SETTLED)
    await book.close()
    assert await book.store.placements.open_claims() == []


async def test_close__by_a_run_that_was_reset__still_writes_the_end(book: Book) -> None:
    await book.admit()
    first = book.version + 1
    for _ in range(5):
        await book.run(
            "record_stage",
            RecordStageInput(request=REQUEST, version=book.next(), stage=Stage.HELD),
        )
    book.ends(VaultStatus.SETTLED)
    assert (await book.close(version=first)).closed
    row = await book.row()
    assert (row.status, row.stage) == (OrderStatus.EXECUTED, Stage.SETTLED)
    version = row.version
    await book.close(version=first)
    assert (await book.row()).version == version


async def test_settlement__undone_by_a_reorganisation__can_be_enqueued_again(
    book: Book,
) -> None:
    await book.settled()
    book.ends(VaultStatus.OPEN)
    assert (await book.admit()).item is not None
    assert (await book.enqueue(ItemKind.SETTLE)).item is not None
    book.ends(VaultStatus.SETTLED)
    assert (await book.close()).closed
    assert (await book.row()).stage is Stage.SETTLED


async def test_read_order__says_what_book_and_vault_say(book: Book) -> None:
    await book.admit()
    message = ReadOrderInput(request=REQUEST, attempt=1)
    assert (await book.run("read_order", message)).order is None
    await book.placed(filled(broker_order(), 1))
    book.vault.terms = vault_request(cancel_requested=True)
    seen = await book.run("read_order", message)
    assert (seen.order.filled, seen.cancel_requested, seen.status) == (1, True, VaultStatus.OPEN)
    book.vault.terms = None
    assert (await book.run("read_order", message)).status is VaultStatus.NONE


async def test_reclaimed__with_an_item__ends_reclaimed(book: Book) -> None:
    await book.admit()
    await book.placed(filled(broker_order()))
    await book.enqueue(ItemKind.SETTLE)
    book.ends(VaultStatus.RECLAIMED)
    assert (await book.close()).stage is Stage.RECLAIMED
    row = await book.row()
    assert (row.status, row.reason, row.spent) == (OrderStatus.FAILED, Reason.RECLAIMED, 0)
