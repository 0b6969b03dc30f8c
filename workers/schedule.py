"""The Schedules: one reconciles every minute, one signs the audit log's head."""

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError

from models.errors import SourceUnavailable
from models.requests import AUDIT_SCHEDULE_ID, QUEUE_MAIN, RECONCILE_SCHEDULE_ID

EVERY = timedelta(minutes=1)
# The default catches up for 365 days, and one hung run would stop all that follow.
_CATCH_UP = timedelta(seconds=60)
_RUN_TIMEOUT = timedelta(minutes=3)
_TASK_TIMEOUT = timedelta(seconds=2)


async def ensure_schedule(client: Client, every: timedelta = EVERY) -> None:
    """Have the Schedule as it should be; one that an operator paused stays paused.

    Raises:
        SourceUnavailable: Temporal could not be asked.
    """
    await _ensure(client, RECONCILE_SCHEDULE_ID, "ReconcileWorkflow", every)


async def ensure_audit_schedule(client: Client, every: timedelta) -> None:
    """Have the Schedule that signs the audit log's head; as `ensure_schedule`."""
    await _ensure(client, AUDIT_SCHEDULE_ID, "AuditHeadWorkflow", every)


async def _ensure(client: Client, schedule_id: str, workflow: str, every: timedelta) -> None:
    wanted = _schedule(schedule_id, workflow, every)
    try:
        try:
            await client.create_schedule(schedule_id, wanted)
        except ScheduleAlreadyRunningError:
            handle = client.get_schedule_handle(schedule_id)
            await handle.update(lambda found: _updated(found, wanted))
    except RPCError as error:
        raise SourceUnavailable("Temporal", f"scheduling {schedule_id}", str(error)) from error


def _schedule(schedule_id: str, workflow: str, every: timedelta) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            workflow,
            id=schedule_id,
            task_queue=QUEUE_MAIN,
            run_timeout=_RUN_TIMEOUT,
            task_timeout=_TASK_TIMEOUT,
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_CATCH_UP),
    )


def _updated(found: ScheduleUpdateInput, wanted: Schedule) -> ScheduleUpdate:
    wanted.state = found.description.schedule.state
    return ScheduleUpdate(wanted)
