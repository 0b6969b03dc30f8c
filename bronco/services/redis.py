"""A private Redis."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis as RedisClient
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from bronco.processes import ManagedProcess, Program, Ready, free_port, open_home, require_program

HOST = "127.0.0.1"
REMEDY = "run `make setup`, or install Redis (Debian: apt-get install redis-server)"


@dataclass(frozen=True)
class Redis:
    """A Redis server; its data outlives a crash only when started with `appendonly`."""

    process: ManagedProcess
    port: int
    host: str = HOST

    @property
    def url(self) -> str:
        """The address redis-py takes."""
        return f"redis://{self.host}:{self.port}/0"


async def start_redis(directory: Path, appendonly: bool = False, port: int | None = None) -> Redis:
    """Start Redis; every write is in its log before it is answered when `appendonly`.

    Raises:
        ConfigurationError: it is not installed.
        ProcessFailed: it did not come up.
    """
    server = require_program("redis-server", REMEDY)
    home = open_home(directory)
    port = port or free_port()
    argv = (
        str(server), "--port", str(port), "--bind", HOST, "--dir", str(home), "--save", "",
        "--appendonly", "yes" if appendonly else "no", "--appendfsync", "everysec",
        "--daemonize", "no", "--loglevel", "notice",
    )  # fmt: skip
    program = Program("redis", argv, home / "redis.log", ready=_ready(port))
    redis = Redis(ManagedProcess(program), port)
    await redis.process.start()
    return redis


async def start_embedded_redis(directory: Path, port: int | None = None) -> Redis:
    """Start a Redis written in Python, for machines without one; it forgets everything at its end.

    Raises:
        ProcessFailed: it did not come up.
    """
    home, port = open_home(directory), port or free_port()
    argv = (sys.executable, "-m", "bronco.services.embedded_redis", str(port))
    program = Program("redis", argv, home / "redis.log", ready=_ready(port))
    redis = Redis(ManagedProcess(program), port)
    await redis.process.start()
    return redis


def _ready(port: int) -> Ready:
    async def ready() -> bool:
        client = RedisClient(
            host=HOST, port=port, socket_timeout=1, retry=Retry(NoBackoff(), retries=0)
        )
        try:
            return bool(await client.ping())
        except (RedisError, OSError):  # refused, or still loading its log
            return False
        finally:
            await client.aclose()

    return ready
