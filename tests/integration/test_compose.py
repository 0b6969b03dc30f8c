"""temporal-dev.yml brought up without an engine: its commands as processes, in its order.

What changes on the way: names and ports become ones of this machine, volumes become folders, and
MySQL is the MariaDB of the other tests. Everything else is the file's own word.
"""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bronco.processes import ManagedProcess, Program, answers, free_port, require_program, stop_all
from tests.compose import IMAGE, services

HERE = "127.0.0.1"
METRICS = frozenset({"9090", "9091"})
# Not programs of this machine; promtool and tests/unit/test_compose.py read what they are given.
LOOK_ON = frozenset({"prometheus", "grafana"})
NAMES = re.compile(r"\b(temporal|redis|anvil|opend)(?=:\d)|\b0\.0\.0\.0\b")
DONE = 0


@dataclass
class Engine:
    """As much of Compose as the file needs."""

    home: Path
    database_url: str
    ports: dict[str, str] = field(default_factory=dict)
    up: dict[str, ManagedProcess] = field(default_factory=dict)

    def localised(self, service: str, text: str) -> str:
        """The text with this machine's addresses and folders."""
        text = NAMES.sub(HERE, text)
        text = re.sub(r"(?<!\w)/(data|var/lib/bronco)\b", str(self.home / service), text)
        # The one folder that several of them mount.
        text = text.replace("/run/bronco", str(self.home / "run"))
        return re.sub(
            r"\b(7233|8233|8545|6379|11111|11112|8080|9090|9091)\b",
            lambda port: self._port(service, port[0]),
            text,
        )

    def _port(self, service: str, port: str) -> str:
        # Containers have a network of their own: two may listen on the same port.
        key = f"{service}:{port}" if port in METRICS else port
        return self.ports.setdefault(key, str(free_port()))

    def environment(self, service: str) -> dict[str, str]:
        """Of one service; nothing of ours from outside."""
        given = services()[service].get("environment", {})
        made = {name: self.localised(service, value) for name, value in given.items()}
        if "BRONCO_BROKER_HOST" in made:
            made |= {"BRONCO_BROKER_HOST": HERE, "BRONCO_DATABASE_URL": self.database_url}
            made["BRONCO_API_KEY_HASHES"] = ""
        return made

    def argv(self, service: str, command: list[str]) -> tuple[str, ...]:
        """The command line behind the image's entry point."""
        words = [self.localised(service, word) for word in command]
        if services()[service]["image"] == IMAGE:
            return (sys.executable, "-m", "bronco", *words)
        program = (services()[service].get("entrypoint") or [words.pop(0)])[0]
        if service == "temporal":
            words.insert(0, program)
            program = "temporal"
        return (str(require_program(program, "run `make setup`")), *words)

    async def start(self, service: str) -> None:
        """One service, after those it depends on; until it is healthy or, one-shot, done."""
        if service in self.up or service == "mysql":
            return
        known: dict[str, Any] = services()[service]
        for needed in known.get("depends_on", {}):
            await self.start(needed)
        folder = self.home / service
        folder.mkdir(exist_ok=True)
        one_shot = "healthcheck" not in known
        process = ManagedProcess(
            Program(
                service,
                self.argv(service, known["command"]),
                self.home / f"{service}.log",
                ready=None if one_shot else self.health(service),
                env=self.environment(service),
                cwd=folder,
            )
        )
        self.up[service] = process
        await process.start()
        if one_shot:
            assert await process.wait() == DONE, (self.home / f"{service}.log").read_text()

    def health(self, service: str) -> Any:
        """The file's own check; where its program is not here, whether the port answers."""
        kind, *words = services()[service]["healthcheck"]["test"]
        assert kind == "CMD"
        words = [self.localised(service, word) for word in words]

        port = re.search(r"\b\d{5}\b", " ".join(words))
        assert (port is None) == (service == "signer"), "only the signer has no port"

        async def healthy() -> bool:
            # Asked first, because a command is dear while nothing can answer it yet.
            if port is not None and not await answers(HERE, int(port[0])):
                return False
            if words[0] == "cast":
                return True
            program = sys.executable if words[0] == "python" else None
            found = program or str(require_program(words[0], "run `make setup`"))
            return await call((found, *words[1:])) == DONE

        return healthy


async def call(argv: tuple[str, ...]) -> int | None:
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*argv, stdout=quiet, stderr=quiet)
    return await process.wait()


async def shell(engine: Engine, *words: str) -> tuple[int | None, str]:
    """`docker compose run --rm shell …`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BRONCO_")}
    process = await asyncio.create_subprocess_exec(
        *engine.argv("shell", list(words)),
        env=clean | engine.environment("shell"),
        cwd=engine.home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


@asynccontextmanager
async def brought_up(engine: Engine, *wanted: str) -> AsyncIterator[Engine]:
    try:
        for service in wanted:
            await engine.start(service)
        yield engine
    finally:
        await stop_all(list(engine.up.values())[::-1])


@pytest.fixture
def engine(tmp_path: Path, database_url: str) -> Engine:
    return Engine(tmp_path, database_url)


async def test_compose__brought_up__turns_a_deposit_into_shares(engine: Engine) -> None:
    everything = [
        name
        for name, service in services().items()
        if "profiles" not in service and name not in LOOK_ON
    ]
    async with brought_up(engine, *everything):
        code, said = await shell(engine, "deposit", "1000", "--wait", "--timeout", "60")
        assert code == 0, said
        assert "AAPL" in said
        code, said = await shell(engine, "orders", "--status", "EXECUTED", "--json")
        assert code == 0, said
        assert said.count('"status": "EXECUTED"') == 1
        code, said = await shell(engine, "check")
        assert code == 0, said


async def test_devchain__again__leaves_the_chain_alone(engine: Engine) -> None:
    async with brought_up(engine, "devchain"):
        code, said = await shell(engine, "devchain")
        assert code == 0, said
        assert "the contracts were there already" in said


async def test_devchain__settings_name_another_vault__fails_and_says_which(engine: Engine) -> None:
    async with brought_up(engine, "anvil"):
        environment = engine.environment("devchain")
        environment["BRONCO_CHAIN_VAULT"] = "0x" + "12" * 20
        process = await asyncio.create_subprocess_exec(
            *engine.argv("devchain", ["devchain"]),
            env=os.environ | environment,
            cwd=engine.home,
            stderr=asyncio.subprocess.PIPE,
        )
        _, error = await process.communicate()
    assert process.returncode == 1
    expected = services()["devchain"]["environment"]["BRONCO_CHAIN_VAULT"]
    assert (
        f"BRONCO_CHAIN_VAULT: is not what was deployed: the chain has {expected}" in error.decode()
    )
