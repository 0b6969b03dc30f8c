"""The simulator as its own process: ports, signals, death, memory, encryption."""

import asyncio
import os
import re
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from Crypto.PublicKey import RSA

from bronco.processes import free_port
from simulators.opend.arguments import PROGRAM
from simulators.opend.control import SimulatorControl
from tests.integration.opend.raw import RawClient, raw_client
from tests.waiting import eventually

COMMAND = (sys.executable, "-m", "simulators.opend.main", "--quiet")
# What a developer's own program does, the key file being a setting of its whole process.
ENCRYPTED_CLIENT = """
import sys, futu
futu.SysConfig.set_all_thread_daemon(True)
futu.SysConfig.set_init_rsa_file(sys.argv[2])
context = futu.OpenSecTradeContext("US", "127.0.0.1", int(sys.argv[1]), is_encrypt=True)
code, order = context.place_order(
    195, 10, "US.AAPL", "BUY", trd_env="SIMULATE", acc_id=1002, remark="b1:secret:1"
)
assert code == 0, order
print("placed", order["order_id"][0])
"""


@dataclass
class Simulator:
    process: asyncio.subprocess.Process
    port: int
    control: SimulatorControl

    async def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 5)


@asynccontextmanager
async def process(*options: str) -> AsyncIterator[Simulator]:
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(*COMMAND, *options, stdout=pipe)
    try:
        assert running.stdout is not None
        line = (await asyncio.wait_for(running.stdout.readline(), 20)).decode()
        ports = re.fullmatch(r"ready port=(\d+) control=(\d+)\n", line)
        assert ports, line
        yield Simulator(running, int(ports[1]), SimulatorControl(int(ports[2])))
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal__clients_connected__clean_exit(number: int) -> None:
    async with process("--port", "0") as simulator, raw_client(simulator.port):
        assert await simulator.control.connections() == 1
        assert await simulator.stop(number) == 0


async def complaint_of(*options: str) -> str:
    """What a simulator that must not start says."""
    second = await asyncio.create_subprocess_exec(
        *COMMAND, *options, stderr=asyncio.subprocess.PIPE
    )
    _, complaint = await asyncio.wait_for(second.communicate(), 20)
    assert second.returncode == 2
    return complaint.decode()


async def test_start__port_taken__one_sentence_and_code_2(tmp_path: Path) -> None:
    async with process("--port", "0") as simulator:
        taken = str(simulator.port)
        told = await complaint_of("--port", taken)
        assert told == (
            f"opend: Port {taken} of 127.0.0.1 is taken, perhaps by another OpenD: "
            "stop that, or choose another --port (0 takes any free one).\n"
        )
        told = await complaint_of("--port", "0", "--control-port", taken)
        assert "choose another --control-port" in told


async def test_start__key_of_another_kind__one_sentence_and_code_2(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(RSA.generate(2048).export_key("PEM", pkcs=1))
    told = await complaint_of("--port", "0", "--rsa-key", str(tmp_path / "key.pem"))
    assert "must be a private one of 1024 bits" in told
    assert told.count("\n") == 1


async def test_help__its_program__trades_against_the_simulator(tmp_path: Path) -> None:
    async with process("--port", "0") as simulator:
        program = textwrap.dedent(PROGRAM).replace("11111", str(simulator.port))
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program),
            env={**os.environ, "HOME": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await asyncio.wait_for(client.communicate(), 60)
        (order,) = await simulator.control.orders()
        assert (client.returncode, order.remark, order.quantity) == (0, "first", 10)
        assert re.search(r"US\.AAPL +10\.0 +\w+ +first", printed.decode())


async def flood(client: RawClient, acknowledged: list[str]) -> None:
    for serial in range(1, 100_000):
        answer = await client.ask("PlaceOrder", client.order(serial, remark=f"b1:{serial}:1"))
        acknowledged.append(answer.s2c.orderIDEx)


async def test_kill_9__orders_in_full_flow__none_acknowledged_is_forgotten(
    tmp_path: Path,
) -> None:
    options = ("--port", "0", "--no-limits", "--state", str(tmp_path / "state.db"))
    acknowledged: list[str] = []
    async with process(*options) as first, raw_client(first.port) as client:
        flooding = asyncio.create_task(flood(client, acknowledged))
        await eventually(lambda: len(acknowledged) > 200)
        assert await first.stop(signal.SIGKILL) == -signal.SIGKILL
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await flooding
    async with process(*options) as second:
        orders = await second.control.orders()
        # The last one may have been executed without its answer getting out.
        assert [order.id for order in orders][: len(acknowledged)] == acknowledged
        assert len(orders) - len(acknowledged) in (0, 1)
        account = await second.control.account()
        assert account.hold == 1000 * len(orders)


async def test_kill_9__restarted_on_its_port__working_order_goes_on(tmp_path: Path) -> None:
    options = ["--state", str(tmp_path / "state.db"), "--price-interval", "0"]
    # Outside the range that outgoing connections take theirs from, so that they are free again.
    options += ["--port", str(free_port()), "--control-port", str(free_port())]
    async with process(*options) as first, raw_client(first.port) as client:
        placed = await client.ask("PlaceOrder", client.order(1, remark="b1:x:1"))
        await first.stop(signal.SIGKILL)
    async with process(*options) as second:
        await second.control.set_price("AAPL", Decimal(99))
        (order,) = await eventually(lambda: filled(second.control))
        assert (order, second.port) == (placed.s2c.orderIDEx, first.port)
        account = await second.control.account()
        assert account.cash == 1_000_000 - 10 * Decimal("99.01")


async def test_restart__after_the_close__its_orders_are_those_of_yesterday(tmp_path: Path) -> None:
    options = ("--port", "0", "--state", str(tmp_path / "state.db"), "--session", "calendar")
    async with (
        process(*options, "--clock", "2026-11-24T12:00") as first,
        raw_client(first.port) as client,
    ):
        placed = await client.ask("PlaceOrder", client.order(1))
        await eventually(lambda: has_status(first.control, "SUBMITTED"))
        await first.stop(signal.SIGKILL)
    async with process(*options, "--clock", "2026-11-25T08:00") as second:
        (order,) = await second.control.orders()
        assert (order.id, order.status) == (placed.s2c.orderIDEx, "CANCELLED_ALL")


async def has_status(control: SimulatorControl, status: str) -> bool:
    return [order.status for order in await control.orders()] == [status]


async def filled(control: SimulatorControl) -> list[str]:
    return [order.id for order in await control.orders() if order.status == "FILLED_ALL"]


async def test_encryption__client_with_the_key__places_over_rsa_and_aes(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(RSA.generate(1024).export_key("PEM", pkcs=1))
    async with process("--port", "0", "--rsa-key", str(key)) as simulator:
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ENCRYPTED_CLIENT, str(simulator.port), str(key)),
            env={**os.environ, "HOME": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await asyncio.wait_for(client.communicate(), 30)
        (order,) = await simulator.control.orders()
        assert f"placed {order.id}" in printed.decode()
        assert (client.returncode, order.remark) == (0, "b1:secret:1")
        assert await plain_is_refused(simulator.port)


async def plain_is_refused(port: int) -> bool:
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        async with raw_client(port):
            pass
    return True
