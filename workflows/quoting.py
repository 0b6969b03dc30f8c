"""One quote: asked by the API, answered by whoever has the broker's connection."""

from temporalio import workflow

from activities.quoting import QuotingActivities
from models.quoting import QuoteInput, QuoteResult
from models.requests import QUEUE_CONTROL
from workflows.policies import QUOTE


@workflow.defn(name="QuoteWorkflow")
class QuoteWorkflow:
    """Lives as long as its question; one that was asked twice at once is answered once."""

    @workflow.run
    async def run(self, ask: QuoteInput) -> QuoteResult:
        """The quote."""
        return await workflow.execute_activity_method(
            QuotingActivities.quote_request, ask, task_queue=QUEUE_CONTROL, **QUOTE
        )
