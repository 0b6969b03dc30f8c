"""The Schedule that reconciles every minute."""

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
from models.requests import QUEUE_MAIN, RECONCILE_SCHEDULE_ID

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
    wanted = _schedule(every)
    try:
        try:
            await client.create_schedule(RECONCILE_SCHEDULE_ID, wanted)
        except ScheduleAlreadyRunningError:
            handle = client.get_schedule_handle(RECONCILE_SCHEDULE_ID)
            await handle.update(lambda found: _updated(found, wanted))
    except RPCError as error:
        raise SourceUnavailable("Temporal", "scheduling reconcile", str(error)) from error


def _schedule(every: timedelta) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            "ReconcileWorkflow",
            id=RECONCILE_SCHEDULE_ID,
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
