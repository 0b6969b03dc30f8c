"""How the client's links come up, notice what is wrong, and come back by themselves."""

import asyncio
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from bronco.processes import free_port
from models.errors import SourceUnavailable
from simulators.opend.control import SimulatorControl
from tests.integration.broker.desk import (
    ACCOUNT,
    Desk,
    client_of,
    open_desk,
    raises,
    rsa_key,
    settings,
    silent_server,
    simulator,
    ticket,
)
from tests.waiting import eventually

PYTHON_STARTS_SECONDS = 30.0


async def test_start__nobody_listens__returns_and_says_so(log_home: Path) -> None:
    port = free_port()
    async with client_of(settings(port, connect_timeout_seconds=0.3), log_home) as client:
        assert not client.healthy
        error, took = await raises(SourceUnavailable, client.place(ticket(), 1.0))
        assert f"127.0.0.1:{port}" in str(error)
        assert took < 0.1
        async with simulator(port=port):
            await eventually(lambda: client.healthy)
            assert (await client.quote("AAPL")).bid > 0


async def test_start__accepts_and_stays_silent__gives_up_and_recovers(log_home: Path) -> None:
    mute = await silent_server()
    port = int(mute.sockets[0].getsockname()[1])
    began = time.monotonic()
    async with client_of(settings(port, connect_timeout_seconds=0.5), log_home) as client:
        assert time.monotonic() - began < 2.0
        assert not client.healthy
        mute.close()
        async with simulator(port=port):
            await eventually(lambda: client.healthy)


@pytest.mark.parametrize("host", ["nowhere.invalid", "255.255.255.255", "::1"])
async def test_start__address_that_wedges_the_vendor__is_a_bounded_failure(
    log_home: Path, host: str
) -> None:
    wrong = settings(11111, host=host, connect_timeout_seconds=0.5)
    began = time.monotonic()
    async with client_of(wrong, log_home) as client:
        assert time.monotonic() - began < 2.0
        await raises(SourceUnavailable, client.orders())


async def test_start__host_name__is_resolved_before_the_vendor_sees_it(log_home: Path) -> None:
    async with (
        simulator() as server,
        client_of(settings(server.port, host="localhost"), log_home) as client,
    ):
        assert client.healthy


async def test_account__left_open__is_the_only_paper_account_for_us_stocks(log_home: Path) -> None:
    async with (
        simulator() as server,
        client_of(settings(server.port, account_id=0), log_home) as client,
    ):
        assert client.account == str(ACCOUNT)


async def test_account__not_offered__keeps_the_link_down_and_lists_what_is(log_home: Path) -> None:
    wrong = settings(0, account_id=77, connect_timeout_seconds=1.0)
    async with simulator() as server:
        wrong = wrong.model_copy(update={"port": server.port})
        async with client_of(wrong, log_home) as client:
            error, _ = await raises(SourceUnavailable, client.positions())
            assert "77" in str(error)
            assert str(ACCOUNT) in str(error)


async def test_outage__calls_fail_at_once__and_everything_comes_back(desk: Desk) -> None:
    before, connected_before = desk.client.connection, desk.client.connected_at
    await desk.control.outage()
    await eventually(desk.down)
    for call in (desk.client.orders(), desk.client.funds(), desk.client.snapshot()):
        _, took = await raises(SourceUnavailable, call)
        assert took < 0.1
    await desk.control.outage(on=False)
    await eventually(desk.healthy)
    assert desk.client.connection > before
    assert desk.client.connected_at > connected_before

    order = ticket()
    await desk.client.place(order, 1.0)
    await eventually(lambda: any(push.remark == order.remark for push in desk.pushes))


@pytest.mark.parametrize("fault", ["silence", "reject"])
async def test_reconnect__log_in_goes_wrong__does_not_wedge(log_home: Path, fault: str) -> None:
    """The vendor's own reconnect stays CONNECTED for ever after this."""
    async with (
        simulator() as server,
        client_of(settings(server.port, connect_timeout_seconds=0.5), log_home) as client,
    ):
        control = SimulatorControl(server.control_port)
        await control.fault(fault, n=3, protocol="InitConnect", message="not now")
        await control.fault("dropped")
        await eventually(lambda: not client.healthy)
        await eventually(lambda: client.healthy)
        assert (await control.fault_hits())[fault] == 3


async def test_reconnect__many_times__leaves_no_thread_and_no_connection_behind(
    desk: Desk,
) -> None:
    def ours() -> int:
        return sum(thread.name.startswith("futu-") for thread in threading.enumerate())

    def newer(number: int) -> bool:
        return desk.client.connection > number

    before = (ours(), threading.active_count(), await desk.control.connections())
    for _ in range(5):
        number = desk.client.connection
        await desk.control.fault("dropped")
        await eventually(partial(newer, number))
        await eventually(desk.healthy)

    async def as_before() -> bool:
        now = (ours(), threading.active_count(), await desk.control.connections())
        return now == before

    await eventually(as_before)


async def test_reconnect__dies_right_after_each_log_in__pauses_longer_each_time(
    desk: Desk,
) -> None:
    before = (await desk.control.count("InitConnect")).received
    await desk.control.fault("answer_then_cut", protocol="GetGlobalState", n=10_000)
    await desk.control.fault("dropped")
    began = time.monotonic()

    async def four_log_ins_a_link() -> bool:
        return (await desk.control.count("InitConnect")).received - before >= 12

    await eventually(four_log_ins_a_link)
    # 0.2 s before the first, 0.4 + 0.8 + 1.6 s between them.
    assert time.monotonic() - began > 2.5
    await desk.control.clear()
    await eventually(desk.healthy)


async def test_frozen__is_noticed_without_anybody_asking__and_ends(desk: Desk) -> None:
    await desk.control.fault("frozen", on=True)
    await eventually(desk.down, timeout=30)
    await desk.control.fault("frozen", on=False)
    await eventually(desk.healthy)


async def test_logged_out__links_go_down__and_come_back(desk: Desk) -> None:
    await desk.control.fault("logged_out", on=True)
    await eventually(lambda: not any(link.up for link in desk.client._links), timeout=30)

    async def says_why() -> bool:
        error, _ = await raises(SourceUnavailable, desk.client.place(ticket(), 1.0))
        return "no link to its trading servers" in str(error)

    await eventually(says_why)
    await desk.control.fault("logged_out", on=False)
    await eventually(desk.healthy)
    await desk.client.place(ticket(), 1.0)


async def test_renew__connection_older_than_the_moment__is_replaced(desk: Desk) -> None:
    moment, before = datetime.now(UTC), desk.client.connection
    await desk.client.renew(moment)
    assert desk.client.connection > before
    assert desk.client.connected_at > moment
    renewed = desk.client.connection
    await desk.client.renew(moment)
    assert desk.client.connection == renewed


async def test_renew__many_in_a_row__never_waits(desk: Desk) -> None:
    for _ in range(6):
        began = time.monotonic()
        await desk.client.renew(datetime.now(UTC))
        assert time.monotonic() - began < 1.0


SCRIPT = """
import asyncio, pathlib, sys
from bronco.trading import BrokerSettings
from clients.broker import BrokerClient

async def main():
    key = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    settings = BrokerSettings(port=int(sys.argv[1]), rsa_key=key)
    client = BrokerClient(settings, log_home=pathlib.Path(sys.argv[2]))
    await client.start()
    print(client.healthy, (await client.quote("AAPL")).last > 0, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("encrypted", [False, True])
async def test_process__ends_without_close__exits_promptly_and_prints_nothing_else(
    tmp_path: Path, encrypted: bool
) -> None:
    options, extra = {}, []
    if encrypted:
        key = rsa_key(tmp_path / "key.pem")
        options, extra = {"rsa_key": key, "accounts": _one_account()}, [str(key)]
    async with simulator(**options) as server:
        command = [sys.executable, "-c", SCRIPT, str(server.port), str(tmp_path), *extra]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=PYTHON_STARTS_SECONDS
        )
    assert done.stdout.splitlines()[-1] == "True True", done.stderr
    assert done.returncode == 0
    assert (tmp_path / ".com.futunn.FutuOpenD" / "Log").is_dir()


def _one_account() -> tuple[object, ...]:
    from simulators.opend.options import AccountOptions
    from simulators.opend.orders import Env, Market

    return (AccountOptions(ACCOUNT, Env.SIMULATE, (Market.US,)),)


async def test_open_desk__closed__leaves_no_connection(log_home: Path) -> None:
    async with open_desk(log_home) as desk:
        await desk.client.close()

        async def none_left() -> bool:
            return await desk.control.connections() == 0

        await eventually(none_left)
        _, took = await raises(SourceUnavailable, desk.client.place(ticket(), 1.0))
        assert took < 0.1
