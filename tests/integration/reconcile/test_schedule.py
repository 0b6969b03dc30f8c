"""The Schedule: there once, whoever ensures it, and without Temporal's generous defaults."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest
from temporalio.client import (
    Client,
    ScheduleActionStartWorkflow,
    ScheduleHandle,
    ScheduleOverlapPolicy,
)
from temporalio.service import RPCError

from models.requests import AUDIT_SCHEDULE_ID, RECONCILE_SCHEDULE_ID
from tests.waiting import eventually
from workers.schedule import ensure_audit_schedule, ensure_schedule


@pytest.fixture
async def schedule(temporal_client: Client) -> AsyncIterator[ScheduleHandle]:
    handle = temporal_client.get_schedule_handle(RECONCILE_SCHEDULE_ID)
    with suppress(RPCError):
        await handle.delete()
    yield handle
    running = (await handle.describe()).info.running_actions
    await handle.delete()
    for action in running:
        await temporal_client.get_workflow_handle(action.workflow_id).terminate()  # type: ignore[attr-defined]


async def test_schedule__ensured_by_many_at_once__is_there_once_as_it_should_be(
    temporal_client: Client, schedule: ScheduleHandle
) -> None:
    await asyncio.gather(*(ensure_schedule(temporal_client) for _ in range(4)))
    found = (await schedule.describe()).schedule
    assert found.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert found.policy.catchup_window == timedelta(seconds=60)
    assert [interval.every for interval in found.spec.intervals] == [timedelta(minutes=1)]
    assert isinstance(found.action, ScheduleActionStartWorkflow)
    assert found.action.run_timeout == timedelta(minutes=3)


async def test_schedule__paused_by_an_operator__stays_paused(
    temporal_client: Client, schedule: ScheduleHandle
) -> None:
    await ensure_schedule(temporal_client)
    await schedule.pause(note="broker migration")
    await ensure_schedule(temporal_client, timedelta(seconds=30))
    found = (await schedule.describe()).schedule
    assert (found.state.paused, found.state.note) == (True, "broker migration")
    assert [interval.every for interval in found.spec.intervals] == [timedelta(seconds=30)]


async def test_schedule__due__starts_the_workflow(
    temporal_client: Client, schedule: ScheduleHandle
) -> None:
    await ensure_schedule(temporal_client)
    await schedule.trigger()

    async def started() -> bool:
        described = await schedule.describe()
        return bool(described.info.running_actions or described.info.recent_actions)

    await eventually(started)


async def test_audit_schedule__ensured_twice__stands_beside_the_other(
    temporal_client: Client, schedule: ScheduleHandle
) -> None:
    await ensure_schedule(temporal_client)
    for seconds in (60, 30):
        await ensure_audit_schedule(temporal_client, timedelta(seconds=seconds))
    handle = temporal_client.get_schedule_handle(AUDIT_SCHEDULE_ID)
    found = (await handle.describe()).schedule
    await handle.delete()
    assert isinstance(found.action, ScheduleActionStartWorkflow)
    assert found.action.workflow == "AuditHeadWorkflow"
    assert [interval.every for interval in found.spec.intervals] == [timedelta(seconds=30)]
    kept = (await schedule.describe()).schedule
    assert [interval.every for interval in kept.spec.intervals] == [timedelta(minutes=1)]
