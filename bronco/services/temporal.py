"""A private Temporal server: the vendor's dev server, tuned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from bronco.processes import ManagedProcess, Program, Ready, free_port, open_home, require_program

HOST = "127.0.0.1"
NAMESPACE = "default"
REMEDY = "run `make setup`, or put the Temporal CLI (1.8 or newer) on PATH"
RETENTION_SECONDS = 72 * 3600
SEARCH_ATTRIBUTES = ("User", "Symbol", "Side", "Stage")

DYNAMIC_CONFIG: Mapping[str, str] = {
    # Saves a hop through the task queue where workflow and activity share a worker.
    "system.enableActivityEagerExecution": "true",
    # The dev server's one shard reads its queues 20 times a second by default: 30-45 ms a hop.
    "history.transferProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxPollRPS": "2000",
    # A burst of signals during one workflow task; beyond it the server fails that task.
    "history.maximumBufferedEventsBatch": "2000",
    # `temporal workflow signal --query` to all waiting orders: 50 a second by default.
    "worker.batcherRPS": "1000",
    "worker.batcherConcurrency": "20",
    "frontend.MaxConcurrentBatchOperationPerNamespace": "10",
    # Fairness keys on the placing queue.
    "matching.useNewMatcher": "true",
    "matching.enableFairness": "true",
}
_RPC_TIMEOUT = timedelta(seconds=5)
_RETAIN = UpdateNamespaceRequest(
    namespace=NAMESPACE,
    config=NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=RETENTION_SECONDS)),
)
# The default journal is 2.5 times slower, and no safer against kill -9.
PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL")


@dataclass(frozen=True)
class TemporalServer:
    """A Temporal dev server; workflows outlive a crash only when it has a database file."""

    process: ManagedProcess
    port: int
    ui_port: int | None
    metrics_port: int
    host: str = HOST
    namespace: str = NAMESPACE

    @property
    def address(self) -> str:
        """Where clients and workers connect."""
        return f"{self.host}:{self.port}"

    @property
    def ui_url(self) -> str | None:
        """The Web UI, if it was asked for."""
        return f"http://{self.host}:{self.ui_port}" if self.ui_port else None


async def start_temporal(
    directory: Path,
    persist: bool = False,
    ui: bool = False,
    port: int | None = None,
    ui_port: int | None = None,
    dynamic_config: Mapping[str, str] | None = None,
) -> TemporalServer:
    """Start Temporal with our search attributes and 72 hours of retention.

    Raises:
        ConfigurationError: it is not installed.
        ProcessFailed: it did not come up.
    """
    program = require_program("temporal", REMEDY)
    home = open_home(directory)
    port, metrics_port = port or free_port(), free_port()
    ui_port = (ui_port or free_port()) if ui or ui_port else None
    config = {**DYNAMIC_CONFIG, **(dynamic_config or {})}
    argv = [
        str(program), "server", "start-dev", "--ip", HOST, "--port", str(port),
        "--metrics-port", str(metrics_port), "--log-level", "error",
        "--disable-config-file", "--disable-config-env", "--ui-disable-news-fetch",
        *(["--ui-port", str(ui_port)] if ui_port else ["--headless"]),
        *_flags("--search-attribute", (f"{name}=Keyword" for name in SEARCH_ATTRIBUTES)),
        *_flags("--dynamic-config-value", (f"{key}={value}" for key, value in config.items())),
    ]  # fmt: skip
    if persist:
        argv += ["--db-filename", str(home / "temporal.db"), *_flags("--sqlite-pragma", PRAGMAS)]
    process = ManagedProcess(
        Program("temporal", tuple(argv), home / "temporal.log", ready=_ready(f"{HOST}:{port}"))
    )
    await process.start()
    return TemporalServer(process, port, ui_port, metrics_port)


def _flags(flag: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (flag, value)]


def _ready(address: str) -> Ready:
    async def ready() -> bool:
        try:
            client = await Client.connect(address, namespace=NAMESPACE)
            found = await client.operator_service.list_search_attributes(
                ListSearchAttributesRequest(namespace=NAMESPACE), timeout=_RPC_TIMEOUT
            )
            await client.workflow_service.update_namespace(_RETAIN, timeout=_RPC_TIMEOUT)
        except (RPCError, RuntimeError):  # a refused connection is a RuntimeError
            return False
        return set(SEARCH_ATTRIBUTES) <= set(found.custom_attributes)

    return ready
