"""The whole of Bronco on one machine, on real parts: for the demo, the tests and the bench.

Every part is a process of its own that can be killed and started again on the same port and data,
and none outlives us: the kernel ends them when we end, however we end.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from bronco.devchain import (
    AUDITOR,
    SETTLER,
    DevChain,
    DevChainPlan,
    deploy,
    dev_address,
    dev_key,
)
from bronco.keyring import lay_out, without_key
from bronco.processes import (
    ManagedProcess,
    Program,
    Ready,
    answers,
    find_program,
    free_port,
    open_home,
    stop_all,
)
from bronco.services import Anvil, TemporalServer, start_anvil, start_mariadb, start_temporal
from bronco.services.redis import Redis, start_embedded_redis, start_redis
from bronco.settings import Settings
from clients.rpc import Rpc
from clients.store.migrate import upgrade
from models.errors import SourceUnavailable
from simulators.opend.control import SimulatorControl
from workers.clients import settler


class _Service(Protocol):
    @property
    def process(self) -> ManagedProcess: ...


T = TypeVar("T")
S = TypeVar("S", bound=_Service)
Report = Callable[[str, float], None]
HOST = "127.0.0.1"
US_PAPER_ACCOUNT = 1002
"""The simulator's US paper account."""
# What each worker process does: a crash of one leaves the others' watching untouched.
WORKER_ROLES: Mapping[str, tuple[str, ...]] = {
    "worker": ("orders", "broker"),
    "watcher": ("watch",),
}


def _quiet(_what: str, _seconds: float) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class StackOptions:
    """How the stack is built. Times: seconds.

    server_database, real_redis: None = real when installed, else embedded. persist: the Temporal
    server keeps a file, so that it can be killed too. settings, opend: added to what is set here.
    """

    directory: Path
    server_database: bool | None = None
    real_redis: bool | None = None
    persist: bool = False
    ui: bool = True
    workers: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(WORKER_ROLES))
    api: bool = True
    plan: DevChainPlan = field(default_factory=DevChainPlan)
    settings: Mapping[str, str] = field(default_factory=dict)
    opend: Sequence[str] = ()
    positions: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Stack:
    """Handles of everything that runs."""

    options: StackOptions
    chain: DevChain
    anvil: Anvil
    temporal: TemporalServer
    redis: Redis
    database: ManagedProcess | None
    database_url: str
    opend: ManagedProcess
    opend_port: int
    control: SimulatorControl
    settings: Settings
    api_key: str
    processes: dict[str, ManagedProcess] = field(default_factory=dict)

    @property
    def api_url(self) -> str:
        """Where the API answers."""
        return f"http://{HOST}:{self.settings.api.port}"

    async def client(self) -> Client:
        """A client of the stack's Temporal server."""
        return await Client.connect(self.temporal.address, data_converter=pydantic_data_converter)

    async def start_process(self, name: str, arguments: Sequence[str], port: int) -> ManagedProcess:
        """Run one of our own commands until its port answers; none of them gets the key."""

        async def ready() -> bool:
            return await answers(HOST, port)

        environment = without_key(self.settings.environment())
        if arguments[0] == "worker":
            environment["BRONCO_METRICS_PORT"] = str(port)
            environment["BRONCO_METRICS_TEMPORAL_PORT"] = str(free_port())
        return await self._start(name, arguments, environment, ready)

    async def start_signer(self) -> ManagedProcess:
        """Run the process that holds the key, until it says who it is."""

        async def ready() -> bool:
            asked = settler(self.settings.signer)
            try:
                await asked.status()
            except SourceUnavailable:
                return False
            finally:
                await asked.close()
            return True

        environment = self.settings.environment() | {"BRONCO_METRICS_PORT": str(free_port())}
        return await self._start("signer", ["signer", "--state", "signer"], environment, ready)

    async def _start(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], ready: Ready
    ) -> ManagedProcess:
        program = Program(
            name,
            (sys.executable, "-m", "bronco", *arguments),
            open_home(self.options.directory) / f"{name}.log",
            ready=ready,
            # Workflow code is imported anew for each run: compiling it each time halves the rate.
            env={**environment, "PYTHONDONTWRITEBYTECODE": ""},
            cwd=self.options.directory,
        )
        process = ManagedProcess(program)
        self.processes[name] = process
        await process.start()
        return process

    async def stop(self) -> None:
        """End our own processes, newest first, then the services."""
        services = [self.opend, self.redis.process, self.database]
        services += [self.temporal.process, self.anvil.process]
        ours = list(self.processes.values())[::-1]
        await stop_all(ours)
        await stop_all([process for process in services if process is not None])


@asynccontextmanager
async def stack(options: StackOptions, report: Report = _quiet) -> AsyncIterator[Stack]:
    """Everything up; everything ended in the end.

    Raises:
        ConfigurationError: a part is not installed.
        ProcessFailed: a part did not come up; the error holds the tail of its log.
    """
    async with AsyncExitStack() as leaving:
        built = await _services(options, report, leaving)
        leaving.push_async_callback(built.stop)
        async with _together() as group:
            group.create_task(_timed("signer", built.start_signer(), report))
            for name, roles in options.workers.items():
                start = built.start_process(name, _worker_arguments(roles), free_port())
                group.create_task(_timed(f"{name} ({', '.join(roles)})", start, report))
            if options.api:
                start = built.start_process("api", ["api"], built.settings.api.port)
                group.create_task(_timed("api", start, report))
        yield built


async def _services(options: StackOptions, report: Report, leaving: AsyncExitStack) -> Stack:
    home = open_home(options.directory)
    up: list[ManagedProcess] = []
    leaving.push_async_callback(_stop_list, up)
    started = start_temporal(home / "temporal", persist=options.persist, ui=options.ui)
    async with _together() as group:
        chain_up = group.create_task(
            _timed("anvil (the chain)", _kept(start_anvil(home / "anvil"), up), report)
        )
        temporal_up = group.create_task(_timed("Temporal", _kept(started, up), report))
        redis_up = group.create_task(_timed("Redis", _kept(_redis(options), up), report))
        database_up = group.create_task(_timed("database", _database(options, up), report))
        opend_up = group.create_task(_timed("OpenD simulator", _opend(options, up), report))
        contracts = _contracts(await chain_up, options.plan)
        chain = await _timed("contracts", contracts, report)
    anvil, temporal, redis = chain_up.result(), temporal_up.result(), redis_up.result()
    process, url = database_up.result()
    api_key = secrets.token_urlsafe(24)
    simulator, port, control_port = opend_up.result()
    told = _environment(options, chain, anvil, temporal, redis, url, port, api_key)
    settings = Settings.load(_dashboard(temporal, control_port) | told)
    return Stack(
        options=options,
        chain=chain,
        anvil=anvil,
        temporal=temporal,
        redis=redis,
        database=process,
        database_url=url,
        opend=simulator,
        opend_port=port,
        control=SimulatorControl(control_port),
        settings=settings,
        api_key=api_key,
    )


async def _redis(options: StackOptions) -> Redis:
    real = options.real_redis
    if real is None:
        real = find_program("redis-server") is not None
    start = start_redis if real else start_embedded_redis
    return await start(options.directory / "redis")


async def _database(
    options: StackOptions, up: list[ManagedProcess]
) -> tuple[ManagedProcess | None, str]:
    server = options.server_database
    if server is None:
        server = find_program("mariadbd") is not None
    if not server:
        url = f"sqlite:///{options.directory / 'bronco.db'}"
        await asyncio.to_thread(upgrade, url)
        return None, url
    mariadb = await start_mariadb(options.directory / "mariadb")
    up.append(mariadb.process)
    await asyncio.to_thread(upgrade, mariadb.url())
    return mariadb.process, mariadb.url()


async def _opend(
    options: StackOptions, up: list[ManagedProcess]
) -> tuple[ManagedProcess, int, int]:
    port, control_port = free_port(), free_port()

    async def ready() -> bool:
        return await answers(HOST, port) and await answers(HOST, control_port)

    directory = options.directory
    positions = [f"{symbol}={count}" for symbol, count in options.positions.items()]
    arguments = ["--port", str(port), "--control-port", str(control_port)]
    arguments += ["--state", str(directory / "opend.db")]
    for position in positions:
        arguments += ["--position", position]
    program = Program(
        "opend",
        (sys.executable, "-m", "simulators.opend.main", *arguments, *options.opend),
        directory / "opend.log",
        ready=ready,
    )
    process = ManagedProcess(program)
    up.append(process)
    await process.start()
    return process, port, control_port


async def _contracts(anvil: Anvil, plan: DevChainPlan) -> DevChain:
    rpc = Rpc(anvil.http_url)
    try:
        return await deploy(rpc, plan)
    finally:
        await rpc.close()


def _dashboard(temporal: TemporalServer, control_port: int) -> dict[str, str]:
    """What the dashboard may do here and nowhere else: hand in requests, and break the broker."""
    return {
        "BRONCO_DASHBOARD_DEV_TOOLS": "true",
        "BRONCO_DASHBOARD_SIMULATOR": f"{HOST}:{control_port}",
        "BRONCO_DASHBOARD_TEMPORAL_UI": temporal.ui_url or "",
    }


def _environment(
    options: StackOptions,
    chain: DevChain,
    anvil: Anvil,
    temporal: TemporalServer,
    redis: Redis,
    database_url: str,
    opend_port: int,
    api_key: str,
) -> dict[str, str]:
    """Settings of this stack, as variables."""
    return {
        **chain.variables(),
        **lay_out(options.directory / "signer", dev_key(SETTLER), dev_key(AUDITOR)),
        "BRONCO_TEMPORAL_ADDRESS": temporal.address,
        "BRONCO_CHAIN_RPC_URLS": anvil.http_url,
        "BRONCO_CHAIN_WS_URLS": anvil.ws_url,
        "BRONCO_CHAIN_CONFIRMATIONS": "0",
        "BRONCO_BROKER_HOST": HOST,
        "BRONCO_BROKER_PORT": str(opend_port),
        "BRONCO_BROKER_ACCOUNT_ID": str(US_PAPER_ACCOUNT),
        "BRONCO_AUDIT_ADDRESS": dev_address(AUDITOR),
        "BRONCO_AUDIT_DIRECTORY": str(options.directory / "audit"),
        "BRONCO_AUDIT_EVERY_SECONDS": "5",
        "BRONCO_DATABASE_URL": database_url,
        "BRONCO_REDIS_URL": redis.url,
        "BRONCO_API_PORT": str(free_port()),
        "BRONCO_API_KEY_HASHES": hashlib.sha256(api_key.encode()).hexdigest(),
        **options.settings,
    }


def _worker_arguments(roles: Sequence[str]) -> list[str]:
    return ["worker", *(word for role in roles for word in ("--role", role))]


async def _timed(what: str, work: Awaitable[T], report: Report) -> T:
    began = time.monotonic()
    done = await work
    report(what, time.monotonic() - began)
    return done


async def _kept(start: Awaitable[S], up: list[ManagedProcess]) -> S:
    service = await start
    up.append(service.process)
    return service


@asynccontextmanager
async def _together() -> AsyncIterator[asyncio.TaskGroup]:
    """Start parts side by side; the first failure ends the others and is what the caller sees."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _stop_list(up: list[ManagedProcess]) -> None:
    await stop_all(up[::-1])
