"""A person's verbs on the house's positions, for the CLI."""

import asyncio
from datetime import timedelta

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError

from models.errors import SourceUnavailable
from models.house import HouseInput, HouseOutcome, house_workflow_id
from models.requests import QUEUE_MAIN

_TASK_TIMEOUT = timedelta(seconds=2)
_ANSWER = timedelta(seconds=8)


class HouseDesk:
    """Starts the one workflow that acts on a position, and waits for what it says."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tell(self, message: HouseInput, seconds: float) -> HouseOutcome:
        """What the verb does (act False) or did; `waits` is filled when it goes on by itself.

        Idempotent: while one runs for the position, this waits for that one.

        Raises:
            SourceUnavailable: Temporal, or what the verb is weighed against, does not answer.
        """
        try:
            handle = await self._start(message)
            try:
                async with asyncio.timeout(seconds):
                    return await handle.result()
            except TimeoutError:
                return HouseOutcome(verb=message.verb, waits=await self._waits(message))
        except WorkflowFailureError as error:
            raise _unanswered(message, error.cause) from error
        except (RPCError, TemporalError, OSError, RuntimeError) as error:
            raise _unanswered(message, error) from error

    async def _waits(self, message: HouseInput) -> str:
        """What a run says that is not at its end yet."""
        handle = self._client.get_workflow_handle(house_workflow_id(message.position_id))
        said = await handle.query("waits", result_type=str, rpc_timeout=_ANSWER)
        return f"it goes on by itself: {said}"

    async def _start(self, message: HouseInput) -> "WorkflowHandle[object, HouseOutcome]":
        own = house_workflow_id(message.position_id)
        return await self._client.start_workflow(
            "HouseWorkflow",
            message,
            # A look disturbs nobody who acts, and the other way round.
            id=own if message.act else f"{own}-look-{message.verb}",
            task_queue=QUEUE_MAIN,
            result_type=HouseOutcome,
            task_timeout=_TASK_TIMEOUT,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary=f"{message.verb} house position {message.position_id}",
        )


def _unanswered(message: HouseInput, error: BaseException) -> SourceUnavailable:
    cause = getattr(error, "cause", None) or error
    doing = f"{message.verb} of house position {message.position_id}"
    return SourceUnavailable("Temporal", doing, str(cause))
