"""Tells endpoints of changes, each second, beside the sealer; and forgets what is old.

Several may run: each delivery is leased to one of them. Who dies between a send and its row leaves
a lease that ends, and the delivery is sent again. Why a loop and no workflows: decisions/033.
"""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import structlog

from bronco import metrics
from bronco.sections import WebhookSettings
from clients.outside import Outside
from clients.store.store import Store
from clients.webhooks import Secrets, WebhookSender
from models.changes import Change
from models.errors import BroncoError
from models.webhooks import NOT_KEPT, Delivery, DeliveryState, RetryPolicy, Webhook

_EVERY_SECONDS = 0.5
_AT_ONCE = 8
_LEASE = 3
"""Times as long as an endpoint has to answer: the row of it is written by then, too."""
_FORGET_EVERY = timedelta(minutes=10)
_COUNT_EVERY = timedelta(seconds=5)
_log = structlog.get_logger(__name__)


class Teller:
    """Sends what is due; a slow endpoint keeps nobody but itself waiting."""

    def __init__(self, store: Store, sender: WebhookSender, settings: WebhookSettings) -> None:
        self._store = store
        self._sender = sender
        self._policy = RetryPolicy(
            first=timedelta(seconds=settings.retry_seconds),
            lifetime=timedelta(seconds=settings.give_up_seconds),
        )
        self._lease = timedelta(seconds=_LEASE * settings.timeout_seconds)
        self._running: dict[str, set[asyncio.Task[None]]] = defaultdict(set)
        self._counted = datetime.min.replace(tzinfo=UTC)

    async def look(self) -> None:
        """Begin to send what is due now.

        Raises:
            SourceUnavailable: the store could not be asked.
        """
        endpoints = await self._store.webhooks.all()
        for endpoint in endpoints:
            if endpoint.active:
                await self._begin(endpoint)
        await self._count(endpoints)

    async def settle(self) -> None:
        """Wait until everything that was begun has ended."""
        while running := [task for tasks in self._running.values() for task in tasks]:
            await asyncio.wait(running)

    async def _begin(self, endpoint: Webhook) -> None:
        await self._store.deliveries.fan_out(endpoint, datetime.now(UTC))
        running = self._running[endpoint.endpoint_id]
        if len(running) >= _AT_ONCE:
            return
        now = datetime.now(UTC)
        taken = await self._store.deliveries.take(
            endpoint, _AT_ONCE - len(running), self._lease, now
        )
        for delivery, change in taken:
            task = asyncio.create_task(self._send(endpoint, delivery, change))
            running.add(task)
            task.add_done_callback(running.discard)

    async def _send(self, endpoint: Webhook, delivery: Delivery, change: Change | None) -> None:
        sent = NOT_KEPT
        if change is not None:
            sent = await self._sender.send(endpoint, change)
            metrics.WEBHOOK_SENDS.labels("ok" if sent.ok else "failed").inc()
        try:
            state = await self._store.deliveries.note(
                delivery, sent, self._policy, datetime.now(UTC)
            )
        except BroncoError as error:
            # The lease ends, and it is sent once more under the same id.
            whose = {"delivery": delivery.id, "order_id": delivery.request_id}
            _log.warning("delivery_not_noted", **whose, problem=str(error))
            return
        if state is not DeliveryState.DELIVERED:
            where = {
                "endpoint_id": endpoint.endpoint_id,
                "delivery": delivery.id,
                "order_id": delivery.request_id,
            }
            _log.info("delivery_failed", **where, state=state.value, problem=sent.error)

    async def _count(self, endpoints: list[Webhook]) -> None:
        now = datetime.now(UTC)
        if now - self._counted < _COUNT_EVERY:
            return
        self._counted = now
        active = [each.endpoint_id for each in endpoints if each.active]
        backlog = await self._store.deliveries.backlog(active)
        oldest = backlog.oldest.replace(tzinfo=UTC) if backlog.oldest else now
        metrics.WEBHOOK_PENDING.set(backlog.pending)
        metrics.WEBHOOK_FAILED.set(backlog.failed)
        metrics.WEBHOOK_OLDEST.set((now - oldest).total_seconds())
        metrics.WEBHOOK_DISABLED.set(len(endpoints) - len(active))


def keys_of(settings: WebhookSettings) -> Secrets | None:
    """None: no webhooks are wanted. Raises ConfigurationError: the file cannot be used."""
    return None if settings.key_file is None else Secrets.of_file(settings.key_file)


async def keep_telling(store: Store, settings: WebhookSettings, keys: Secrets | None) -> None:
    """Until cancelled."""
    if keys is None:
        await _repeat(store, settings, None)
        return
    outside = Outside(settings.allow_networks, plain=settings.allow_http)
    sender = WebhookSender(keys, outside, settings.timeout_seconds)
    try:
        await _repeat(store, settings, Teller(store, sender, settings))
    finally:
        await sender.close()


async def _repeat(store: Store, settings: WebhookSettings, teller: Teller | None) -> None:
    down, forgotten = False, datetime.min.replace(tzinfo=UTC)
    while True:
        try:
            if teller is not None:
                await teller.look()
            if datetime.now(UTC) - forgotten > _FORGET_EVERY:
                await forget(store, settings)
                forgotten = datetime.now(UTC)
            down = False
        except BroncoError as error:
            if not down:
                _log.warning("webhooks_wait", problem=str(error))
            down = True
        await asyncio.sleep(_EVERY_SECONDS)


async def forget(store: Store, settings: WebhookSettings) -> None:
    """Drop changes and ended deliveries that are older than they are kept."""
    before = datetime.now(UTC) - timedelta(seconds=settings.keep_seconds)
    for prune in (store.changes.prune, store.deliveries.prune):
        while await prune(before):
            pass
