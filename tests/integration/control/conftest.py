import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from bronco.services import Mariadb, Redis, TemporalServer, start_redis, start_temporal
from bronco.settings import Settings
from clients.store import upgrade
from tests.integration.control.rig import API_KEY_HASH, ControlRig

ADDRESS = "0x" + "1a" * 20
EVENTS_PER_RUN = 150
"""Runs of the control workflow are short here, so that many end while a test goes on."""


@pytest_asyncio.fixture(scope="session")
async def control_temporal(services_home: Path) -> AsyncIterator[TemporalServer]:
    server = await start_temporal(
        services_home / "control-temporal",
        dynamic_config={"limit.historyCount.suggestContinueAsNew": str(EVENTS_PER_RUN)},
    )
    yield server
    await server.process.stop()


@pytest_asyncio.fixture(scope="session")
async def control_redis(services_home: Path) -> AsyncIterator[Redis]:
    """One that these tests may stop and start."""
    server = await start_redis(services_home / "control-redis")
    yield server
    await server.process.stop()


@pytest_asyncio.fixture(scope="session")
async def control_database(mariadb: Mariadb) -> AsyncIterator[str]:
    name = f"bronco_control_{uuid.uuid4().hex}"
    await mariadb.create_database(name)
    await asyncio.to_thread(upgrade, mariadb.url(name))
    yield mariadb.url(name)
    await mariadb.drop_database(name)


@pytest.fixture(scope="session")
def control_settings(
    control_temporal: TemporalServer, control_redis: Redis, control_database: str
) -> Settings:
    return Settings.load(
        {
            "BRONCO_TEMPORAL_ADDRESS": control_temporal.address,
            "BRONCO_REDIS_URL": control_redis.url,
            "BRONCO_DATABASE_URL": control_database,
            "BRONCO_CHAIN_RPC_URLS": "http://127.0.0.1:1",
            "BRONCO_CHAIN_VAULT": ADDRESS,
            "BRONCO_CHAIN_USDT": ADDRESS,
            "BRONCO_CHAIN_ASSETS": f'[{{"symbol":"AAPL","token":"{ADDRESS}","feed":"{ADDRESS}"}}]',
            "BRONCO_API_PORT": "0",
            "BRONCO_API_KEY_HASHES": API_KEY_HASH,
        }
    )


@pytest_asyncio.fixture(scope="session")
async def whole_rig(control_settings: Settings) -> AsyncIterator[ControlRig]:
    client = await Client.connect(
        control_settings.temporal.address, data_converter=pydantic_data_converter
    )
    async with ControlRig.opened(control_settings, client) as rig:
        yield rig


@pytest_asyncio.fixture
async def idle_rig(whole_rig: ControlRig) -> AsyncIterator[ControlRig]:
    """No control workflow, and perhaps a worker."""
    yield whole_rig
    await whole_rig.reset()


@pytest_asyncio.fixture
async def lone_rig(idle_rig: ControlRig) -> ControlRig:
    """No control workflow, and no worker."""
    await idle_rig.stop_worker()
    return idle_rig


@pytest_asyncio.fixture
async def rig(idle_rig: ControlRig) -> ControlRig:
    """Control at work, and trading open."""
    await idle_rig.start_worker()
    await idle_rig.start_control()
    await idle_rig.until_open()
    return idle_rig


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An empty SQLite database, for commands that need nothing else."""
    url = f"sqlite:///{tmp_path}/bronco.db"
    upgrade(url)
    return url
