"""The real servers, one of each for the whole run, and a clean corner of each for every test."""

import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis as RedisClient
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from bronco.services import (
    Anvil,
    Mariadb,
    Redis,
    TemporalServer,
    start_anvil,
    start_mariadb,
    start_redis,
    start_temporal,
)
from bronco.services.embedded_redis import EmbeddedRedis
from tests.skipping import new_environment


@pytest.fixture(scope="session")
def services_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("services")


@pytest_asyncio.fixture(scope="session")
async def mariadb(services_home: Path) -> AsyncIterator[Mariadb]:
    server = await start_mariadb(services_home / "mariadb")
    yield server
    await server.process.stop()


@pytest_asyncio.fixture
async def database_url(mariadb: Mariadb) -> AsyncIterator[str]:
    """An empty MariaDB database of the test's own, as an SQLAlchemy URL."""
    name = f"bronco_{uuid.uuid4().hex}"
    await mariadb.create_database(name)
    yield mariadb.url(name)
    await mariadb.drop_database(name)


@pytest_asyncio.fixture(scope="session")
async def redis_server(services_home: Path) -> AsyncIterator[Redis]:
    server = await start_redis(services_home / "redis")
    yield server
    await server.process.stop()


@pytest_asyncio.fixture
async def redis_url(redis_server: Redis) -> str:
    """An empty Redis."""
    async with RedisClient.from_url(redis_server.url) as client:
        await client.flushall()
    return redis_server.url


@pytest_asyncio.fixture(scope="session")
async def anvil(services_home: Path) -> AsyncIterator[Anvil]:
    chain = await start_anvil(services_home / "anvil")
    yield chain
    await chain.process.stop()


@pytest_asyncio.fixture(scope="session")
async def temporal(services_home: Path) -> AsyncIterator[TemporalServer]:
    server = await start_temporal(services_home / "temporal")
    yield server
    await server.process.stop()


@pytest_asyncio.fixture(scope="session")
async def temporal_client(temporal: TemporalServer) -> Client:
    return await Client.connect(temporal.address, data_converter=pydantic_data_converter)


@pytest_asyncio.fixture(scope="session")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal server whose clock jumps over every wait."""
    async with await new_environment() as environment:
        yield environment


@contextmanager
def embedded_redis() -> Iterator[str]:
    """One within this process, as a URL."""
    server = EmbeddedRedis()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
