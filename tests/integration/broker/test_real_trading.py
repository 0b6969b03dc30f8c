"""Real money is traded only where every piece says so, and the password shows up nowhere."""

import asyncio
import hashlib
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bronco.trading import BrokerSettings, TradingEnvironment
from clients.broker import BrokerClient
from models.errors import ConfigurationError, SourceUnavailable
from simulators.opend.control import SimulatorControl
from tests.integration.broker.desk import (
    REAL_ACCOUNT,
    client_of,
    raises,
    real_settings,
    settings,
    simulator,
    ticket,
)
from tests.waiting import eventually

SEND_SECONDS = 2.0
PASSWORD = "a-trading-password-of-some-length"
DIGEST = hashlib.md5(PASSWORD.encode(), usedforsecurity=False).hexdigest()
PYTHON_STARTS_SECONDS = 60.0


async def says(client: BrokerClient, words: str) -> bool:
    """Whether a placement is refused with these words."""
    error, _ = await raises(SourceUnavailable, client.place(ticket(), SEND_SECONDS))
    return words in str(error)


def _missing(name: str) -> Any:
    return lambda real: real.model_copy(update={name: type(real).model_fields[name].default})


def _other_password(real: BrokerSettings) -> BrokerSettings:
    assert real.unlock_password_file is not None
    real.unlock_password_file.write_text("of another file\n")
    return real


def _changed(real: BrokerSettings) -> BrokerSettings:
    assert real.unlock_file is not None
    text = real.unlock_file.read_text()
    real.unlock_file.write_text(text.replace("broker-unlock", "broker-relock"))
    return real


def _open_to_others(real: BrokerSettings) -> BrokerSettings:
    assert real.unlock_file is not None
    real.unlock_file.chmod(0o644)
    return real


@pytest.mark.parametrize(
    ("without", "named"),
    [
        (_missing("account_id"), "BRONCO_BROKER_ACCOUNT_ID"),
        (_missing("real_trading"), "BRONCO_BROKER_REAL_TRADING"),
        (
            lambda real: real.model_copy(update={"real_trading": "yes-1002"}),
            "BRONCO_BROKER_REAL_TRADING",
        ),
        (
            lambda real: real.model_copy(update={"real_trading": "yes"}),
            "BRONCO_BROKER_REAL_TRADING",
        ),
        (_missing("unlock_file"), "BRONCO_BROKER_UNLOCK_FILE"),
        (_missing("unlock_password_file"), "BRONCO_BROKER_UNLOCK_PASSWORD_FILE"),
        (_other_password, "BRONCO_BROKER_UNLOCK_FILE"),
        (_changed, "BRONCO_BROKER_UNLOCK_FILE"),
        (_open_to_others, "BRONCO_BROKER_UNLOCK_FILE"),
    ],
)
async def test_real__a_piece_is_missing__is_named_and_opens_nothing(
    tmp_path: Path, without: Any, named: str
) -> None:
    async with simulator() as server:
        incomplete = without(real_settings(server.port, tmp_path))
        with pytest.raises(ConfigurationError) as caught:
            async with client_of(incomplete, tmp_path):
                pass
        assert named in str(caught.value)
        control = SimulatorControl(server.control_port)
        assert (await control.count("InitConnect")).received == 0


async def test_real__complete__trades_on_the_named_account_alone(
    tmp_path: Path, log_home: Path
) -> None:
    async with (
        simulator() as server,
        client_of(real_settings(server.port, tmp_path), log_home) as client,
    ):
        await eventually(lambda: client.healthy)
        assert client.account == str(REAL_ACCOUNT)
        order = ticket()
        await client.place(order, SEND_SECONDS)
        (placed,) = await SimulatorControl(server.control_port).orders()
        assert (placed.remark, placed.account) == (order.remark, REAL_ACCOUNT)


async def test_simulate__with_all_that_real_takes__unlocks_nothing_and_stays_paper(
    tmp_path: Path, log_home: Path
) -> None:
    async with simulator() as server:
        paper = real_settings(
            server.port,
            tmp_path,
            environment=TradingEnvironment.SIMULATE,
            connect_timeout_seconds=1.0,
        )
        async with client_of(paper, log_home) as client:
            await eventually(partial(says, client, "SIMULATE accounts offered: 1002"))
        control = SimulatorControl(server.control_port)
        assert (await control.count("UnlockTrade")).received == 0
        assert await control.orders() == []


async def test_real__wrong_password__is_asked_once_in_all_and_is_the_reason(
    tmp_path: Path, log_home: Path
) -> None:
    """Trying for ever would lock the account."""
    async with simulator() as server:
        control = SimulatorControl(server.control_port)
        wrong = real_settings(server.port, tmp_path, "guess", connect_timeout_seconds=1.5)
        async with client_of(wrong, log_home) as client:
            await eventually(partial(says, client, "BRONCO_BROKER_UNLOCK_FILE"))
            assert not client.healthy
            await eventually(lambda: client._control.gave_up and client._place.gave_up)
            error, _ = await raises(SourceUnavailable, client.orders())
            assert "BRONCO_BROKER_UNLOCK_FILE" in str(error)
            assert "guess" not in str(error)
        assert (await control.count("UnlockTrade")).received == 1
        assert await control.orders() == []


async def test_real__only_reads__needs_no_password_and_cannot_place(
    tmp_path: Path, log_home: Path
) -> None:
    async with simulator() as server:
        reading = real_settings(server.port, tmp_path, unlock_file=None, unlock_password_file=None)
        client = BrokerClient(reading, log_home=log_home, reads_only=True)
        await client.start()
        try:
            await eventually(lambda: client.healthy)
            assert await client.positions() == ()
            await raises(SourceUnavailable, client.place(ticket(), SEND_SECONDS))
        finally:
            await client.close()
        control = SimulatorControl(server.control_port)
        assert (await control.count("UnlockTrade")).received == 0
        assert await control.orders() == []


SCRIPT = """
import asyncio, pathlib, sys
from prometheus_client import generate_latest
from bronco import logs, metrics
from bronco.sections import LogLevel, LogSettings
from bronco.settings import load_section
from bronco.trading import BrokerSettings
from clients.broker import BrokerClient
from models.errors import BroncoError

async def main():
    logs.configure(LogSettings(level=LogLevel.DEBUG))
    settings = load_section(BrokerSettings)
    client = BrokerClient(settings, log_home=pathlib.Path(sys.argv[1]))
    print(repr(settings), settings.model_dump_json(), repr(client.__dict__), flush=True)
    await client.start()
    said = ""
    while not client.healthy and "UNLOCK_FILE" not in said:
        await asyncio.sleep(0.1)
        try:
            await client.positions()
        except BroncoError as error:
            said = f"{error!r} {error}"
    print(said)
    print(generate_latest(metrics.REGISTRY).decode())
    print("up" if client.healthy else "down", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


@pytest.mark.parametrize("right", [True, False])
async def test_password__of_a_running_process__is_in_no_log_argument_variable_or_metric(
    tmp_path: Path, right: bool
) -> None:
    async with simulator(unlock_password=PASSWORD if right else "another one") as server:
        real = real_settings(server.port, tmp_path, PASSWORD, connect_timeout_seconds=1.5)
        variables = {
            f"BRONCO_BROKER_{name.upper()}": str(getattr(real, name))
            for name in real.model_fields_set
        }
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", SCRIPT, str(tmp_path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **variables},
        )
        assert child.stdin is not None
        assert child.stdout is not None
        said = ""
        async with asyncio.timeout(PYTHON_STARTS_SECONDS):
            while said.rpartition("\n")[0].rpartition("\n")[2] not in ("up", "down"):
                read = await child.stdout.read(65_536)
                assert read, said
                said += read.decode()
        assert said.split()[-1] == ("up" if right else "down")
        said += _shown_by_the_system(child.pid)
        child.stdin.close()
        await child.wait()
        said += _written_below(tmp_path)
        for secret in (PASSWORD, DIGEST, DIGEST.upper()):
            assert secret not in said


def _shown_by_the_system(pid: int) -> str:
    shown = [Path(f"/proc/{pid}/{name}") for name in ("cmdline", "environ")]
    return "".join(path.read_text() for path in shown if path.exists())


def _written_below(folder: Path) -> str:
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert any("FutuOpenD" in str(path) for path in written)
    return "".join(path.read_text(errors="replace") for path in written)


async def test_paper__default__is_what_no_setting_means(log_home: Path) -> None:
    async with simulator() as server, client_of(settings(server.port), log_home) as client:
        await eventually(lambda: client.healthy)
        await client.place(ticket(), SEND_SECONDS)
        control = SimulatorControl(server.control_port)
        assert (await control.count("UnlockTrade")).received == 0
        assert {order.account for order in await control.orders()} == {1002}
