"""Clients become activities, activities become workers: with parts.py the only place they meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from temporalio.worker import Worker

from activities.approving import ApprovalActivities
from activities.auditing import AuditActivities
from activities.broker import BrokerActivities
from activities.broker_watch import BrokerWatchActivities
from activities.chain_watch import ChainWatchActivities
from activities.control import ControlActivities
from activities.flattening import FlattenActivities
from activities.operating import OperatingActivities
from activities.orders import OrderActivities
from activities.placing import PlacingActivities
from activities.recalling import RecallActivities
from activities.resolving import ResolvingActivities
from activities.settled import BatchCodec, ItemBooks
from activities.settlement import SettlementActivities
from activities.sweep import SweepActivities
from bronco.metrics import WATCHED_SECONDS
from bronco.trading import ChainSettings
from clients.approvals import approved_call, digest_of
from clients.auditing import why_ignored
from clients.broker import BrokerClient
from clients.head_file import HeadFile
from clients.heads import HeadWatch, Polling
from clients.keys import UnsignedTx
from clients.sender import gas_limit_for
from clients.vault import settle_calldata, terms_of
from models.audit import SignedHead
from models.requests import (
    QUEUE_AUDIT,
    QUEUE_CONTROL,
    QUEUE_HOLDS,
    QUEUE_MAIN,
    QUEUE_PLACE,
    QUEUE_WATCH,
    batch_prefix,
)
from workers import parts
from workers.clients import Clients
from workers.interceptors import MetricsInterceptor
from workers.reports import AuditReport, ChainProgress, SourceReport, settlement_alarm
from workers.runner import sandbox
from workflows.audit import AuditHeadWorkflow
from workflows.broker_watch import BrokerWatchWorkflow
from workflows.chain_watch import ChainWatchWorkflow
from workflows.control import TradingControlWorkflow
from workflows.deposit import DepositWorkflow
from workflows.house import HouseWorkflow
from workflows.quoting import QuoteWorkflow
from workflows.reconcile import ReconcileWorkflow
from workflows.redeem import RedeemWorkflow
from workflows.settlement import SettlementWorkflow

WORKFLOWS: tuple[type, ...] = (
    DepositWorkflow,
    RedeemWorkflow,
    SettlementWorkflow,
    TradingControlWorkflow,
    ChainWatchWorkflow,
    BrokerWatchWorkflow,
    ReconcileWorkflow,
    HouseWorkflow,
    AuditHeadWorkflow,
    QuoteWorkflow,
)
# A worker that is gone is forgotten this soon; the server's default of 10 s is a long silence.
_STICKY = timedelta(seconds=1)
_CACHED_WORKFLOWS = 3_000
_LOOKS_AND_READS_SECONDS = 30.0
"""An order whose outcome is unknown looks at the reads of the book this often at least."""
# One is sent at a time. More than a few that are checked meanwhile grow old behind it; the others
# wait in Temporal's queue, which is fair.
_PLACING_AT_ONCE = 20
_GRACE = timedelta(seconds=5)


class Role(StrEnum):
    """What one worker process does."""

    ORDERS = "orders"
    BROKER = "broker"
    WATCH = "watch"
    ALL = "all"


def build(clients: Clients, broker: BrokerClient | None, roles: Sequence[Role]) -> list[Worker]:
    """The workers of these roles; `broker` is needed for broker and watch."""
    chosen = set(Role) if Role.ALL in roles else set(roles)
    workers: list[Worker] = []
    if Role.ORDERS in chosen:
        workers.append(_orders(clients))
    if Role.BROKER in chosen and broker is not None:
        workers += _broker(clients, broker)
    if Role.WATCH in chosen and broker is not None:
        workers.append(_watch(clients, broker))
    if Role.WATCH in chosen and clients.settings.audit.directory is not None:
        workers.append(_audit(clients))
    if {Role.ORDERS, Role.WATCH} & chosen:
        workers.append(_holds(clients))
    return workers


def _orders(clients: Clients) -> Worker:
    settings = clients.settings
    orders = OrderActivities(
        clients.vault,
        clients.sender,
        clients.store,
        clients.gateway,
        settings.chain.asset_book,
        policy=settings.orders.policy,
        confirming=parts.confirming(clients),
        splitting=parts.splitting(clients),
    )
    approvals = ApprovalActivities(
        clients.vault,
        clients.store,
        clients.gateway,
        digest_of=digest_of(clients.vault.chain_id, clients.vault.address),
        lifetime_seconds=settings.orders.approval_lifetime_seconds,
    )
    codec = batch_codec()
    books = ItemBooks(clients.vault, clients.sender, clients.store.items, clients.gateway, terms_of)
    settlement = SettlementActivities(
        clients.vault,
        clients.sender,
        clients.store,
        clients.signer,
        clients.gateway,
        codec=codec,
        limits=parts.fees(clients),
        alarm=settlement_alarm,
    )
    sweep = SweepActivities(
        clients.vault,
        clients.store,
        books,
        finality=parts.finality(clients),
        batch_prefix=batch_prefix(clients.settlement_id),
    )
    return _worker(
        clients,
        QUEUE_MAIN,
        [
            *_of(orders),
            *_of(approvals),
            *_of(OperatingActivities(clients.store)),
            *_of(settlement),
            *_of(sweep),
            *_control(clients),
        ],
        workflows=WORKFLOWS,
    )


def batch_codec() -> BatchCodec:
    """The vault's language for settlement."""
    return BatchCodec(
        terms_of=terms_of,
        calldata=settle_calldata,
        gas_limit=gas_limit_for,
        unsigned=UnsignedTx,
        approved=approved_call,
    )


def _holds(clients: Clients) -> Worker:
    """In every process that could: whoever lives answers whether trading is paused."""
    activities = _control(clients)
    return _worker(clients, QUEUE_HOLDS, activities, workflows=(TradingControlWorkflow,))


def _broker(clients: Clients, broker: BrokerClient) -> list[Worker]:
    orders, windows = clients.settings.orders, clients.settings.broker
    fence = timedelta(seconds=orders.unknown_fence_seconds)
    answer = parts.answer_time(windows)
    placing = PlacingActivities(
        parts.guards(clients, broker),
        broker,
        clients.store,
        clients.flags,
        place_window=windows.place_window,
        send_window=timedelta(seconds=orders.send_window_seconds),
        line_per_owner=orders.line_per_owner,
        fence=fence,
        answer=answer,
    )
    reading = 3 * windows.poll_seconds + _LOOKS_AND_READS_SECONDS
    resolving = ResolvingActivities(clients.store, fence=fence, reading=timedelta(seconds=reading))
    cancelling = BrokerActivities(
        broker, clients.store, clients.flags, windows.change_window, answer=answer
    )
    flattening = parts.house_placing(clients, broker)
    return [
        _worker(
            clients,
            QUEUE_PLACE,
            [*_of(placing), flattening.place_house_order],
            max_concurrent_activities=_PLACING_AT_ONCE,
        ),
        _worker(
            clients,
            QUEUE_CONTROL,
            [
                *_of(resolving),
                *_of(cancelling),
                *_of(parts.quoting(clients, broker)),
                *_of(parts.reconcile(clients, broker)),
                *_of(parts.house(clients, broker)),
                *_of(FlattenActivities(clients.store, clients.gateway)),
            ],
        ),
    ]


def _watch(clients: Clients, broker: BrokerClient) -> Worker:
    settings = clients.settings
    chain = ChainWatchActivities(
        clients.vault,
        clients.gateway,
        settings.chain.asset_book,
        partial(_wakes, settings.chain),
        SourceReport(WATCHED_SECONDS),
        ChainProgress(),
        settings.chain.stall_seconds,
        parts.peg(clients),
    )
    market = BrokerWatchActivities(
        broker,
        clients.store,
        clients.flags,
        clients.gateway,
        settings.broker.query_window,
        SourceReport(WATCHED_SECONDS),
        settings.broker.silent_seconds,
    )
    # A frozen worker keeps what its open polls were handed: one poll, one task at most.
    return _worker(
        clients,
        QUEUE_WATCH,
        [*_of(chain), *_of(market), *_control(clients)],
        max_concurrent_activity_task_polls=1,
    )


def _audit(clients: Clients) -> Worker:
    """Where the log is sealed it is signed for, too; one at a time, the file is one."""
    settings = clients.settings
    folder, auditor = settings.audit.directory or Path(), settings.audit.address or ""
    chain_id, vault = settings.chain.id, settings.chain.vault
    file, signers = HeadFile(folder, chain_id, vault), {auditor.lower()}

    def counts(head: SignedHead) -> bool:
        return not why_ignored(head, signers, chain_id, vault)

    activities = AuditActivities(
        clients.store, clients.signer, file, auditor, AuditReport(), counts
    )
    return _worker(clients, QUEUE_AUDIT, _of(activities))


def _wakes(chain: ChainSettings) -> HeadWatch | Polling:
    return HeadWatch(chain.wake_urls, chain.vault) if chain.wake_urls else Polling()


def _control(clients: Clients) -> list[Callable[..., Any]]:
    control = ControlActivities(clients.store, clients.flags, clients.temporal)
    return [*_of(control), *_of(RecallActivities(clients.store, clients.flags, clients.gateway))]


def _worker(
    clients: Clients,
    queue: str,
    activities: Sequence[Callable[..., Any]],
    *,
    workflows: Sequence[type] = (),
    max_concurrent_activity_task_polls: int = 5,
    max_concurrent_activities: int | None = None,
) -> Worker:
    return Worker(
        clients.temporal,
        task_queue=queue,
        workflows=list(workflows),
        activities=list(activities),
        workflow_runner=sandbox(),
        max_cached_workflows=_CACHED_WORKFLOWS if workflows else 0,
        sticky_queue_schedule_to_start_timeout=_STICKY,
        max_concurrent_activity_task_polls=max_concurrent_activity_task_polls,
        max_concurrent_activities=max_concurrent_activities,
        graceful_shutdown_timeout=_GRACE,
        interceptors=[MetricsInterceptor()],
    )


def _of(instance: object) -> list[Callable[..., Any]]:
    """The activity methods of an object."""
    found = (getattr(instance, name) for name in dir(type(instance)) if not name.startswith("_"))
    return [method for method in found if hasattr(method, "__temporal_activity_definition")]
