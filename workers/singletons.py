"""The workflows of which there is one: started by whichever worker comes first, kept by all."""

import asyncio
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from bronco.settings import Settings
from clients.gateway import TASK_TIMEOUT
from models.batches import SettlementInput
from models.errors import SourceUnavailable
from models.messages import WatchChainInput
from models.requests import (
    BROKER_WATCH_WORKFLOW_ID,
    CHAIN_WATCH_WORKFLOW_ID,
    CONTROL_WORKFLOW_ID,
    QUEUE_HOLDS,
    QUEUE_MAIN,
)
from models.watch import BrokerWatchCarry, WatchBrokerInput
from workers.clients import Clients
from workers.schedule import ensure_audit_schedule, ensure_schedule

_EVERY_SECONDS = 60.0
_log = structlog.get_logger(__name__)


async def ensure_singletons(clients: Clients) -> None:
    """Have each of them running; those that run already stay as they are.

    Raises:
        SourceUnavailable: Temporal could not be asked.
    """
    settings: Settings = clients.settings
    broker = WatchBrokerInput(snapshot_seconds=settings.broker.poll_seconds)
    await _ensure(clients.temporal, "TradingControlWorkflow", CONTROL_WORKFLOW_ID, [], QUEUE_HOLDS)
    wanted: list[tuple[str, str, list[object]]] = [
        ("SettlementWorkflow", clients.settlement_id, [SettlementInput()]),
        ("ChainWatchWorkflow", CHAIN_WATCH_WORKFLOW_ID, [WatchChainInput()]),
        ("BrokerWatchWorkflow", BROKER_WATCH_WORKFLOW_ID, [BrokerWatchCarry(watch=broker)]),
    ]
    for kind, workflow_id, arguments in wanted:
        await _ensure(clients.temporal, kind, workflow_id, arguments)
    await ensure_schedule(clients.temporal)
    if settings.audit.directory is not None:
        every = timedelta(seconds=settings.audit.every_seconds)
        await ensure_audit_schedule(clients.temporal, every)


async def keep_singletons(clients: Clients) -> None:
    """Until cancelled: whoever ends one of them by hand stops it for a minute, not for good."""
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        try:
            await ensure_singletons(clients)
        except SourceUnavailable as error:
            _log.warning("singletons_not_ensured", problem=str(error))


async def _ensure(
    client: Client,
    kind: str,
    workflow_id: str,
    arguments: list[object],
    task_queue: str = QUEUE_MAIN,
) -> None:
    try:
        await client.start_workflow(
            kind,
            args=arguments,
            id=workflow_id,
            task_queue=task_queue,
            task_timeout=TASK_TIMEOUT,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        )
    except RPCError as error:
        raise SourceUnavailable("Temporal", f"starting {workflow_id}", str(error)) from error
