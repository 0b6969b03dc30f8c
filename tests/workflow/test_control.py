import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from models.control import (
    AppliedControl,
    ControlChange,
    ControlState,
    Hold,
    HoldCommand,
    HoldKind,
    PauseResult,
    Recall,
    Recalled,
    RecordControlInput,
)
from models.messages import WakeHeldInput, WakeHeldResult
from models.requests import Side
from tests.waiting import eventually
from workers.runner import sandbox
from workflows.control import TradingControlWorkflow

OPEN = ControlState(paused=False, version=0)
BREAKER = HoldCommand(key="feed-age", kind=HoldKind.BREAKER, reason="the feed is old")
SCOPED = {"symbol": "aapl", "side": "BUY", "reason": "split", "who": "ada"}
Handle = WorkflowHandle[Any, Any]


@dataclass
class FakeControl:
    """The outside of control: remembers what it was asked, answers what the test says."""

    on_record: ControlState = OPEN
    stored_version: int = 0
    may_load: asyncio.Event = field(default_factory=asyncio.Event)
    may_apply: asyncio.Event = field(default_factory=asyncio.Event)
    failures_to_record: int = 0
    states: list[ControlState] = field(default_factory=list)
    recorded: list[ControlChange] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    recalls: list[Recall] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.may_load.set()
        self.may_apply.set()

    @activity.defn(name="load_control")
    async def load_control(self) -> ControlState:
        await self.may_load.wait()
        return self.on_record

    @activity.defn(name="apply_control")
    async def apply_control(self, state: ControlState) -> AppliedControl:
        await self.may_apply.wait()
        stale = state.version < self.stored_version
        self.states.append(state)
        self.calls.append("paused" if state.paused else "open")
        return AppliedControl(version=state.version, stale=stale)

    @activity.defn(name="record_control")
    async def record_control(self, message: RecordControlInput) -> None:
        if self.failures_to_record:
            self.failures_to_record -= 1
            raise ApplicationError("the database is down")
        self.recorded += message.changes

    @activity.defn(name="wake_held")
    async def wake_held(self, message: WakeHeldInput) -> WakeHeldResult:
        self.calls.append("wake")
        return WakeHeldResult(woken=3)

    @activity.defn(name="recall_working")
    async def recall_working(self, recall: Recall) -> Recalled:
        self.calls.append("recall")
        self.recalls.append(recall)
        return Recalled(orders=7)

    @property
    def activities(self) -> list[Any]:
        asked = (self.load_control, self.apply_control, self.record_control, self.wake_held)
        return [*asked, self.recall_working]


@pytest.fixture
def fake() -> FakeControl:
    return FakeControl()


@asynccontextmanager
async def running(env: WorkflowEnvironment, fake: FakeControl) -> AsyncIterator[Handle]:
    queue = f"control-{uuid.uuid4().hex}"
    async with Worker(
        env.client,
        task_queue=queue,
        workflows=[TradingControlWorkflow],
        activities=fake.activities,
        workflow_runner=sandbox(),
    ):
        handle = await env.client.start_workflow(
            TradingControlWorkflow.run, id=queue, task_queue=queue
        )
        yield handle
        fake.may_load.set()
        fake.may_apply.set()
        await handle.terminate()


@pytest_asyncio.fixture
async def control(env: WorkflowEnvironment, fake: FakeControl) -> AsyncIterator[Handle]:
    async with running(env, fake) as handle:
        yield handle


async def state_of(control: Handle) -> ControlState:
    state: ControlState = await control.query("is_paused", result_type=ControlState)
    return state


async def keys_of(control: Handle) -> set[str]:
    return {hold.key for hold in (await state_of(control)).holds}


async def opened(control: Handle) -> None:
    async def is_open() -> bool:
        return not (await state_of(control)).paused

    await eventually(is_open)


async def test_control__first_run__is_closed_until_the_holds_are_read(
    env: WorkflowEnvironment, fake: FakeControl
) -> None:
    fake.may_load.clear()
    async with running(env, fake) as control:
        assert await keys_of(control) == {"starting"}
        assert (await state_of(control)).paused
        await control.signal("pause", "early")
        await control.signal("set_hold", BREAKER)
        await control.signal("resume")
        fake.may_load.set()

        async def holds_are_read() -> bool:
            return await keys_of(control) == {"feed-age"}

        await eventually(holds_are_read)
    assert "open" not in fake.calls


async def test_control__hold_on_record__outlives_a_lost_history(
    env: WorkflowEnvironment, fake: FakeControl
) -> None:
    hold = Hold(key="manual", kind=HoldKind.MANUAL, reason="r", who="ada", at="2026-01-01")
    # A version beyond the clock's: whatever Redis stores, the next one has to be newer.
    fake.on_record = ControlState(paused=True, version=2_000_000_000, holds=(hold,))
    async with running(env, fake) as control:
        await eventually(lambda: fake.states)
        state = await state_of(control)
    assert state.paused
    assert state.holds == (hold,)
    assert state.version > 2_000_000_000


@pytest.mark.parametrize(
    "args",
    [[], ["reason"], [None], [SCOPED], [5], [["a"]], ["two", "inputs"], [{"side": "LONG"}], [""]],
    ids=str,
)
async def test_pause_signal__any_input__pauses_and_stays_healthy(
    control: Handle, args: list[Any]
) -> None:
    await opened(control)
    await control.signal("pause", args=args)
    state = await state_of(control)
    if args == [SCOPED]:
        (hold,) = state.holds
        assert (hold.symbol, hold.side, hold.key) == ("AAPL", "BUY", "manual:BUY:AAPL")
        assert (hold.reason, hold.who) == ("split", "ada")
        await control.signal("resume", {"symbol": "AAPL", "side": "buy"})
    else:
        assert state.paused
        await control.signal("resume", args=args if args != [{"side": "LONG"}] else [])
    assert not (await state_of(control)).holds


@pytest.mark.parametrize("arg", [{"side": "LONG"}, {"reson": "typo"}, {"symbol": 5}], ids=str)
async def test_resume_signal__not_understood__lifts_nothing(control: Handle, arg: Any) -> None:
    await opened(control)
    await control.signal("pause")
    await control.signal("resume", arg)
    assert (await state_of(control)).paused


async def test_resume__other_holds__stay(control: Handle) -> None:
    await opened(control)
    await control.signal("pause", "by hand")
    await control.signal("pause", SCOPED)
    await control.signal("set_hold", BREAKER)
    await control.signal("resume")
    assert await keys_of(control) == {"feed-age", "manual:BUY:AAPL"}
    assert (await state_of(control)).paused
    await control.signal("lift_hold", BREAKER)
    assert await keys_of(control) == {"manual:BUY:AAPL"}
    assert not (await state_of(control)).paused


async def test_lift_hold__of_a_person__lifts_nothing(control: Handle) -> None:
    await opened(control)
    await control.signal("pause")
    await control.signal("lift_hold", HoldCommand(key="manual", kind=HoldKind.BREAKER))
    assert await keys_of(control) == {"manual"}


async def test_set_hold__with_a_persons_key__is_another_hold(control: Handle) -> None:
    await opened(control)
    stolen = HoldCommand(key="manual", kind=HoldKind.BREAKER)
    await control.signal("set_hold", stolen)
    await control.signal("pause")
    await control.signal("lift_hold", stolen)
    assert await keys_of(control) == {"manual"}


@pytest.mark.parametrize("args", [[], [5], [{"kind": "NOBODY"}], ["x", "y"]], ids=str)
async def test_set_hold__nonsense__changes_nothing(control: Handle, args: list[Any]) -> None:
    await opened(control)
    await control.signal("set_hold", args=args)
    await control.signal("lift_hold", args=args)
    assert not (await state_of(control)).holds


async def test_pause__running__has_no_timer_that_could_end_it(
    control: Handle, fake: FakeControl
) -> None:
    await opened(control)
    await control.signal("pause")
    await control.signal("pause", SCOPED)
    await eventually(lambda: "paused" in fake.calls)
    history = await control.fetch_history()
    assert not [
        event for event in history.events if event.HasField("timer_started_event_attributes")
    ]


async def test_pause__before_anybody_applied_it__counts(control: Handle, fake: FakeControl) -> None:
    await opened(control)
    await eventually(lambda: fake.states)
    fake.may_apply.clear()
    await control.signal("pause")
    assert (await state_of(control)).paused
    assert fake.calls == ["open"]


async def test_resume__applied__then_wakes(control: Handle, fake: FakeControl) -> None:
    await opened(control)
    await control.signal("pause")
    await eventually(lambda: "paused" in fake.calls)
    assert "wake" not in fake.calls
    fake.may_apply.clear()
    await control.signal("resume")
    await opened(control)
    assert "wake" not in fake.calls, "woken orders would have found trading closed"
    fake.may_apply.set()
    await eventually(lambda: "wake" in fake.calls)
    assert fake.calls == ["open", "paused", "open", "wake"]


async def test_lease_is_back__while_open__wakes(control: Handle, fake: FakeControl) -> None:
    await opened(control)
    await control.signal("lease_is_back")
    await eventually(lambda: "wake" in fake.calls)


async def test_changes__database_down_for_a_while__are_all_recorded_once(
    control: Handle, fake: FakeControl
) -> None:
    await opened(control)
    fake.failures_to_record = 2
    await control.signal("pause", {"reason": "one", "who": "ada"})
    await control.signal("resume", {"reason": "two", "who": "bob"})
    await control.signal("pause", "three")
    await control.signal("pause", "three")
    await eventually(lambda: len(fake.recorded) >= 3)
    told = [(change.lifted, change.reason, change.who) for change in fake.recorded]
    assert told == [(False, "one", "ada"), (True, "two", "bob"), (False, "three", "")]
    versions = [change.version for change in fake.recorded]
    assert versions == sorted(set(versions))


async def test_apply__newer_version_stored__is_overtaken(
    env: WorkflowEnvironment, fake: FakeControl
) -> None:
    async with running(env, fake) as control:
        await eventually(lambda: fake.states)
        fake.stored_version = fake.states[-1].version + 5_000
        await control.signal("pause")
        await eventually(lambda: fake.states[-1].version >= fake.stored_version)
        assert (await state_of(control)).version == fake.states[-1].version
        assert (await state_of(control)).paused


async def test_cancel__asked_by_somebody__pauses_and_goes_on(
    control: Handle, fake: FakeControl
) -> None:
    await opened(control)
    await control.cancel()

    async def is_paused() -> bool:
        return (await state_of(control)).paused

    await eventually(is_paused)
    await control.signal("resume")
    await opened(control)
    await eventually(lambda: fake.calls[-1] == "wake")
    assert (await control.describe()).status is WorkflowExecutionStatus.RUNNING


async def test_history__replayed__takes_the_same_steps(control: Handle, fake: FakeControl) -> None:
    await opened(control)
    await control.signal("pause", "r")
    await control.signal("set_hold", BREAKER)
    await control.signal("resume")
    await control.signal("lift_hold", BREAKER)
    await eventually(lambda: "wake" in fake.calls)
    replayer = Replayer(
        workflows=[TradingControlWorkflow],
        workflow_runner=sandbox(),
        data_converter=pydantic_data_converter,
    )
    await replayer.replay_workflow(await control.fetch_history())


async def test_history__of_some_hundred_events__is_begun_anew_with_its_holds(
    control: Handle, fake: FakeControl
) -> None:
    """A worker that has lost the run must be able to read all of it in one task of two seconds."""
    await opened(control)
    first = (await control.describe()).run_id
    await control.execute_update("pause", HoldCommand(reason="stays", who="ada"))
    buys = HoldCommand(reason="float", who="ada", side=Side.BUY)
    lengths = []
    for verb in ("pause", "resume") * 40:
        await control.execute_update(verb, buys)
        lengths.append((await control.describe()).history_length)
    assert max(lengths) < 600
    assert (await control.describe()).run_id != first
    assert await keys_of(control) == {"manual"}
    # A pause that meets a new run waits for no state that the run before has made known.
    versions = [state.version for state in fake.states]
    assert len(versions) == len(set(versions)) > 80


async def test_pause__only_stale_states_were_sent__is_not_confirmed(
    control: Handle, fake: FakeControl
) -> None:
    """Redis knows newer versions (a history was lost), and another hold comes meanwhile."""
    await opened(control)
    fake.stored_version = fake.states[-1].version + 5_000
    fake.may_apply.clear()
    pausing = asyncio.create_task(control.execute_update("pause", "lunch", result_type=PauseResult))

    async def is_held() -> bool:
        return "manual" in await keys_of(control)

    await eventually(is_held)
    await control.signal("set_hold", BREAKER)
    fake.may_apply.set()
    await pausing
    assert any(state.version >= fake.stored_version and state.paused for state in fake.states)


async def test_pause__that_cancels__calls_back_once_nothing_can_be_placed(
    control: Handle, fake: FakeControl
) -> None:
    await opened(control)
    asked = {"reason": "wrong price", "who": "ada", "symbol": "aapl", "cancel_working": True}
    answer = await control.execute_update("pause", asked, result_type=PauseResult)
    assert answer.cancelling == 7
    (recall,) = fake.recalls
    assert (recall.symbol, recall.side, recall.who) == ("AAPL", None, "ada")
    assert any(state.version == recall.version and state.holds for state in fake.states)
    assert fake.calls[-1] == "recall"
    plain = await control.execute_update("pause", "all of it", result_type=PauseResult)
    assert plain.cancelling == 0
    assert len(fake.recalls) == 1


async def test_pause__by_signal_that_cancels__calls_back(
    control: Handle, fake: FakeControl
) -> None:
    await control.signal("pause", {"cancel_working": True, "reason": "fire"})
    await eventually(lambda: [recall.reason for recall in fake.recalls] == ["fire"])


async def test_resume__that_says_cancel__calls_nothing_back(
    control: Handle, fake: FakeControl
) -> None:
    await opened(control)
    await control.execute_update("pause", "lunch")
    await control.execute_update("resume", {"cancel_working": True})
    assert fake.recalls == []
    assert await keys_of(control) == set()


async def test_drain__holds_all_and_only_its_own_end_lifts_it(
    control: Handle, fake: FakeControl
) -> None:
    await opened(control)
    answer = await control.execute_update("drain", {"reason": "upgrade", "who": "ada"})
    (hold,) = (await state_of(control)).holds
    assert (hold.key, hold.kind, hold.reason, hold.who) == (
        "drain",
        HoldKind.DRAIN,
        "upgrade",
        "ada",
    )
    assert answer["state"]["paused"] is True
    await control.execute_update("resume", "all of it")
    await control.signal("lift_hold", BREAKER.model_copy(update={"key": "drain"}))
    assert await keys_of(control) == {"drain"}
    await control.execute_update("end_drain", "done")
    assert await keys_of(control) == set()
    await eventually(lambda: "wake" in fake.calls)


async def test_drain__beside_a_pause__ends_without_opening(control: Handle) -> None:
    await opened(control)
    await control.signal("pause", "lunch")
    await control.signal("drain")
    await control.execute_update("end_drain")
    assert await keys_of(control) == {"manual"}
