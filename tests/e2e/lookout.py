"""A real Prometheus that watches a running stack with our rules, their waits cut short."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from bronco.processes import ManagedProcess, Program, answers, free_port
from bronco.stack import HOST, Stack
from tests.alerting import hastened, program
from tests.waiting import eventually

Fault = Callable[[], Awaitable[object]]
_CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [alerts.yml]
scrape_configs:
  - {{job_name: bronco-api, static_configs: [{{targets: {api}}}]}}
  - {{job_name: bronco-worker, static_configs: [{{targets: {workers}}}]}}
  - {{job_name: bronco-sdk, static_configs: [{{targets: {sdk}}}]}}
"""


class Lookout:
    """What Prometheus says."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=10)

    async def firing(self) -> list[dict[str, str]]:
        """Labels of every alert that fires now."""
        answer = (await self._http.get("/api/v1/alerts")).json()
        return [one["labels"] for one in answer["data"]["alerts"] if one["state"] == "firing"]

    async def names(self) -> set[str]:
        """Names of the alerts that fire now."""
        return {one["alertname"] for one in await self.firing()}

    async def fires(self, *names: str, seconds: float = 60) -> None:
        """Wait until all of these fire."""

        async def all_fire() -> bool:
            return set(names) <= await self.names()

        try:
            await eventually(all_fire, timeout=seconds, interval=0.3)
        except AssertionError:
            silent = set(names) - await self.names()
            raise AssertionError(f"silent: {silent}; {await self.state()}") from None

    async def is_quiet(self, *names: str, seconds: float = 60) -> None:
        """Wait until none of these fires."""

        async def none_fires() -> bool:
            return not set(names) & await self.names()

        try:
            await eventually(none_fires, timeout=seconds, interval=0.3)
        except AssertionError:
            raise AssertionError(f"still firing: {await self.firing()}") from None

    async def query(self, query: str) -> list[dict[str, Any]]:
        """The result of a query now."""
        answer = (await self._http.get("/api/v1/query", params={"query": query})).json()
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    async def state(self) -> str:
        """For a failing test: what fires, and which targets are down."""
        down = await self.query("up == 0")
        return f"firing {await self.names()}, down {[one['metric'] for one in down]}"

    async def close(self) -> None:
        await self._http.aclose()


@asynccontextmanager
async def lookout(stack: Stack, folder: Path) -> AsyncIterator[Lookout]:
    """Prometheus on the processes of a stack, until the end."""
    hastened(folder)
    (folder / "prometheus.yml").write_text(_config(stack))
    port = free_port()

    async def ready() -> bool:
        return await answers(HOST, port)

    process = ManagedProcess(
        Program(
            "prometheus",
            (
                *(program("prometheus"), f"--config.file={folder}/prometheus.yml"),
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={HOST}:{port}",
            ),
            folder / "prometheus.log",
            ready=ready,
        )
    )
    await process.start()
    seen = Lookout(f"http://{HOST}:{port}")
    try:
        await eventually(lambda: _all_up(seen), timeout=60, interval=0.3)
        yield seen
    finally:
        await seen.close()
        await process.stop()


async def _all_up(seen: Lookout) -> bool:
    up = await seen.query("up")
    return len(up) >= 6 and all(one["value"][1] == "1" for one in up)


def _config(stack: Stack) -> str:
    def ports(variable: str) -> list[str]:
        environments = [process.program.env for process in stack.processes.values()]
        listed = [env[variable] for env in environments if env.get(variable, "0") != "0"]
        return [f"{HOST}:{port}" for port in sorted(set(listed))]

    return _CONFIG.format(
        api=[f"{HOST}:{stack.settings.api.port}"],
        workers=ports("BRONCO_METRICS_PORT"),
        sdk=ports("BRONCO_METRICS_TEMPORAL_PORT"),
    )


async def restarted(process: ManagedProcess, **environment: str) -> None:
    """Stop it, change its environment, start it again."""
    await process.kill()
    assert isinstance(process.program.env, dict)
    process.program.env.update({f"BRONCO_{k.upper()}": v for k, v in environment.items()})
    await process.start()


@asynccontextmanager
async def killed(*processes: ManagedProcess) -> AsyncIterator[None]:
    """Gone inside the block."""
    for process in processes:
        await process.kill()
    try:
        yield
    finally:
        await asyncio.gather(*(process.start() for process in processes))
