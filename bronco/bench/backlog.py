"""A backlog: requests made while no worker ran, and how soon each has its workflow."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel
from temporalio.client import Client

from bronco.bench.chain import BenchChain
from bronco.processes import free_port
from bronco.stack import WORKER_ROLES, Stack, StackOptions, stack
from models.errors import SourceUnavailable

Report = Callable[[str], None]
_WATCHER = "watcher"
_PATIENCE_SECONDS = 900.0
_POLL_SECONDS = 0.5
# As long as it takes the watcher to connect, import what it needs and look at an empty vault.
_IDLE_SECONDS = 10.0
_TYPES = 'WorkflowType = "DepositWorkflow"'
# What catching up is promised to take: this long for this many (longer for more in proportion),
# in memory that stays flat.
_MOST_SECONDS = 120.0
_PROMISED_REQUESTS = 5_000
_MOST_GROWTH_MIB = 50.0


class BacklogBench(BaseModel):
    """One run. seconds: from the start of the workers until every request had its workflow.

    watcher_mib: resident memory of the watching process: idle = on an empty vault, before there
    were requests; peak and after = while it caught up, and _IDLE_SECONDS later.
    """

    requests: int
    seconds: float
    per_second: float
    idle_mib: float
    peak_mib: float
    after_mib: float
    database: str

    def broken_promises(self) -> list[str]:
        """What took longer or more memory than is promised, in words; empty: nothing did."""
        most = _MOST_SECONDS * max(1.0, self.requests / _PROMISED_REQUESTS)
        found = []
        if self.seconds >= most:
            found.append(f"{self.requests} requests took {self.seconds} s, not less than {most:g}")
        grown = round(max(self.peak_mib, self.after_mib) - self.idle_mib, 1)
        if grown > _MOST_GROWTH_MIB:
            found.append(f"the watcher grew by {grown} MiB, more than {_MOST_GROWTH_MIB:g}")
        return found


async def run(directory: Path, *, count: int, report: Report) -> BacklogBench:
    """Measure on a stack of its own; whatever it started has ended when it returns."""
    options = StackOptions(
        directory=directory,
        workers={},
        api=False,
        ui=False,
        opend=("--no-limits", "--price-interval", "0", "--partial-rate", "0", "--cash", "1e9"),
        settings={"BRONCO_LOG_LEVEL": "WARNING"},
    )
    async with stack(options, lambda what, seconds: report(f"{what}: {seconds:.1f} s")) as built:
        return await _measure(built, count, report)


async def _measure(built: Stack, count: int, report: Report) -> BacklogBench:
    client, chain = await built.client(), BenchChain(built)
    await _start(built, _WATCHER, WORKER_ROLES[_WATCHER])
    await asyncio.sleep(_IDLE_SECONDS)
    idle = _resident_kib(built)
    await built.processes[_WATCHER].stop()
    report(f"making {count} requests while nobody runs")
    await chain.approve()
    await chain.backlog(count)
    await chain.rpc.close()
    report("starting all workers")
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for name, roles in WORKER_ROLES.items():
            group.create_task(_start(built, name, roles))
        caught_up = group.create_task(_until_started(built, client, count))
    peak, ended = caught_up.result()
    await asyncio.sleep(_IDLE_SECONDS)
    return BacklogBench(
        requests=count,
        seconds=round(ended - began, 1),
        per_second=round(count / (ended - began), 1),
        idle_mib=_mib(idle),
        peak_mib=_mib(peak),
        after_mib=_mib(_resident_kib(built)),
        database=built.database_url.partition(":")[0],
    )


async def _start(built: Stack, name: str, roles: tuple[str, ...]) -> None:
    words = [word for role in roles for word in ("--role", role)]
    await built.start_process(name, ["worker", *words], free_port())


async def _until_started(built: Stack, client: Client, count: int) -> tuple[int, float]:
    """(most memory the watcher had in KiB, when all were started)."""
    peak = 0
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while (await client.count_workflows(_TYPES)).count < count:
            await asyncio.sleep(_POLL_SECONDS)
            peak = max(peak, _resident_kib(built))
    return peak, time.monotonic()


def _resident_kib(built: Stack) -> int:
    """Of the watching process; 0 while it is not there yet.

    Raises:
        SourceUnavailable: this system has no /proc.
    """
    process = built.processes[_WATCHER]
    if not process.running:
        return 0
    # https://docs.kernel.org/filesystems/proc.html: VmRSS is in kB
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise SourceUnavailable("the system", "reading memory", "no VmRSS")


def _mib(kib: int) -> float:
    return round(kib / 1024, 1)
