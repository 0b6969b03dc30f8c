"""What is said to OpenD under its RSA key, and what happens where only one side has it."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from Crypto.PublicKey import RSA

from clients.broker import BrokerClient
from models.errors import ConfigurationError, SourceUnavailable
from simulators.opend.control import SimulatorControl
from tests.integration.broker.desk import (
    Desk,
    client_of,
    raises,
    resting,
    rsa_key,
    settings,
    simulator,
    ticket,
)
from tests.waiting import eventually

SEND_SECONDS = 2.0


@asynccontextmanager
async def desk_with(log_home: Path, theirs: Path | None, ours: Path | None) -> AsyncIterator[Desk]:
    wanted = settings(0, rsa_key=ours, connect_timeout_seconds=1.0)
    async with simulator(rsa_key=theirs) as server:
        wanted = wanted.model_copy(update={"port": server.port})
        async with client_of(wanted, log_home) as client:
            desk = Desk(server, SimulatorControl(server.control_port), client)
            client.on_order(desk.pushes.append)
            yield desk


async def test_key__on_both_sides__placing_reading_cancelling_and_pushes_work(
    tmp_path: Path, log_home: Path
) -> None:
    key = rsa_key(tmp_path / "key.pem")
    async with desk_with(log_home, key, key) as desk:
        await eventually(desk.healthy)
        filled, working = ticket(), resting()
        await desk.client.place(filled, SEND_SECONDS)
        placed = await desk.client.place(working, SEND_SECONDS)
        await eventually(lambda: any(p.remark == filled.remark and p.dead for p in desk.pushes))
        await desk.client.cancel(placed.order_id)
        await eventually(lambda: any(p.remark == working.remark and p.dead for p in desk.pushes))
        assert {order.remark for order in (await desk.client.snapshot()).orders} == {
            filled.remark,
            working.remark,
        }
        assert (await desk.client.funds()).cash > 0
        assert (await desk.client.quote("AAPL")).bid > 0
        assert len(await desk.placed(filled.remark)) == len(await desk.placed(working.remark)) == 1


@pytest.mark.parametrize("sides", ["theirs", "ours", "different"])
async def test_key__not_the_same_on_both_sides__is_said_and_sends_nothing(
    tmp_path: Path, log_home: Path, sides: str
) -> None:
    ours = rsa_key(tmp_path / "ours.pem") if sides != "theirs" else None
    theirs = rsa_key(tmp_path / "theirs.pem") if sides != "ours" else None
    began = time.monotonic()
    async with desk_with(log_home, theirs, ours) as desk:
        assert time.monotonic() - began < 15
        assert not desk.client.healthy

        async def said() -> bool:
            error, took = await raises(SourceUnavailable, desk.client.place(ticket(), 2.0))
            assert took < 1.0
            return "BRONCO_BROKER_RSA_KEY" in str(error)

        await eventually(said)
        for call in ("PlaceOrder", "GetOrderList", "GetAccList"):
            assert (await desk.control.count(call)).received == 0, call


def _pkcs8(path: Path) -> None:
    path.write_bytes(RSA.generate(1024).export_key("PEM", pkcs=8))


def _public(path: Path) -> None:
    path.write_bytes(RSA.generate(1024).public_key().export_key("PEM"))


def _cut_short(path: Path) -> None:
    text = rsa_key(path).read_text()
    path.write_text(text[: len(text) // 2])


def _large(path: Path) -> None:
    rsa_key(path, 2048)


def _open_to_others(path: Path) -> None:
    rsa_key(path).chmod(0o640)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Path.unlink, "cannot be read"),
        (_pkcs8, "PKCS#1"),
        (_public, "PKCS#1"),
        (_cut_short, "cannot be read as a key"),
        (_large, "2048 bits"),
        (_open_to_others, "0640"),
    ],
)
def test_key__unfit__is_named_at_the_start(
    tmp_path: Path, make: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "key.pem"
    path.touch(mode=0o600)
    make(path)
    with pytest.raises(ConfigurationError) as caught:
        BrokerClient(settings(1, rsa_key=path), log_home=tmp_path)
    assert "BRONCO_BROKER_RSA_KEY" in str(caught.value)
    assert says in str(caught.value)
