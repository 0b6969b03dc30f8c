"""Where a secret could end up after a run: logs, data, history, database, metrics, processes."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import sqlalchemy

from bronco.devchain import SETTLER, dev_key
from bronco.processes import ManagedProcess
from bronco.stack import Stack
from models.order import OrderStatus
from tests.e2e.desk import Desk

OWN_FILES = frozenset({"key.json", "password", "token"})
MOST_BYTES = 256 * 1024 * 1024


def secrets_of(stack: Stack) -> dict[str, str]:
    """The settler's key, the password of its keystore, and the workers' token."""
    home = stack.options.directory / "signer"
    files = {name: (home / name).read_text().strip() for name in ("password", "token")}
    return {"key": dev_key(SETTLER)[2:], **files}


def forms(secret: str) -> Iterator[bytes]:
    """Each way in which it could be written down."""
    yield secret.encode()
    yield secret.upper().encode()
    yield base64.b64encode(secret.encode()).rstrip(b"=")[:-1]
    if len(secret) == 64:
        yield bytes.fromhex(secret)
        yield base64.b64encode(bytes.fromhex(secret)).rstrip(b"=")[:-1]
        yield str(int(secret, 16)).encode()


async def histories(desk: Desk) -> bytes:
    """Every workflow's whole history, payloads as they are."""
    found = bytearray()
    async for run in desk.client.list_workflows():
        handle = desk.client.get_workflow_handle(run.id, run_id=run.run_id)
        async for event in handle.fetch_history_events():
            found += event.SerializeToString()
    return bytes(found)


def dump(url: str) -> bytes:
    """Every row of every table."""
    engine = sqlalchemy.create_engine(url)
    tables = sqlalchemy.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        rows = [
            repr(tuple(row))
            for table in tables.sorted_tables
            for row in connection.execute(sqlalchemy.select(table))
        ]
    engine.dispose()
    return "\n".join(rows).encode()


async def metrics(stack: Stack) -> bytes:
    """/metrics of the API, of each worker and of the signer."""
    urls = [f"{stack.api_url}/metrics"]
    for name, process in stack.processes.items():
        port = process.program.env.get("BRONCO_METRICS_PORT", "0")
        if name != "api":
            urls.append(f"http://127.0.0.1:{port}/metrics")
    async with httpx.AsyncClient(headers={"X-API-Key": stack.api_key}) as http:
        answers = [await http.get(url) for url in urls]
    assert [answer.status_code for answer in answers] == [200] * len(urls)
    return "\n".join(answer.text for answer in answers).encode()


def processes(stack: Stack) -> Iterator[ManagedProcess]:
    yield from stack.processes.values()
    yield from (stack.opend, stack.redis.process, stack.temporal.process, stack.anvil.process)
    if stack.database is not None:
        yield stack.database


def given_to(process: ManagedProcess) -> bytes:
    """Arguments and environment, of the program itself and of all it started."""
    root = psutil.Process(process.pid)
    words: list[str] = [*(f"{k}={v}" for k, v in process.program.env.items())]
    for one in (root, *root.children(recursive=True)):
        words += one.cmdline()
        try:
            words += [f"{name}={value}" for name, value in one.environ().items()]
        except psutil.AccessDenied:
            # Nobody but root may look into the signer at all.
            assert process.name == "signer"
    return "\0".join(words).encode()


def files(directory: Path) -> Iterator[tuple[str, bytes]]:
    """Logs and data of everything, but for the three files that are the secrets."""
    for path in sorted(directory.rglob("*")):
        own = path.parent.name == "signer" and path.name in OWN_FILES
        if path.is_file() and not own and path.stat().st_size < MOST_BYTES:
            yield str(path.relative_to(directory)), path.read_bytes()


async def test_secrets__after_a_run__are_nowhere(desk: Desk) -> None:
    made = [await desk.deposit(), await desk.redeem()]
    await desk.all_end(made, OrderStatus.EXECUTED)
    stack = desk.stack
    rows = await desk.rows(made)
    history, rest = await histories(desk), await asyncio.to_thread(dump, stack.database_url)
    places = dict(files(stack.options.directory))
    places |= {"history": history, "database": rest, "metrics": await metrics(stack)}
    places |= {f"process {one.name}": given_to(one) for one in processes(stack)}

    # What is known to be there is found there: the search looks where it says.
    for row in rows:
        tx_hash = row.settle_tx_hash.encode()
        for place in ("history", "database", "signer.log"):
            assert tx_hash in places[place], place
    assert b"bronco_signatures_total" in places["metrics"]
    assert b"BRONCO_KEY_KEYSTORE_FILE" in places["process signer"]
    found = [
        f"{name} in {place}"
        for name, secret in secrets_of(stack).items()
        for form in forms(secret)
        for place, content in places.items()
        if form in content
    ]
    assert found == []


async def test_key__of_the_settler__is_told_to_the_signer_alone(desk: Desk) -> None:
    for process in processes(desk.stack):
        told = [name for name in process.program.env if name.startswith("BRONCO_KEY_")]
        assert bool(told) == (process.name == "signer"), process.name
