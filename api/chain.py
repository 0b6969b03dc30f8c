"""How far the watcher of the chain is and whom it asks, as its heartbeats say."""

from temporalio.client import Client
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError, RPCStatusCode

from models.errors import SourceUnavailable
from models.requests import CHAIN_WATCH_WORKFLOW_ID
from models.watch import ChainWatchStatus

_ACTIVITY = "watch_chain"


async def chain_watch_status(client: Client) -> ChainWatchStatus | None:
    """The last heartbeat; None: nobody watches, or has not said anything yet.

    Raises:
        SourceUnavailable: Temporal could not be asked.
    """
    try:
        described = await client.get_workflow_handle(CHAIN_WATCH_WORKFLOW_ID).describe()
    except (TemporalError, OSError, RuntimeError) as error:
        if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise SourceUnavailable("Temporal", "reading the chain watch", str(error)) from error
    for pending in described.raw_description.pending_activities:
        if pending.activity_type.name == _ACTIVITY and pending.heartbeat_details.payloads:
            payloads = pending.heartbeat_details.payloads
            (status,) = await client.data_converter.decode(payloads, [ChainWatchStatus])
            return ChainWatchStatus.model_validate(status)
    return None
