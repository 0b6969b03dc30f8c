"""The real servers keep after kill -9 what their callers rely on."""

import asyncio
from pathlib import Path
from typing import Any

import pymysql
from redis.asyncio import Redis as RedisClient
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from web3 import AsyncWeb3, WebSocketProvider
from web3.types import Wei

from bronco.services import (
    Mariadb,
    Redis,
    TemporalServer,
    start_anvil,
    start_mariadb,
    start_redis,
    start_temporal,
)
from bronco.services.temporal import SEARCH_ATTRIBUTES
from tests.waiting import eventually


async def query(server: Mariadb, *statements: str) -> tuple[tuple[Any, ...], ...]:
    def run() -> tuple[tuple[Any, ...], ...]:
        with pymysql.connect(
            host=server.host, port=server.port, user=server.user, password=server.password,
            database=server.database, autocommit=True,
        ) as connection, connection.cursor() as cursor:  # fmt: skip
            for statement in statements:
                cursor.execute(statement)
            return tuple(cursor.fetchall())

    return await asyncio.to_thread(run)


async def test_mariadb__killed__keeps_what_was_committed(tmp_path: Path) -> None:
    server = await start_mariadb(tmp_path / "mariadb")
    await query(server, "CREATE TABLE t (a INT)", "INSERT INTO t VALUES (7)")
    await server.process.kill()
    await server.process.start()
    assert await query(server, "SELECT a FROM t") == ((7,),)
    await server.process.stop()


async def test_mariadb__started_beside_others__loses_no_temporary_tables(tmp_path: Path) -> None:
    """One that starts removes all temporary tables in its place, whoever they belong to."""
    server = await start_mariadb(tmp_path / "mariadb")
    ((place,),) = await query(server, "SELECT @@tmpdir")
    assert Path(place).is_relative_to(tmp_path)
    await server.process.stop()


async def test_mariadb__handle_shown__hides_its_password(mariadb: Mariadb) -> None:
    assert mariadb.password not in repr(mariadb)
    assert mariadb.password not in " ".join(mariadb.process.program.argv)


async def test_database__two_tests__share_nothing(mariadb: Mariadb, database_url: str) -> None:
    name = database_url.rpartition("/")[2].partition("?")[0]
    assert await query(mariadb, f"SHOW TABLES IN {name}") == ()


async def crashed(server: Redis) -> object:
    """Write, kill, start, read."""
    async with RedisClient.from_url(server.url) as client:
        await client.set("open", "1")
    await server.process.kill()
    await server.process.start()
    async with RedisClient.from_url(server.url) as client:
        return await client.get("open")


async def test_redis__killed_with_appendonly__keeps_its_keys(tmp_path: Path) -> None:
    server = await start_redis(tmp_path / "redis", appendonly=True)
    assert await crashed(server) == b"1"
    await server.process.stop()


async def test_redis__killed_without__forgets(tmp_path: Path) -> None:
    server = await start_redis(tmp_path / "redis")
    assert await crashed(server) is None
    await server.process.stop()


async def test_anvil__killed_while_persisting__keeps_its_blocks(tmp_path: Path) -> None:
    chain = await start_anvil(tmp_path / "anvil", persist=True, chain_id=4242)
    async with AsyncWeb3(WebSocketProvider(chain.ws_url)) as w3:
        sender, receiver = (await w3.eth.accounts)[:2]
        sent = await w3.eth.send_transaction({"from": sender, "to": receiver, "value": Wei(1)})
        before = await w3.eth.get_transaction_receipt(sent)
    saved = tmp_path / "anvil" / "state.json"
    await eventually(lambda: saved.exists() and sent.hex() in saved.read_text())
    await chain.process.kill()
    await chain.process.start()
    async with AsyncWeb3(WebSocketProvider(chain.ws_url)) as w3:
        after = await w3.eth.get_transaction_receipt(sent)
        assert after["blockHash"] == before["blockHash"]
        assert await w3.eth.chain_id == 4242
    await chain.process.stop()


async def test_anvil__block_time_given__mines_on_its_own(tmp_path: Path) -> None:
    chain = await start_anvil(tmp_path / "anvil", block_time=1)
    async with AsyncWeb3(WebSocketProvider(chain.ws_url)) as w3:
        await eventually(lambda: w3.eth.block_number)
    await chain.process.stop()


async def attributes(server: TemporalServer) -> tuple[set[str], int]:
    client = await Client.connect(server.address)
    found = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=server.namespace)
    )
    space = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=server.namespace)
    )
    retention = space.config.workflow_execution_retention_ttl.ToTimedelta()
    return set(found.custom_attributes), round(retention.total_seconds() / 3600)


async def test_temporal__killed_while_persisting__keeps_its_set_up(tmp_path: Path) -> None:
    server = await start_temporal(tmp_path / "temporal", persist=True)
    first = await attributes(server)
    assert set(SEARCH_ATTRIBUTES) <= first[0]
    assert first[1] == 72
    await server.process.kill()
    await server.process.start()
    assert await attributes(server) == first
    await server.process.stop()
