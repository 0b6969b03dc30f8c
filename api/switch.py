"""The operator's end of control: asks and tells the control workflow, for the API and the CLI."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import QueryRejectCondition, WorkflowIDConflictPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import TemporalError
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from models.control import LEASE_SECONDS, ControlState, HoldCommand, PauseResult
from models.errors import InvalidInput, SourceUnavailable
from models.requests import CONTROL_WORKFLOW_ID, QUEUE_HOLDS

if TYPE_CHECKING:
    from clients.flags import Flags

WORKFLOW = "TradingControlWorkflow"
DIRECT = "bronco pause --direct sets the break-glass halt in Redis without Temporal"
_OPENING = frozenset({"resume", "end_drain"})
_QUERY_SECONDS = 3.0
_UPDATE_SECONDS = 8.0
_AT_ONCE = 3
"""Updates from one process at a time; the server takes ten of all of them together."""
_READ_BACK_SECONDS = 5.0
_READ_BACK_STEPS = 25
_AGAIN_SECONDS, _PAUSE_SECONDS = 1.0, 0.05
"""An update that was not taken is sent again for so long, so far apart."""
_TASK_TIMEOUT = timedelta(seconds=2)
_RETRY_MILLISECONDS = 2_000
# RuntimeError is how temporalio reports a first connection that fails.
_NOT_REACHED = (TemporalError, OSError, RuntimeError)


async def operator_client(address: str, namespace: str) -> Client:
    """A client for people who wait: connects on first use, and gives up soon."""
    return await Client.connect(
        address,
        namespace=namespace,
        data_converter=pydantic_data_converter,
        lazy=True,
        retry_config=RetryConfig(max_elapsed_time_millis=_RETRY_MILLISECONDS),
    )


class SwitchAnswer(BaseModel):
    """What came of a pause or resume. confirmed False: told, but nobody has answered yet."""

    model_config = ConfigDict(frozen=True)

    confirmed: bool
    result: PauseResult | None = None
    note: str = ""


class TradingSwitch:
    """Pause, resume and ask. Without flags, what is in flight is named by the workflow alone.

    answer_seconds: how long an update may take before a signal is sent instead.
    """

    def __init__(
        self,
        client: Client,
        flags: "Flags | None" = None,
        *,
        answer_seconds: float = _UPDATE_SECONDS,
    ) -> None:
        self._client = client
        self._flags = flags
        self._patience = timedelta(seconds=answer_seconds)
        self._lane = asyncio.Semaphore(_AT_ONCE)

    async def state(self) -> ControlState:
        """The holds.

        Raises:
            SourceUnavailable: Temporal, or a worker to answer for the workflow, is not there.
        """
        try:
            state: ControlState = await self._handle.query(
                "is_paused",
                result_type=ControlState,
                reject_condition=QueryRejectCondition.NOT_OPEN,
                rpc_timeout=timedelta(seconds=_QUERY_SECONDS),
            )
        except _NOT_REACHED as error:
            raise self._unavailable("reading the holds", error) from error
        return state

    async def pause(self, command: HoldCommand, update_id: str = "") -> SwitchAnswer:
        """Set the manual hold of the command's scope. The same update id counts once.

        Raises:
            SourceUnavailable: Temporal could not be told.
        """
        return await self._change("pause", command, update_id)

    async def resume(self, command: HoldCommand, update_id: str = "") -> SwitchAnswer:
        """Lift the manual hold of the command's scope. The same update id counts once.

        Raises:
            SourceUnavailable: Temporal could not be told.
        """
        return await self._change("resume", command, update_id)

    async def drain(self, command: HoldCommand, update_id: str = "") -> SwitchAnswer:
        """Place nothing new, while what was placed goes on. The same update id counts once.

        Raises:
            SourceUnavailable: Temporal could not be told.
        """
        return await self._change("drain", command, update_id)

    async def end_drain(self, command: HoldCommand, update_id: str = "") -> SwitchAnswer:
        """End the drain; other holds stay. The same update id counts once.

        Raises:
            SourceUnavailable: Temporal could not be told.
        """
        return await self._change("end_drain", command, update_id)

    async def tell(self, name: str, command: HoldCommand) -> None:
        """Signal, starting the workflow where there is none; counts as soon as a worker runs.

        Raises:
            SourceUnavailable: Temporal could not be told.
        """
        try:
            await self._client.start_workflow(
                WORKFLOW,
                id=CONTROL_WORKFLOW_ID,
                task_queue=QUEUE_HOLDS,
                task_timeout=_TASK_TIMEOUT,
                start_signal=name,
                start_signal_args=[_told(command)],
                rpc_timeout=timedelta(seconds=_READ_BACK_SECONDS),
            )
        except _NOT_REACHED as error:
            raise self._unavailable(f"sending {name}", error) from error

    async def wake(self) -> None:
        """Have the orders woken that found trading closed, once it is open.

        Raises:
            SourceUnavailable: Temporal could not be told.
        """
        try:
            patience = timedelta(seconds=_READ_BACK_SECONDS)
            await self._handle.signal("lease_is_back", rpc_timeout=patience)
        except _NOT_REACHED as error:
            raise self._unavailable("sending lease_is_back", error) from error

    async def _change(self, name: str, command: HoldCommand, update_id: str) -> SwitchAnswer:
        async with self._lane:
            return await self._update(name, command, update_id)

    async def _update(self, name: str, command: HoldCommand, update_id: str) -> SwitchAnswer:
        update_id = f"{name}:{update_id or uuid.uuid4().hex}"
        until = time.monotonic() + _AGAIN_SECONDS
        while True:
            try:
                result = await self._updated(name, command, update_id)
                return SwitchAnswer(confirmed=True, result=result)
            except WorkflowUpdateFailedError as error:
                raise InvalidInput(name, self._why(error), "see the accepted scopes") from error
            except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
                if time.monotonic() > until or _unanswered_in_time(error):
                    # Ten updates in flight or 2,000 in a run are the server's limit, and with no
                    # worker nothing answers: a signal still gets through.
                    return await self._signal_and_read_back(name, command, self._why(error))
            except RuntimeError as error:
                raise self._unavailable(f"sending {name}", error) from error
            # A run that ends just now takes no update; the next one does, and counts it once.
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _updated(self, name: str, command: HoldCommand, update_id: str) -> PauseResult:
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            WORKFLOW,
            id=CONTROL_WORKFLOW_ID,
            task_queue=QUEUE_HOLDS,
            task_timeout=_TASK_TIMEOUT,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        try:
            result: PauseResult = await self._client.execute_update_with_start_workflow(
                name,
                _told(command),
                start_workflow_operation=start,
                id=update_id,
                result_type=PauseResult,
                rpc_timeout=self._patience,
            )
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError):
            # The start's own failure is the same one; nobody else would look at it.
            with contextlib.suppress(TemporalError):
                await start.workflow_handle()
            raise
        return result

    async def _signal_and_read_back(
        self, name: str, command: HoldCommand, why: str
    ) -> SwitchAnswer:
        await self.tell(name, command)
        for _ in range(_READ_BACK_STEPS):
            await asyncio.sleep(_READ_BACK_SECONDS / _READ_BACK_STEPS)
            try:
                state = await self.state()
            except SourceUnavailable as error:
                return SwitchAnswer(confirmed=False, note=_unanswered(name, str(error)))
            if _is_held(state, command) is (name not in _OPENING):
                return await self._read_back(name, state, why)
        return SwitchAnswer(confirmed=False, note=_unanswered(name, why))

    async def _read_back(self, name: str, state: ControlState, why: str) -> SwitchAnswer:
        note = f"sent as a signal, since the update was not answered ({why})"
        if name in _OPENING:
            return SwitchAnswer(confirmed=True, result=PauseResult(state=state, note=note))
        # No lease was renewed since the state was read, so the last one has ended after this.
        await asyncio.sleep(LEASE_SECONDS)
        try:
            in_flight = await self._flags.in_flight() if self._flags else ()
        except SourceUnavailable as error:
            in_flight, note = (), f"{note}; what is in flight cannot be named: {error}"
        result = PauseResult(state=state, in_flight=in_flight, note=note)
        return SwitchAnswer(confirmed=True, result=result)

    @property
    def _handle(self) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(CONTROL_WORKFLOW_ID)

    def _unavailable(self, doing: str, error: BaseException) -> SourceUnavailable:
        """The error, with what an operator can do all the same."""
        hint = "" if doing.removeprefix("sending ") in _OPENING else f". {DIRECT}"
        return SourceUnavailable("Temporal", doing, f"{self._why(error)}{hint}")

    def _why(self, error: BaseException) -> str:
        cause = error.cause if isinstance(error, WorkflowUpdateFailedError) else error
        if isinstance(cause, RPCError):
            status = cause.status.name if isinstance(cause.status, RPCStatusCode) else "error"
            return f"{status.lower()}: {cause.message}" if cause.message else status.lower()
        if isinstance(cause, WorkflowQueryRejectedError):
            return "the control workflow is not running: a worker, or a pause, starts it"
        if isinstance(cause, RuntimeError):
            return f"no connection to {self._client.service_client.config.target_host}"
        return str(cause) or type(cause).__name__


def _unanswered_in_time(error: RPCError | WorkflowUpdateRPCTimeoutOrCancelledError) -> bool:
    late = (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)
    return not isinstance(error, RPCError) or error.status in late


def _told(command: HoldCommand) -> Mapping[str, str | bool]:
    """What goes into the history: the fields a person would write."""
    fields = {
        "reason": command.reason,
        "who": command.who,
        "side": command.side.value if command.side else "",
        "symbol": command.symbol,
        "cancel_working": command.cancel_working,
    }
    return {name: value for name, value in fields.items() if value}


def _is_held(state: ControlState, command: HoldCommand) -> bool:
    return any(
        hold.kind is command.kind
        and hold.side is command.side
        and hold.symbol == command.symbol.upper()
        for hold in state.holds
    )


def _unanswered(name: str, why: str) -> str:
    if name not in _OPENING:
        return (
            f"the {name} is stored and counts as soon as a worker runs ({why}); until then nobody "
            f"renews the lease, so nothing is placed. {DIRECT}"
        )
    return f"the {name} is stored and counts as soon as a worker runs ({why})"
