"""Workflows that issue other commands than the recorded ones, to see that replaying notices."""

from datetime import timedelta

from temporalio import workflow

from models.messages import OrderOutcome
from models.requests import OrderRequest
from workflows.order_run import OrderRun


@workflow.defn(name="DepositWorkflow")
class SleepsFirst(OrderRun):
    """A timer that no recording has."""

    @workflow.init
    def __init__(self, request: OrderRequest) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: OrderRequest) -> OrderOutcome:
        await workflow.sleep(timedelta(seconds=1))
        return await self.carry()


@workflow.defn(name="DepositWorkflow")
class ReadsFirst(OrderRun):
    """An activity more than any recording has, at the end of which all goes on as before."""

    @workflow.init
    def __init__(self, request: OrderRequest) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: OrderRequest) -> OrderOutcome:
        await self.steps.read_request()
        return await self.carry()
