import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from activities.control import DRAIN_SECONDS
from activities.head_stall import STALL_HOLD
from api.switch import TradingSwitch
from bronco.processes import require_program
from bronco.services import Redis
from clients.flags import Flags
from clients.gateway import WorkflowGateway
from models.control import ControlState, HoldCommand, HoldKind, Permit, Refusal
from models.errors import SourceUnavailable
from models.records import ClaimState
from models.requests import CONTROL_WORKFLOW_ID, Side
from tests.contracts.builders import PLENTY, claim_draft, new_request_id
from tests.integration.control.rig import ControlRig
from tests.waiting import eventually
from workers.runner import sandbox
from workflows.control import TradingControlWorkflow

_RUNS = f"WorkflowId = '{CONTROL_WORKFLOW_ID}'"
PAUSE = HoldCommand(reason="maintenance", who="ada")
BUYS = HoldCommand(reason="float is low", who="ada", side=Side.BUY)


async def stays_closed(rig: ControlRig, seconds: float) -> bool:
    """Nothing may be placed, asked without a break for as long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if await rig.may_place():
            return False
    return True


async def test_pause__returned__no_placement_begins(rig: ControlRig) -> None:
    answer = await rig.switch.pause(PAUSE)
    assert answer.confirmed
    assert isinstance(await rig.begin(), Refusal)
    assert answer.result is not None
    assert answer.result.state.paused
    # Two lease times: a renewal that was under way when the pause came would show by then.
    assert await stays_closed(rig, 4.0)


async def test_pause__placement_in_flight__is_named_after_a_moment(rig: ControlRig) -> None:
    permit = await rig.begin()
    assert isinstance(permit, Permit)
    begun = time.monotonic()
    answer = await rig.switch.pause(PAUSE)
    took = time.monotonic() - begun
    assert answer.result is not None
    assert [flight.remark for flight in answer.result.in_flight] == [permit.remark]
    assert DRAIN_SECONDS <= took < 2.0


async def test_pause__placement_ends_meanwhile__is_not_named(rig: ControlRig) -> None:
    permit = await rig.begin()
    assert isinstance(permit, Permit)
    pausing = asyncio.create_task(rig.switch.pause(PAUSE))

    async def is_refused() -> bool:
        return not await rig.may_place()

    await eventually(is_refused)
    assert not pausing.done()
    await rig.flags.end_placement(permit.remark)
    answer = await pausing
    assert answer.result is not None
    assert answer.result.in_flight == ()


async def test_pause__one_side__holds_that_side_only(rig: ControlRig) -> None:
    await rig.switch.pause(BUYS)
    assert not await rig.may_place(Side.BUY)
    assert await rig.may_place(Side.SELL)
    await rig.switch.resume(HoldCommand())
    assert not await rig.may_place(Side.BUY), "another scope's hold was lifted"
    await rig.switch.resume(BUYS)
    assert await rig.may_place(Side.BUY)


async def test_hold__of_a_stalled_chain__comes_and_goes_and_leaves_the_manual_one(
    rig: ControlRig,
) -> None:
    gateway = WorkflowGateway(rig.client, "settlement-of-nobody")
    await rig.switch.pause(PAUSE)
    hold = HoldCommand(key=STALL_HOLD, kind=HoldKind.BREAKER, reason="no block", who="watch")
    assert await gateway.set_hold(hold)
    await eventually(lambda: gateway.is_held(STALL_HOLD))
    await rig.switch.resume(HoldCommand())
    assert not await rig.may_place(), "a person lifted what only the chain's next block lifts"
    await rig.switch.pause(PAUSE)
    assert await gateway.lift_hold(hold)
    assert not await gateway.is_held(STALL_HOLD)
    assert await rig.held() == {PAUSE.key}
    await rig.switch.resume(HoldCommand())
    await rig.until_open()


async def test_resume__held_orders__are_woken_oldest_first(rig: ControlRig) -> None:
    await rig.switch.pause(PAUSE)
    async with rig.sleepers():
        handles = [await rig.held_order(n) for n in range(1, 46)]
        answer = await rig.switch.resume(HoldCommand(who="ada"))
        woken = [await handle.result() for handle in handles]
    assert answer.result is not None
    assert answer.result.woken >= len(handles)
    # Pages of twenty: the first of one page is not woken before the page before it.
    assert woken[0] <= woken[20] <= woken[40]
    await eventually(rig.may_place)


async def test_resume__before_the_first_wake__brings_the_lease_back(lone_rig: ControlRig) -> None:
    """Nobody keeps the lease here, so it is the waking that brings it back, or nobody."""
    async with lone_rig.worker(), lone_rig.sleepers():
        await lone_rig.start_control()
        await lone_rig.switch.pause(PAUSE)
        handle = await lone_rig.held_order()
        # Looked for all the while: a lease that nobody keeps is gone again after two seconds.
        seen = asyncio.create_task(eventually(lone_rig.may_place))
        await lone_rig.switch.resume(HoldCommand())
        await handle.result()
        await seen


async def test_pause__update_not_answered__is_signalled_and_read_back(rig: ControlRig) -> None:
    hurried = TradingSwitch(rig.client, rig.flags, answer_seconds=0.001)
    permit = await rig.begin()
    assert isinstance(permit, Permit)
    begun = time.monotonic()
    answer = await hurried.pause(PAUSE)
    took = time.monotonic() - begun
    assert answer.confirmed
    assert answer.result is not None
    assert "sent as a signal" in answer.result.note
    assert [flight.remark for flight in answer.result.in_flight] == [permit.remark]
    assert took >= 2.0, "a lease renewed just before may still have been there"
    assert not await rig.may_place()
    resumed = await hurried.resume(HoldCommand())
    assert resumed.confirmed, resumed.note
    await rig.until_open()


async def test_pause__while_control_begins_anew__is_answered_all_the_same(rig: ControlRig) -> None:
    """Told in the moment in which a run ends, an update is the next run's."""
    first = (await rig.control.describe()).run_id
    answers = []
    for _ in range(40):
        answers.append(await rig.switch.pause(PAUSE))
        answers.append(await rig.switch.resume(HoldCommand()))
    runs = [run async for run in rig.client.list_workflows(_RUNS)]
    assert (await rig.control.describe()).run_id != first
    assert len(runs) > 3
    assert {(answer.confirmed, answer.result and answer.result.note) for answer in answers} == {
        (True, "")
    }


async def test_pause__redis_is_down__returns_and_says_so(
    rig: ControlRig, control_redis: Redis
) -> None:
    await control_redis.process.kill()
    begun = time.monotonic()
    answer = await rig.switch.pause(PAUSE)
    took = time.monotonic() - begun
    assert answer.result is not None
    assert answer.result.state.paused
    assert "Redis could not be asked" in answer.result.note
    assert 2.0 <= took < 6.0
    with pytest.raises(SourceUnavailable):
        await rig.begin()
    await control_redis.process.start()
    assert await stays_closed(rig, 3.0)
    await rig.switch.resume(HoldCommand())
    await rig.until_open()


async def test_pause__redis_is_restarted_meanwhile__is_known_as_soon_as_it_is_back(
    rig: ControlRig, control_redis: Redis
) -> None:
    await control_redis.process.kill()
    pausing = asyncio.create_task(rig.switch.pause(PAUSE))

    async def counts() -> bool:
        return bool((await rig.state()).paused)

    await eventually(counts)
    await control_redis.process.start()
    answer = await pausing
    assert answer.result is not None
    assert (answer.result.note, answer.result.in_flight) == ("", ())
    refused = await rig.begin()
    assert isinstance(refused, Refusal)
    assert [hold.who for hold in refused.holds] == ["ada"]
    await rig.switch.resume(HoldCommand())
    await rig.until_open()


async def test_pause__redis_forgot_what_is_in_flight__names_it_by_its_claim(
    rig: ControlRig, control_redis: Redis
) -> None:
    draft, now = claim_draft(new_request_id()), datetime.now(UTC)
    claim = replace(draft, send_by=now + timedelta(seconds=20))
    assert isinstance(
        await rig.flags.begin_placement(claim.remark, claim.side, claim.symbol, 20), Permit
    )
    await rig.store.placements.claim(claim, PLENTY, now)
    await control_redis.process.kill()
    await control_redis.process.start()
    assert not await rig.flags.is_in_flight(claim.remark)
    answer = await rig.switch.pause(PAUSE)
    await rig.store.placements.mark(claim.request_id, 1, ClaimState.VOID, now=now)
    assert answer.result is not None
    assert [flight.remark for flight in answer.result.in_flight] == [claim.remark]


async def test_lease__redis_was_down__comes_back_and_wakes_who_was_turned_away(
    rig: ControlRig, control_redis: Redis
) -> None:
    async with rig.sleepers():
        handle = await rig.held_order()
        await control_redis.process.kill()
        await asyncio.wait([asyncio.create_task(_until_down(rig.flags))], timeout=5)
        gap = asyncio.get_running_loop().time() + 2.1
        await eventually(lambda: asyncio.get_running_loop().time() > gap)
        await control_redis.process.start()
        assert await asyncio.wait_for(handle.result(), 10)
    await eventually(rig.may_place)


async def _until_down(flags: Flags) -> None:
    while True:
        try:
            await flags.ping()
        except SourceUnavailable:
            return


async def test_lease__two_keepers__close_at_once_all_the_same(rig: ControlRig) -> None:
    second = asyncio.create_task(_keep_lease_beside(rig))
    await rig.switch.pause(PAUSE)
    assert await stays_closed(rig, 2.5)
    second.cancel()


async def _keep_lease_beside(rig: ControlRig) -> None:
    """What an attempt that lost its heartbeat would still do."""
    while True:
        asked = await rig.flags.moment()
        state = await rig.state()
        if not state.paused:
            await rig.flags.renew_lease(state, 2.0, asked=asked)


async def test_lease__no_worker__ends_by_itself(rig: ControlRig) -> None:
    await rig.stop_worker()

    async def is_closed() -> bool:
        return not await rig.may_place()

    await eventually(is_closed, timeout=10)


async def test_lease__control_terminated__ends_though_it_would_still_answer(
    rig: ControlRig,
) -> None:
    await rig.control.terminate()

    async def is_closed() -> bool:
        return not await rig.may_place()

    await eventually(is_closed, timeout=10)
    assert await stays_closed(rig, 1.0)
    with pytest.raises(SourceUnavailable, match="is not running"):
        await rig.switch.state()


async def test_update__same_id_again__counts_once(rig: ControlRig) -> None:
    first = await rig.switch.pause(PAUSE, "key-1")
    await rig.switch.resume(HoldCommand(), "key-2")
    again = await rig.switch.pause(PAUSE, "key-1")
    assert again == first
    assert not (await rig.state()).paused


async def test_changes__each__has_its_audit_and_hold_rows(rig: ControlRig) -> None:
    before = {entry.event_key for entry in await rig.store.audit.latest(500)}
    await rig.switch.pause(PAUSE)
    await rig.switch.resume(HoldCommand(reason="done", who="bob"))

    async def recorded() -> list[Any]:
        latest = await rig.store.audit.latest(500)
        changes = (entry for entry in latest if entry.event_key.startswith("control:"))
        new = [entry for entry in changes if entry.event_key not in before]
        return new if len(new) == 2 else []

    lifted, set_ = await eventually(recorded)
    assert (set_.action, set_.actor) == ("hold_set", "ada")
    assert (lifted.action, lifted.actor) == ("hold_lifted", "bob")
    assert json.loads(set_.data)["hold"]["reason"] == "maintenance"

    async def row_is_lifted() -> bool:
        (row, *_) = await rig.store.holds.history(limit=1)
        return row.lifted_at is not None and row.who == "ada"

    await eventually(row_is_lifted)


async def test_holds__history_lost__are_read_from_the_store(rig: ControlRig) -> None:
    await rig.switch.pause(PAUSE)
    before = (await rig.state()).version

    async def is_recorded() -> bool:
        return bool(await rig.store.holds.active())

    await eventually(is_recorded)
    await rig.control.terminate("somebody pressed the wrong button")
    await rig.start_control()

    async def has_the_hold() -> bool:
        return await rig.held() == {"manual"}

    await eventually(has_the_hold)
    assert (await rig.state()).version > before
    assert not await rig.may_place()
    await rig.switch.resume(HoldCommand())
    await rig.until_open()


async def test_holds__record_is_newer_than_its_rows__the_next_change_is_still_recorded(
    idle_rig: ControlRig,
) -> None:
    """Changes that end where they began leave no row, but the version they were recorded with."""
    newest = await idle_rig.store.holds.newest_version()
    state = ControlState(paused=False, version=newest + 300_000_000)
    await idle_rig.store.holds.record(state, datetime.now(UTC))
    await idle_rig.start_worker()
    await idle_rig.start_control()
    await idle_rig.until_open()
    await idle_rig.switch.pause(PAUSE)

    async def is_recorded() -> bool:
        return [row.who for row in await idle_rig.store.holds.active()] == ["ada"]

    await eventually(is_recorded)


async def test_control__many_runs__lose_no_change(rig: ControlRig) -> None:
    first = (await rig.control.describe()).run_id
    version = (await rig.state()).version
    await rig.switch.pause(PAUSE)
    breakers = [HoldCommand(key=f"b{n}", kind=HoldKind.BREAKER, symbol=f"S{n}") for n in range(60)]
    for n in range(4):
        for breaker in breakers:
            await rig.control.signal("set_hold" if n % 2 == 0 else "lift_hold", breaker)
    await rig.control.signal("set_hold", breakers[0])

    async def all_arrived() -> bool:
        return (await rig.state()).version == version + 1 + 4 * len(breakers) + 1

    await eventually(all_arrived, timeout=30)
    assert await rig.held() == {"manual", "b0"}
    assert (await rig.control.describe()).run_id != first

    async def all_recorded() -> bool:
        entries = await rig.store.audit.latest(500)
        versions = {json.loads(entry.data).get("version") for entry in entries}
        return set(range(version + 1, version + 1 + 4 * len(breakers) + 2)) <= versions

    await eventually(all_recorded, timeout=30)
    await rig.switch.resume(HoldCommand())
    await rig.until_open()


async def test_pause__more_at_once_than_updates_fit__all_are_answered(rig: ControlRig) -> None:
    answers = await asyncio.gather(
        *(rig.switch.pause(HoldCommand(reason=f"r{n}", who="ada")) for n in range(25))
    )
    assert all(answer.confirmed for answer in answers)
    assert not await rig.may_place()


async def test_pause__no_worker__is_stored_and_counts_later(lone_rig: ControlRig) -> None:
    switch = TradingSwitch(lone_rig.client, lone_rig.flags, answer_seconds=0.5)
    answer = await switch.pause(PAUSE)
    assert not answer.confirmed
    assert "stored" in answer.note
    await lone_rig.start_worker()

    async def is_held() -> bool:
        return await lone_rig.held() == {"manual"}

    await eventually(is_held)
    assert not await lone_rig.may_place()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--input", '"reason"'],
        ["--input", "null"],
        ["--input", '{"reason": "split", "who": "ada", "symbol": ""}'],
        ["--input", "5"],
        ["--input", '"two"', "--input", '"inputs"'],
    ],
    ids=str,
)
async def test_signal__from_the_temporal_command__pauses_and_resumes(
    rig: ControlRig, arguments: list[str]
) -> None:
    await temporal_signal(rig, "pause", arguments)
    assert (await rig.state()).paused

    async def is_closed() -> bool:
        return not await rig.may_place()

    await eventually(is_closed, timeout=10)
    await temporal_signal(rig, "resume", arguments)
    assert await rig.held() == set()
    await rig.until_open()


async def temporal_signal(rig: ControlRig, name: str, arguments: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(require_program("temporal", "run `make setup`"), "workflow", "signal"),
        *("--address", rig.settings.temporal.address, "--workflow-id", CONTROL_WORKFLOW_ID),
        *("--name", name, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def test_history__of_a_busy_life__replays(rig: ControlRig) -> None:
    """Updates at once, signals between them, a cancel: what once gave another order of commands."""
    others = [TradingSwitch(rig.client, rig.flags) for _ in range(3)]
    breaker = HoldCommand(key="feed", kind=HoldKind.BREAKER, reason="old", symbol="AAPL")
    for n in range(3):
        note = HoldCommand(reason=f"r{n}", who="ada")
        await asyncio.gather(
            *(switch.pause(note) for switch in others),
            rig.control.signal("set_hold", breaker),
            others[0].pause(BUYS),
        )
        await asyncio.gather(
            *(switch.resume(note) for switch in others),
            rig.control.signal("lift_hold", breaker),
        )
    await rig.control.cancel()

    async def is_paused() -> bool:
        return (await rig.state()).paused

    await eventually(is_paused)
    await rig.switch.resume(HoldCommand())
    histories = [workflow async for workflow in rig.client.list_workflows(_RUNS)]
    for run in histories[:3]:
        handle = rig.client.get_workflow_handle(run.id, run_id=run.run_id)
        await replayer().replay_workflow(await handle.fetch_history())


def replayer() -> Replayer:
    return Replayer(
        workflows=[TradingControlWorkflow],
        workflow_runner=sandbox(),
        data_converter=pydantic_data_converter,
    )
