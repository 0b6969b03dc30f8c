"""Watching the broker: pushes, a cheap list every second, everything every few seconds.

push ─┐
list ─┼─▶ store.book ─▶ what changed ─▶ signal `order_update` to the order's workflow
book ─┘        └─ bulk reads are recorded: absence of an order is proven with two of them
Pushes and signals may be lost: lists find what pushes missed, timers what signals missed.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.broker_silence import BrokerSilence
from activities.clock import utc_now
from activities.order_news import OrderNews
from activities.ports import WatchProblem
from models.broker import LONGEST_LOOK_BACK, LOOK_BACK, BrokerOrder
from models.errors import RateLimited, RetryableError, SourceUnavailable
from models.records import ClaimState
from models.watch import WatchBrokerInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clients.broker import BrokerClient
    from clients.flags import Flags
    from clients.gateway import WorkflowGateway
    from clients.store.store import Store

LIST_CALL, HISTORY_CALL = "order_list", "history_order_list"
"""Names of the account's windows for refreshing reads, shared by all workers."""
SOURCE, CONTROL = "broker", "trading control (broker)"
_BEAT_SECONDS = 1.0
_DOWN_PAUSE_SECONDS = 0.5
# A read that takes long is repeated less often, so that reading never fills the link.
_REST_FACTOR = 4.0
_STUCK_SECONDS = 120.0
_CANCEL_AGAIN_SECONDS = 0.2
_TOLD_AGAIN = timedelta(minutes=2)


class BrokerWatchActivities:
    """query_window: refreshing reads of one kind, seconds, gap, as the broker allows an account.

    silent_seconds: without a read of the book for so long, all trading is held; 0 = never.
    """

    def __init__(
        self,
        broker: BrokerClient,
        store: Store,
        flags: Flags,
        gateway: WorkflowGateway,
        query_window: tuple[int, float, float],
        report: WatchProblem,
        silent_seconds: float = 0.0,
    ) -> None:
        self._broker = broker
        self._store = store
        self._flags = flags
        self._gateway = gateway
        self._query_window = query_window
        self._report = report
        self._silent_seconds = silent_seconds

    @activity.defn(name="watch_broker")
    async def watch_broker(self, message: WatchBrokerInput) -> None:
        """Keep book and workflows up to date until the worker stops. Two at once are harmless."""
        watch = BrokerWatch(
            self._broker, self._store, self._flags, self._gateway, self._query_window, message
        )
        stop_listening = self._broker.on_order(watch.hear)
        tasks = [
            asyncio.create_task(watch.keep_telling()),
            asyncio.create_task(watch.keep_reading()),
            asyncio.create_task(self._beat(watch)),
            asyncio.create_task(self._hold_when_silent(watch)),
            asyncio.create_task(activity.wait_for_worker_shutdown()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            # Only the worker's end ends a task without an error: another worker takes over.
            raise ApplicationError("the worker stops", type="WorkerShutdown")
        finally:
            stop_listening()
            await _end(tasks)

    async def _beat(self, watch: BrokerWatch) -> None:
        """Heartbeat while both loops move, and tell our workflow when the broker comes or goes."""
        told: str | None = None
        while True:
            problem = watch.problem
            activity.heartbeat(watch.progress)
            self._report(SOURCE, problem)
            if problem != told and await self._tell_workflow(problem):
                told = problem
            if watch.stuck_seconds > _STUCK_SECONDS:
                raise ApplicationError("the watch does not move", type="WatchStuck")
            await asyncio.sleep(_BEAT_SECONDS)

    async def _hold_when_silent(self, watch: BrokerWatch) -> None:
        silence = BrokerSilence(self._gateway, self._silent_seconds)
        while True:
            try:
                await silence.saw(watch.reading_problem)
            except SourceUnavailable as down:
                self._report(CONTROL, str(down))
            else:
                self._report(CONTROL, "")
            await asyncio.sleep(_BEAT_SECONDS)

    async def _tell_workflow(self, problem: str) -> bool:
        try:
            await self._gateway.signal_order(
                activity.info().workflow_id or "", "link", problem, datetime.now(UTC).isoformat()
            )
        except SourceUnavailable:
            return False
        return True


class BrokerWatch:
    """One run of the watch: what was heard and is not applied yet, and when to read next."""

    def __init__(
        self,
        broker: BrokerClient,
        store: Store,
        flags: Flags,
        gateway: WorkflowGateway,
        query_window: tuple[int, float, float],
        pace: WatchBrokerInput,
    ) -> None:
        self._broker = broker
        self._store = store
        self._flags = flags
        self._query_window = query_window
        self._pace = pace
        self._news = OrderNews(store, gateway)
        self._heard: list[BrokerOrder] = []
        self._something = asyncio.Event()
        self._seen: dict[str, BrokerOrder] = {}
        self._alive: set[str] = set()
        self._list_at = self._book_at = 0.0
        self._moved = {"telling": time.monotonic(), "reading": time.monotonic()}
        self._problem = {"telling": "", "reading": "not asked yet"}
        self._reads = self._signals = 0

    @property
    def problem(self) -> str:
        """What is wrong; empty when the broker, the store and Temporal answer."""
        return self._problem["reading"] or self._problem["telling"]

    @property
    def reading_problem(self) -> str:
        """Why the book was not read last; empty when it was."""
        return self._problem["reading"]

    @property
    def progress(self) -> dict[str, Any]:
        """For heartbeats."""
        return {
            "problem": self.problem,
            "reads": self._reads,
            "signals": self._signals,
            "pending": self._news.pending + len(self._heard),
        }

    @property
    def stuck_seconds(self) -> float:
        """How long the slower of the two loops has not come round."""
        return time.monotonic() - min(self._moved.values())

    def hear(self, order: BrokerOrder) -> None:
        """A push."""
        self._heard.append(order)
        self._something.set()

    # --- telling ---------------------------------------------------------------------------------

    async def keep_telling(self) -> None:
        """Apply what was heard and signal what changed, as it comes."""
        caught_up = False
        while True:
            await self._wait_for_news()
            try:
                if not caught_up:
                    await self._catch_up()
                    caught_up = True
                await self._take_heard()
                self._signals += await self._news.tell()
                self._problem["telling"] = ""
            except RetryableError as error:
                self._problem["telling"] = str(error)
                await asyncio.sleep(_DOWN_PAUSE_SECONDS)
            self._moved["telling"] = time.monotonic()

    async def _wait_for_news(self) -> None:
        due = self._news.due_in()
        pause = _BEAT_SECONDS if due is None else min(due, _BEAT_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._something.wait()
        self._something.clear()

    async def _catch_up(self) -> None:
        """A watcher before us may have died between applying a change and telling it."""
        self._news.add(await self._store.book.changed_since(utc_now() - _TOLD_AGAIN))

    async def _take_heard(self) -> None:
        batch = self._heard[:]
        if batch:
            await self._apply(batch)
            # Only what was applied: a failure leaves it for the next round.
            del self._heard[: len(batch)]

    async def _apply(self, orders: list[BrokerOrder]) -> None:
        changed = await self._store.book.apply(orders, utc_now())
        self._changed(changed)

    def _changed(self, orders: Iterable[BrokerOrder]) -> None:
        self._news.add(orders)
        self._something.set()

    # --- reading ---------------------------------------------------------------------------------

    async def keep_reading(self) -> None:
        """Read the list and the book, each at its pace, also while pushes arrive."""
        while True:
            try:
                await self._read_what_is_due()
                self._problem["reading"] = ""
                pause = max(0.0, min(self._list_at, self._book_at) - time.monotonic())
            except RetryableError as error:
                self._problem["reading"] = str(error)
                pause = _DOWN_PAUSE_SECONDS
            self._moved["reading"] = time.monotonic()
            await asyncio.sleep(pause)

    async def _read_what_is_due(self) -> None:
        now = time.monotonic()
        if now >= self._book_at:
            try:
                await self._take_slots()
                await self._read_book()
                return
            except RateLimited as full:
                self._book_at = now + full.retry_after_seconds
        if now >= self._list_at:
            await self._read_list()

    async def _read_list(self) -> None:
        """What OpenD remembers: free of limits, and as fresh as its own link."""
        began = time.monotonic()
        orders = await self._broker.orders(refresh=False)
        await self._apply([order for order in orders if self._seen.get(order.order_id) != order])
        self._seen = {order.order_id: order for order in orders}
        self._reads += 1
        self._list_at = _next(began, self._pace.list_seconds)

    async def _read_book(self) -> None:
        """Everything, from the broker's servers, as far back as there is an end to be learned."""
        await self._renew()
        since = await self._since()
        began = time.monotonic()
        snapshot = await self._broker.snapshot(since)
        self._changed(await self._store.book.apply_snapshot(snapshot))
        self._alive = {order.order_id for order in snapshot.orders if order.alive}
        self._reads += 1
        self._book_at = _next(began, self._pace.snapshot_seconds)
        self._list_at = max(self._list_at, _next(began, self._pace.list_seconds))

    async def _renew(self) -> None:
        """Absence counts only on a connection that was made after the order could be sent last."""
        now = utc_now()
        claims = await self._store.placements.open_claims()
        lost = [c.send_by for c in claims if c.state is ClaimState.CLAIMED and c.send_by < now]
        if lost:
            await self._broker.renew(max(lost).replace(tzinfo=UTC))

    async def _since(self) -> datetime:
        """A day before the oldest order whose end is missing; what the last read held is not."""
        now = utc_now()
        oldest = await self._store.book.oldest_unended(besides=self._alive) or now
        return max(min(now, oldest) - LOOK_BACK, now - LONGEST_LOOK_BACK).replace(tzinfo=UTC)

    async def _take_slots(self) -> None:
        """Take both windows' slots. Without Redis our own pace keeps within them.

        Raises:
            RateLimited: the account was asked too often, by whomever.
        """
        limit, window, gap = self._query_window
        with suppress(SourceUnavailable):
            for call in (LIST_CALL, HISTORY_CALL):
                wait = await self._flags.take_slot(self._broker.account, call, limit, window, gap)
                if wait > 0:
                    raise RateLimited(call, wait)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel until it takes: libraries are known to swallow one that comes at a bad moment."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)


def _next(began: float, pace: float) -> float:
    """When to read again: at the pace, but after a rest of several times what it took."""
    took = time.monotonic() - began
    return began + max(pace, took * _REST_FACTOR)
