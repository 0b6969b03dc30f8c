"""Keeps one watcher of the vault running, for ever, on whichever worker lives."""

from temporalio import workflow

from activities.chain_watch import ChainWatchActivities
from models.messages import WatchChainInput
from models.requests import QUEUE_WATCH
from workflows.policies import WATCH


@workflow.defn(name="ChainWatchWorkflow")
class ChainWatchWorkflow:
    """Two watchers at once are harmless: starting an order twice starts it once."""

    @workflow.run
    async def run(self, message: WatchChainInput) -> None:
        """Watch until told to continue as new; the activity has no state worth carrying."""
        workflow.set_current_details("watches the vault for requests")
        await workflow.execute_activity_method(
            ChainWatchActivities.watch_chain,
            message,
            task_queue=QUEUE_WATCH,
            summary="enumerate requests",
            **WATCH,
        )
        workflow.continue_as_new(message)
