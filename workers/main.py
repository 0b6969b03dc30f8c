"""One worker process: connect, build, work until told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
from prometheus_client import start_http_server
from temporalio.runtime import Runtime
from temporalio.worker import Worker

from bronco.logs import Redaction
from bronco.metrics import REGISTRY
from bronco.settings import Settings
from clients.broker import BrokerClient
from models.errors import RetryableError
from workers.build import Role, build
from workers.clients import Clients, open_clients
from workers.loops import Loop, beside
from workers.measuring import keep_measuring, measures_of
from workers.sealing import keep_sealing
from workers.singletons import ensure_singletons, keep_singletons
from workers.telemetry import telemetry
from workers.tracing import tracing
from workers.webhooks import keep_telling, keys_of

_RETRY_SECONDS = 1.0
_PATIENCE_SECONDS = 60.0
_log = structlog.get_logger(__name__)


async def run(settings: Settings, roles: Sequence[Role], state: Path) -> None:
    """Work until SIGTERM or Ctrl-C. state: a folder for what vendors insist on writing.

    Raises:
        ConfigurationError: a setting does not fit what is there.
        SourceUnavailable: a source did not answer within a minute of the start.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as leaving:
        blot, own = Redaction(settings.secrets()), "+".join(role.value for role in roles)
        leaving.enter_context(tracing(settings.traces, blot, f"{own}-{os.getpid()}"))
        clients = await _patiently(settings, telemetry(settings.metrics), leaving)
        broker = await _broker(settings, roles, state, leaving)
        workers = build(clients, broker, roles)
        await ensure_singletons(clients)
        if settings.metrics.port:
            start_http_server(settings.metrics.port, settings.metrics.host, registry=REGISTRY)
        leaving.enter_context(beside(_loops(clients, broker, roles)))
        _log.info("worker_ready", roles=[role.value for role in roles])
        await _work(workers, stop)


def _loops(clients: Clients, broker: BrokerClient | None, roles: Sequence[Role]) -> dict[str, Loop]:
    """Raises ConfigurationError: a file that one of them needs cannot be used."""
    settings = clients.settings
    measures = measures_of(clients, broker, roles)
    found: dict[str, Loop] = {
        "singletons": lambda: keep_singletons(clients),
        "measuring": lambda: keep_measuring(measures, settings.metrics.every_seconds),
    }
    if {Role.WATCH, Role.ALL} & set(roles):
        keys = keys_of(settings.webhook)
        found["sealing"] = lambda: keep_sealing(clients.store)
        found["webhooks"] = lambda: keep_telling(clients.store, settings.webhook, keys)
    return found


async def _work(workers: Sequence[Worker], stop: asyncio.Event) -> None:
    """Run all until told to stop; one that breaks down ends the others and is the error."""
    waiting = asyncio.create_task(stop.wait())
    running = [asyncio.create_task(worker.run()) for worker in workers]
    await asyncio.wait([waiting, *running], return_when=asyncio.FIRST_COMPLETED)
    _log.info("worker_stopping")
    waiting.cancel()
    await asyncio.gather(*(worker.shutdown() for worker in workers), return_exceptions=True)
    await asyncio.gather(*running)


async def _patiently(settings: Settings, runtime: Runtime, leaving: AsyncExitStack) -> Clients:
    """Sources may still be starting, as in Compose; a wrong setting fails at once."""
    deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while True:
        try:
            clients = await leaving.enter_async_context(open_clients(settings, runtime))
            await clients.store.ping()
            await clients.flags.ping()
            return clients
        except RetryableError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise
            _log.warning("waiting_for_source", problem=str(error))
            await asyncio.sleep(_RETRY_SECONDS)


async def _broker(
    settings: Settings, roles: Sequence[Role], state: Path, leaving: AsyncExitStack
) -> BrokerClient | None:
    if set(roles) == {Role.ORDERS}:
        return None
    # Who never places does not need what unlocks real trading either.
    reads_only = not {Role.BROKER, Role.ALL} & set(roles)
    broker = BrokerClient(settings.broker, log_home=state, reads_only=reads_only)
    leaving.push_async_callback(broker.close)
    await broker.start()
    return broker
