"""One comparison of vault, workflows, store and broker; a Schedule starts it every minute."""

from temporalio import workflow

from activities.reconcile import ReconcileActivities
from models.messages import ReconcileResult
from models.requests import QUEUE_CONTROL
from workflows.policies import RECONCILE


@workflow.defn(name="ReconcileWorkflow")
class ReconcileWorkflow:
    """Runs beside the broker's connection, because it asks for positions."""

    @workflow.run
    async def run(self) -> ReconcileResult:
        """Counts of one run."""
        workflow.set_current_details("compares the vault, the workflows, the store and the broker")
        result = await workflow.execute_activity_method(
            ReconcileActivities.reconcile,
            task_queue=QUEUE_CONTROL,
            summary="compare, nudge, book, alarm",
            **RECONCILE,
        )
        workflow.set_current_details(_words(result))
        return result


def _words(result: ReconcileResult) -> str:
    return (
        f"{result.requests} open; started {result.started}, nudged {result.nudged}, "
        f"booked {result.booked}, mended {result.mended}, "
        f"{result.findings} finding(s) stand, {result.alarms} new"
    )
