"""Real orders end to end: how many, how fast, and what one costs."""

import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import create_engine, text
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from bronco.bench import floor
from bronco.bench.chain import BenchChain, BlockClock
from bronco.processes import ManagedProcess, Program, free_port
from bronco.stack import Stack, StackOptions, stack
from clients.store.store import Store
from models.order import Order, OrderStatus
from models.requests import settlement_workflow_id

Report = Callable[[str], None]
# https://docs.temporal.io/cloud/actions: what is billed, and a fair measure of the server's work
_ACTIONS = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        EventType.EVENT_TYPE_TIMER_STARTED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
    }
)
_STATEMENTS = frozenset({"Com_select", "Com_insert", "Com_update", "Com_delete"})
_BATCH_SIZES = (1, 20)
_PATIENCE_SECONDS = 180.0
_IDLE_SECONDS = 3.0
# A process per role: one Python process keeps one core busy at most.
_WORKERS: Mapping[str, tuple[str, ...]] = {
    "orders": ("orders",),
    "broker": ("broker",),
    "watcher": ("watch",),
}
_POLL_SECONDS = 0.1


class Latency(BaseModel):
    """Milliseconds."""

    p50: float
    p99: float


class OrdersBench(BaseModel):
    """One run. ratio: orders_per_s / floor_per_s. sql_per_order: None on SQLite."""

    floor_per_s: float
    orders_per_s: float
    ratio: float
    block_to_broker_ms: Latency
    fill_to_settlement_ms: Latency
    actions_per_order: float
    history_bytes_per_order: float
    sql_per_order: float | None
    gas_per_settlement: dict[str, int]
    orders: int
    single_orders: int
    database: str


async def run(directory: Path, *, burst: int, singles: int, report: Report) -> OrdersBench:
    """Measure on a stack of its own; whatever it started has ended when it returns."""
    options = StackOptions(
        directory=directory,
        workers={},
        api=False,
        ui=False,
        opend=("--no-limits", "--price-interval", "0", "--partial-rate", "0", "--cash", "1e9"),
        settings={"BRONCO_BROKER_PLACE_LIMIT": "100000", "BRONCO_LOG_LEVEL": "WARNING"},
    )
    async with stack(options, lambda what, seconds: report(f"{what}: {seconds:.1f} s")) as built:
        bench = OrdersRun(built, report)
        return await bench.measure(burst, singles)


class OrdersRun:
    """The steps of one run."""

    def __init__(self, built: Stack, report: Report) -> None:
        self._stack = built
        self._report = report
        self._chain = BenchChain(built)
        self._store = Store(built.database_url, pool_size=4)

    async def measure(self, burst: int, singles: int) -> OrdersBench:
        """Gas, floor, single orders for latency, then a burst for throughput."""
        client = await self._stack.client()
        await self._chain.approve()
        self._report("gas of one settlement")
        gas = {str(size): await self._chain.gas_per_settlement(size) for size in _BATCH_SIZES}
        self._report(f"floor: {burst} empty workflows")
        floor_rate = await self._floor(client, burst)
        for name, roles in _WORKERS.items():
            words = [word for role in roles for word in ("--role", role)]
            await self._stack.start_process(name, ["worker", *words], free_port())
        await self._order()
        self._report(f"latency: {singles} orders, one at a time")
        placed, settled = await self._latencies(singles)
        self._report(f"throughput: {burst} orders at once")
        statements, rate = await self._throughput(burst)
        actions, size = await self._costs(client)
        self._store.close()
        await self._chain.rpc.close()
        return OrdersBench(
            floor_per_s=round_figure(floor_rate),
            orders_per_s=round_figure(rate),
            ratio=round_figure(rate / floor_rate),
            block_to_broker_ms=placed,
            fill_to_settlement_ms=settled,
            actions_per_order=round_figure(actions),
            history_bytes_per_order=round_figure(size),
            sql_per_order=None if statements is None else round_figure(statements / burst),
            gas_per_settlement=gas,
            orders=burst,
            single_orders=singles,
            database=self._stack.database_url.partition(":")[0],
        )

    async def _floor(self, client: Client, count: int) -> float:
        argv = (sys.executable, "-m", "bronco.bench.floor", self._stack.temporal.address)
        worker = ManagedProcess(Program("floor", argv, self._stack.options.directory / "floor.log"))
        await worker.start()
        try:
            await floor.measure(client, 10)  # caches warm, worker polling
            return await floor.measure(client, count)
        finally:
            await worker.stop()

    async def _order(self) -> None:
        """One order from deposit to EXECUTED."""
        already = await self._executed()
        await self._chain.deposit()
        await self._until(already + 1)

    async def _latencies(self, count: int) -> tuple[Latency, Latency]:
        """Request block ▶ PlaceOrder at the broker; last fill ▶ block of the settlement."""
        before = len(await self._chain.requests())
        async with BlockClock(self._chain.rpc) as clock:
            for _ in range(count):
                await self._order()
            await clock.reach((await self._chain.vault.head()).number)
        requests = (await self._chain.requests())[before:]
        orders = await self._orders()
        arrived = {p.remark: p.received_at for p in await self._stack.control.placements()}
        by_id = {order.id: order for order in await self._stack.control.orders()}
        to_broker, to_settlement = [], []
        for request in requests:
            row = orders[request.request_id]
            venue = by_id[row.futu_order_id]
            to_broker.append(arrived[venue.remark] - clock.seen[request.created_block])
            settled_in = await self._chain.block_of(row.settle_tx_hash)
            to_settlement.append(clock.seen[settled_in] - venue.updated_at)
        return _latency(to_broker), _latency(to_settlement)

    async def _throughput(self, count: int) -> tuple[float | None, float]:
        """SQL statements beyond what idling costs, and orders per second."""
        idle = await self._idle_statements()
        already, sent = await self._executed(), self._statements()
        await self._chain.burst(count)
        began = time.monotonic()
        await self._until(already + count)
        took = time.monotonic() - began
        after = self._statements()
        if sent is None or after is None or idle is None:
            return None, count / took
        return after - sent - idle * took, count / took

    async def _costs(self, client: Client) -> tuple[float, float]:
        """Temporal actions and history bytes of one order, settlement's share included."""
        orders = [row for row in (await self._orders()).values() if row.workflow_id]
        actions, size = 0, 0
        shared = settlement_workflow_id(self._stack.chain.chain_id, self._stack.chain.settler)
        for workflow_id in [*(row.workflow_id for row in orders), shared]:
            handle = client.get_workflow_handle(workflow_id)
            async for event in handle.fetch_history_events():
                actions += event.event_type in _ACTIONS
            described = await handle.describe()
            size += described.raw_description.workflow_execution_info.history_size_bytes
        return actions / len(orders), size / len(orders)

    async def _orders(self) -> dict[str, Order]:
        chain = self._stack.chain
        rows: dict[str, Order] = {}
        for request in await self._chain.requests():
            row = await self._store.orders.get(chain.chain_id, chain.vault, request.request_id)
            rows[request.request_id] = row
        return rows

    async def _executed(self) -> int:
        return (await self._store.orders.counts()).by_status.get(OrderStatus.EXECUTED, 0)

    async def _until(self, executed: int) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                if await self._executed() >= executed:
                    return
                await asyncio.sleep(_POLL_SECONDS)

    async def _idle_statements(self) -> float | None:
        """Statements per second while nothing happens."""
        before = self._statements()
        await asyncio.sleep(_IDLE_SECONDS)
        after = self._statements()
        if before is None or after is None:
            return None
        return (after - before) / _IDLE_SECONDS

    def _statements(self) -> int | None:
        """Reads and writes the server has done so far; None where it does not count."""
        if self._stack.database is None:
            return None
        engine = create_engine(self._stack.database_url)
        with engine.connect() as connection:
            rows = connection.execute(text("SHOW GLOBAL STATUS LIKE 'Com\\_%'")).all()
        engine.dispose()
        return sum(int(value) for name, value in rows if name in _STATEMENTS)


def _latency(seconds: Sequence[float]) -> Latency:
    millis = sorted(value * 1000 for value in seconds)
    last = millis[min(len(millis) - 1, int(len(millis) * 0.99))]
    return Latency(p50=round_figure(statistics.median(millis)), p99=round_figure(last))


def round_figure(value: float) -> float:
    """Two decimals: no run is more exact."""
    return round(value, 2)
