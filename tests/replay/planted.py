"""Workflows that issue other commands than the recorded ones, to see that replaying notices."""

from datetime import timedelta

from temporalio import workflow

from models.batches import SettlementInput
from models.messages import OrderOutcome
from models.requests import OrderRequest
from workflows.order_run import OrderRun
from workflows.settlement import SettlementWorkflow


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


@workflow.defn(name="SettlementWorkflow")
class SettlesLater(SettlementWorkflow):
    """Waits a second before it settles anything."""

    @workflow.init
    def __init__(self, options: SettlementInput) -> None:
        super().__init__(options)

    @workflow.run
    async def run(self, options: SettlementInput) -> None:
        await workflow.sleep(timedelta(seconds=1))
        await super().run(options)
