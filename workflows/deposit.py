"""Deposit: USDT in, shares out; what is not spent goes back in the same settlement."""

from temporalio import workflow

from models.messages import OrderOutcome
from models.requests import OrderRequest
from workflows.order_run import OrderRun


@workflow.defn(name="DepositWorkflow")
class DepositWorkflow(OrderRun):
    """One deposit request; the side and all other terms come from the vault."""

    @workflow.init
    def __init__(self, request: OrderRequest) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: OrderRequest) -> OrderOutcome:
        """Carry the request to its end."""
        return await self.carry()
