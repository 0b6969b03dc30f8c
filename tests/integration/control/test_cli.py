import json
import time
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from bronco.processes import free_port
from models.control import Permit
from models.requests import Side
from tests.integration.control.rig import ControlRig
from tests.shell import Inline, Shell
from tests.waiting import eventually


@pytest.fixture
def bronco(rig: ControlRig, tmp_path: Path) -> Shell:
    return Inline(tmp_path, rig.settings.environment())


@pytest.fixture
def idle_bronco(idle_rig: ControlRig, tmp_path: Path) -> Shell:
    return Inline(tmp_path, idle_rig.settings.environment())


async def test_pause_and_resume__from_the_shell__close_and_open(
    bronco: Shell, rig: ControlRig
) -> None:
    paused = await bronco("pause", "--reason", "stock split")
    assert paused.code == 0, paused.error
    assert "trading is paused" in paused.out
    assert "stock split" in paused.out
    assert not await rig.may_place()
    (hold,) = (await rig.state()).holds
    assert hold.who == "grace"
    resumed = await bronco("resume", "--json")
    assert resumed.json["confirmed"] is True
    assert resumed.json["result"]["state"]["holds"] == []
    await rig.until_open()


async def test_pause__with_only_the_settings_it_needs__works(
    rig: ControlRig, tmp_path: Path
) -> None:
    names = ("BRONCO_TEMPORAL_ADDRESS", "BRONCO_REDIS_URL")
    environment = rig.settings.environment()
    shell = Shell(tmp_path, {name: environment[name] for name in names})
    assert (await shell("pause", "--symbol", "aapl", "--side", "buy")).code == 0
    assert not await rig.may_place(Side.BUY)
    assert await rig.may_place(Side.SELL)


async def test_pause__placement_in_flight__is_shown(bronco: Shell, rig: ControlRig) -> None:
    permit = await rig.begin()
    assert isinstance(permit, Permit)
    paused = await bronco("pause", "--json")
    assert [flight["remark"] for flight in paused.json["result"]["in_flight"]] == [permit.remark]


async def test_pause__that_cancels__says_how_many_and_is_on_record(
    bronco: Shell, rig: ControlRig
) -> None:
    working, held = await rig.working_order(), await rig.held_order()
    said = await bronco("pause", "--cancel-working", "--reason", "wrong price", "--json")
    assert said.json["result"]["cancelling"] == 1
    assert [await signals(each, "recall") for each in (working, held)] == [1, 0]
    told = [one for one in await rig.store.audit.latest() if one.action == "orders.recalled"]
    assert (told[0].actor, json.loads(told[0].data)["orders"]) == ("grace", 1)
    for each in (working, held):
        await each.terminate()


async def signals(handle: WorkflowHandle[Any, str], name: str) -> int:
    found = [event async for event in handle.fetch_history_events()]
    names = [e.workflow_execution_signaled_event_attributes.signal_name for e in found]
    return names.count(name)


async def test_pause_direct__temporal_is_down__halts_and_says_what_failed(
    bronco: Shell, rig: ControlRig
) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    plain = await bronco("pause", BRONCO_TEMPORAL_ADDRESS=nowhere)
    assert plain.code == 1
    assert "--direct" in plain.error
    assert len(plain.error.splitlines()) == 1
    direct = await bronco("pause", "--direct", "-r", "fire", BRONCO_TEMPORAL_ADDRESS=nowhere)
    assert direct.code == 3
    assert "halted" in direct.out
    assert "Temporal could not be asked" in direct.error
    assert not await rig.may_place()
    resumed = await bronco("resume")
    assert "break-glass halt is still set" in resumed.error
    assert not await rig.may_place()
    assert (await bronco("resume", "--direct")).code == 0
    await rig.until_open()


async def test_resume_direct__no_hold_is_left__wakes_what_the_halt_stopped(
    bronco: Shell, rig: ControlRig
) -> None:
    await rig.flags.halt("fire")
    sleeper = await rig.held_order()
    assert (await bronco("resume", "--direct")).code == 0
    async with rig.sleepers():
        await sleeper.result()


async def test_pause_direct__all_up__halts_and_holds(bronco: Shell, rig: ControlRig) -> None:
    assert (await bronco("pause", "--direct")).code == 0
    assert await rig.flags.halted() is not None

    async def is_held() -> bool:
        return await rig.held() == {"manual"}

    await eventually(is_held)
    assert (await bronco("resume", "--direct", "-r", "fire is out")).code == 0
    await rig.until_open()
    told = [one for one in await rig.store.audit.latest() if one.action.startswith("halt.")]
    assert [(one.action, one.actor) for one in told[:2]] == [
        ("halt.lifted", "grace"),
        ("halt.set", "grace"),
    ]
    assert "fire is out" in told[0].data


async def test_pause_direct__database_is_down__halts_all_the_same(
    bronco: Shell, rig: ControlRig, tmp_path: Path
) -> None:
    nowhere = f"sqlite:///{tmp_path}/no/such/folder.db"
    halted = await bronco("pause", "--direct", BRONCO_DATABASE_URL=nowhere)
    assert halted.code == 0
    assert "not in the audit log" in halted.error
    assert not await rig.may_place()
    assert (await bronco("resume", "--direct")).code == 0
    await rig.until_open()


async def test_pause_direct__api_database_and_temporal_are_down__halts_all_the_same(
    rig: ControlRig, tmp_path: Path
) -> None:
    down = {
        "BRONCO_REDIS_URL": rig.settings.environment()["BRONCO_REDIS_URL"],
        "BRONCO_TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}",
        "BRONCO_DATABASE_URL": f"mysql+pymysql://x:y@127.0.0.1:{free_port()}/bronco",
        "BRONCO_API_PORT": str(free_port()),
    }
    permit = await rig.begin()
    assert isinstance(permit, Permit)
    halted = await Shell(tmp_path, down)("pause", "--direct", "--reason", "fire")
    assert halted.code == 3
    assert permit.remark in halted.out
    assert "Temporal could not be asked" in halted.error
    assert "not in the audit log" in halted.error
    assert not await rig.may_place()
    assert "fire" in str(await rig.flags.halted())
    await rig.flags.unhalt()
    await rig.flags.end_placement(permit.remark)
    await rig.until_open()


async def test_status__held_orders__are_counted(bronco: Shell, rig: ControlRig) -> None:
    await rig.order()
    await bronco("pause", "--reason", "lunch")
    status = await bronco("status", "--json")
    assert status.code == 0
    assert status.json["trading"]["paused"] is True
    assert status.json["orders"]["by_stage"]["HELD"] >= 1
    assert "lunch" in (await bronco("status")).out


async def test_status__no_temporal__shows_the_rest_and_says_so(idle_bronco: Shell) -> None:
    status = await idle_bronco("status", "--json", BRONCO_TEMPORAL_ADDRESS="127.0.0.1:1")
    assert status.code == 3
    assert status.json["trading"] is None
    assert status.json["orders"] is not None
    assert "Temporal could not be asked" in status.json["problems"][0]


async def test_orders_and_order__show_what_is_stored(
    idle_bronco: Shell, idle_rig: ControlRig
) -> None:
    order = await idle_rig.order(amount=2**100)
    page = await idle_bronco("orders", "--stage", "held", "--limit", "1", "--json")
    assert page.json["orders"][0]["usdt_amount"] == str(2**100)
    assert page.json["orders"][0]["internal_id"] == order.internal_id
    listed = await idle_bronco("orders", "--limit", "1")
    assert str(2**100) in listed.out
    shown = await idle_bronco("order", order.request_id)
    assert "Timeline" in shown.out
    assert order.workflow_id in shown.out.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("order", "424242"), 1, "no order 424242"),
        (("orders", "--status", "DONE"), 1, "use one of PENDING"),
        (("orders", "--cursor", "x"), 1, "cursor="),
        (("orders", "--limit", "0"), 2, "--limit"),
        (("pause", "--side", "LONG"), 2, "--side"),
        (("pause", "--direct", "--symbol", "AAPL"), 2, "leave --symbol"),
        (("worker", "--role", "boss"), 2, "use one of"),
        (("nonsense",), 2, "No such command"),
    ],
    ids=str,
)
async def test_command__wrong_use__is_one_clear_error(
    idle_bronco: Shell, arguments: tuple[str, ...], code: int, says: str
) -> None:
    ran = await idle_bronco(*arguments)
    assert ran.code == code
    assert says in ran.error
    assert "Traceback" not in ran.error


async def test_worker__setting_missing__names_it(tmp_path: Path) -> None:
    ran = await Shell(tmp_path, {})("worker")
    assert ran.code == 1
    assert ran.error.startswith("bronco: setting BRONCO_CHAIN_RPC_URLS: is missing")


async def test_check__some_down__names_each_and_fails(idle_bronco: Shell) -> None:
    ran = await idle_bronco("check", "--json")
    assert ran.code == 1
    checks = ran.json["checks"]
    assert all(checks[name]["ok"] for name in ("temporal", "database", "redis"))
    failed = ("chain", "broker (TCP)", "signer", "control workflow")
    assert not any(checks[name]["ok"] for name in failed)
    assert "BRONCO_SIGNER_ADDRESS" in checks["signer"]["detail"]


async def test_migrate__twice__is_harmless(idle_bronco: Shell, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fresh.db'}"
    for _ in range(2):
        ran = await idle_bronco("migrate", BRONCO_DATABASE_URL=url)
        assert ran.code == 0, ran.error
    assert (await idle_bronco("orders", "--json", BRONCO_DATABASE_URL=url)).json["orders"] == []


async def test_settings__printed__is_the_example(idle_bronco: Shell) -> None:
    ran = await idle_bronco("settings")
    assert ran.out == (Path(__file__).parents[3] / ".env.example").read_text()


async def test_help__asked__answers_at_once_and_names_every_command(tmp_path: Path) -> None:
    shell = Shell(tmp_path, {})
    await shell("--help")
    begun = time.monotonic()
    ran = await shell("--help")
    took = time.monotonic() - begun
    for command in (
        "worker",
        "signer",
        "api",
        "opend",
        "pause",
        "resume",
        "status",
        "orders",
        "check",
    ):
        assert command in ran.out
    assert took < 1.5, "a command's module imports something heavy at its top"
    simulator = await shell("opend", "--help")
    assert simulator.code == 0
    assert "--port" in simulator.out
