"""Telling order workflows what became of their orders, and not more often than they need it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from models.broker import BrokerOrder, BrokerStatus
from models.requests import parse_remark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from clients.gateway import WorkflowGateway
    from clients.store.store import Store

SIGNAL = "order_update"
_AT_ONCE = 16
# A workflow takes 10,000 signals in its life; partial fills could be more.
_PAUSE_SECONDS = 1.0
_REMEMBERED = 20_000


class OrderNews:
    """What is still to be told. The latest report of an order replaces the one before it.

    The first report of a status goes out at once, further ones of it a second apart. News are kept
    until Temporal took them; a workflow that has ended, or an order of nobody's, ends them too.
    """

    def __init__(
        self,
        store: Store,
        gateway: WorkflowGateway,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._clock = clock
        self._pending: dict[str, BrokerOrder] = {}
        self._told: dict[str, tuple[BrokerStatus, float]] = {}
        self._workflow_ids: dict[str, str] = {}

    def add(self, orders: Iterable[BrokerOrder]) -> None:
        """Take changed orders; those without a remark of ours are left out."""
        for order in orders:
            if parse_remark(order.remark) is not None:
                self._pending[order.order_id] = order

    @property
    def pending(self) -> int:
        """How many orders have news that was not told yet."""
        return len(self._pending)

    def due_in(self) -> float | None:
        """Seconds until the next news may be told; None when there is none."""
        waits = [self._wait(order) for order in self._pending.values()]
        return min(waits) if waits else None

    async def tell(self) -> int:
        """Signal what is due; returns how many signals were taken.

        Raises:
            SourceUnavailable: the store or Temporal could not be asked; the rest stays pending.
        """
        due = [order for order in self._pending.values() if self._wait(order) <= 0]
        if not due:
            return 0
        await self._find_workflows(due)
        gate = asyncio.Semaphore(_AT_ONCE)
        done = await asyncio.gather(
            *(self._tell_one(order, gate) for order in due), return_exceptions=True
        )
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome
        return sum(outcome is True for outcome in done)

    async def _tell_one(self, order: BrokerOrder, gate: asyncio.Semaphore) -> bool:
        workflow_id = self._workflow_ids.get(_request_id(order), "")
        taken = False
        if workflow_id:
            async with gate:
                taken = await self._gateway.signal_order(workflow_id, SIGNAL, order)
        if self._pending.get(order.order_id) is order:
            del self._pending[order.order_id]
        self._remember(order)
        return taken

    def _remember(self, order: BrokerOrder) -> None:
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told[order.order_id] = (order.status, self._clock())

    def _wait(self, order: BrokerOrder) -> float:
        told = self._told.get(order.order_id)
        if told is None or told[0] is not order.status:
            return 0.0
        return max(0.0, told[1] + _PAUSE_SECONDS - self._clock())

    async def _find_workflows(self, orders: list[BrokerOrder]) -> None:
        unknown = {_request_id(order) for order in orders} - self._workflow_ids.keys()
        if not unknown:
            return
        if len(self._workflow_ids) >= _REMEMBERED:
            self._workflow_ids.clear()
        self._workflow_ids |= await self._store.orders.workflow_ids(unknown)


def _request_id(order: BrokerOrder) -> str:
    parsed = parse_remark(order.remark)
    return parsed[0] if parsed is not None else ""
