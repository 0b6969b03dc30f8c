"""Temporal as activities see it: start an order, wake a workflow. All of it may be said twice."""

from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError, RPCStatusCode

from models.batches import SettlementInput
from models.control import ControlState, HoldCommand
from models.errors import SourceBusy, SourceUnavailable
from models.requests import (
    CONTROL_WORKFLOW_ID,
    QUEUE_MAIN,
    OrderRequest,
    Side,
    order_workflow_id,
)

USER = SearchAttributeKey.for_keyword("User")
SYMBOL = SearchAttributeKey.for_keyword("Symbol")
SIDE = SearchAttributeKey.for_keyword("Side")
TASK_TIMEOUT = timedelta(seconds=2)
_BUSY_SECONDS = 1.0
_QUERY_TIMEOUT = timedelta(seconds=3)
_WORKFLOW_TYPES = {Side.BUY: "DepositWorkflow", Side.SELL: "RedeemWorkflow"}


class WorkflowGateway:
    """Starts and signals workflows; a workflow that has ended is no error."""

    def __init__(self, client: Client, settlement_workflow_id: str) -> None:
        self._client = client
        self._settlement_id = settlement_workflow_id

    async def start_order(self, request: OrderRequest) -> None:
        """Have a workflow for this request; one that runs already stays.

        Idempotency key: the workflow id, which derives from the request id.

        Raises:
            SourceBusy: Temporal takes no more for now; it was not started.
            SourceUnavailable: Temporal could not be asked; it may have started all the same.
        """
        workflow_id = order_workflow_id(request.chain_id, request.vault, request.request_id)
        try:
            await self._client.start_workflow(
                _WORKFLOW_TYPES[request.side],
                request,
                id=workflow_id,
                task_queue=QUEUE_MAIN,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                task_timeout=TASK_TIMEOUT,
                search_attributes=_attributes(request),
                static_summary=f"{request.side} {request.symbol} request {request.n}",
            )
        except RPCError as error:
            if error.status is RPCStatusCode.RESOURCE_EXHAUSTED:
                raise SourceBusy("Temporal", f"starting {workflow_id}", _BUSY_SECONDS) from error
            raise SourceUnavailable("Temporal", f"starting {workflow_id}", str(error)) from error

    async def signal_order(self, workflow_id: str, signal: str, *args: Any) -> bool:
        """Wake an order. False: it does not run (any more).

        Raises:
            SourceUnavailable: Temporal could not be asked.
        """
        return await self._signal(workflow_id, signal, *args)

    async def running_orders(self, chain_id: int, vault: str) -> frozenset[str]:
        """Workflow ids of the orders that run, about a second old.

        Raises:
            SourceUnavailable: Temporal could not be asked.
        """
        prefix = order_workflow_id(chain_id, vault, "")
        query = f'WorkflowId STARTS_WITH "{prefix}" AND ExecutionStatus = "Running"'
        try:
            # Read to its end: an iterator left half-way can abort the process when it exits.
            # https://github.com/temporalio/sdk-python/issues/300
            return frozenset([found.id async for found in self._client.list_workflows(query)])
        except RPCError as error:
            raise SourceUnavailable("Temporal", "listing the orders", str(error)) from error

    async def wake_settlement(self) -> bool:
        """Say that there is something to settle; False: nobody ran, so it was started."""
        if await self._signal(self._settlement_id, "work"):
            return True
        try:
            await self._client.start_workflow(
                "SettlementWorkflow",
                SettlementInput(),
                id=self._settlement_id,
                task_queue=QUEUE_MAIN,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                task_timeout=TASK_TIMEOUT,
            )
        except RPCError as error:
            raise SourceUnavailable("Temporal", "starting the settlement", str(error)) from error
        return False

    async def set_hold(self, hold: HoldCommand) -> bool:
        """Ask the control workflow for a hold; False: it does not run.

        Raises:
            SourceUnavailable: Temporal could not be asked.
        """
        return await self._signal(CONTROL_WORKFLOW_ID, "set_hold", hold)

    async def lift_hold(self, hold: HoldCommand) -> bool:
        """Tell the control workflow that a hold's condition is clear. As set_hold."""
        return await self._signal(CONTROL_WORKFLOW_ID, "lift_hold", hold)

    async def control_state(self) -> ControlState | None:
        """The holds as the control workflow says; None: it does not run, or does not answer."""
        control = self._client.get_workflow_handle(CONTROL_WORKFLOW_ID)
        try:
            state: ControlState = await control.query(
                "is_paused", result_type=ControlState, rpc_timeout=_QUERY_TIMEOUT
            )
        except TemporalError:
            return None
        return state

    async def is_held(self, key: str) -> bool:
        """Whether there is a hold of this key. Raises SourceUnavailable: it could not be asked."""
        control = self._client.get_workflow_handle(CONTROL_WORKFLOW_ID)
        try:
            state = await control.query("is_paused", result_type=ControlState)
        except TemporalError as error:
            raise SourceUnavailable("Temporal", "reading the holds", str(error)) from error
        return any(hold.key == key for hold in state.holds)

    async def _signal(self, workflow_id: str, signal: str, *args: Any) -> bool:
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            await handle.signal(signal, args=list(args))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise SourceUnavailable("Temporal", f"signalling {workflow_id}", str(error)) from error
        return True


def _attributes(request: OrderRequest) -> TypedSearchAttributes:
    pairs = [SearchAttributePair(SIDE, request.side.value)]
    if request.user:
        pairs.append(SearchAttributePair(USER, request.user))
    if request.symbol:
        pairs.append(SearchAttributePair(SYMBOL, request.symbol))
    return TypedSearchAttributes(pairs)
