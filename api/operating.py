"""An operator's verbs on one order, for the API and the CLI: retry, refund, cancel."""

import hashlib
import uuid
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Path
from pydantic import BaseModel, ConfigDict, Field
from temporalio.client import (
    Client,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from api.doors import Asking
from api.errors import described
from api.once import HEADER
from api.orders import one_order
from models.access import Caller
from models.errors import Conflict, SourceUnavailable
from models.operating import WHO_CHARACTERS, WHY_CHARACTERS, OperatorAct, OperatorAnswer, Verb
from models.order import TERMINAL_STATUSES, Order
from models.requests import order_workflow_id

if TYPE_CHECKING:
    from clients.store import Store

_ANSWER = timedelta(seconds=8)
_BODY_EXAMPLE: dict[str, Any] = {"reason": "the user asked for it by phone", "who": "ada"}
_ANSWER_EXAMPLES: dict[Verb, dict[str, Any]] = {
    Verb.RETRY: {"verb": "retry", "stage": "HELD", "words": "it looks again now"},
    Verb.REFUND: {
        "verb": "refund",
        "stage": "HELD",
        "words": "its money goes back with the next settlement transaction",
    },
    Verb.CANCEL: {
        "verb": "cancel",
        "stage": "PLACED",
        "words": "what is not filled is cancelled, and goes back; what is filled is settled",
    },
}
_SAYS: dict[Verb, str] = {
    Verb.RETRY: """Have an order look again now, whatever it waits for.

It asks every source afresh: a hold that was lifted, a market that opened, what became of an unknown
order, a settlement that was mined. Harmless at any time; 409 only where it has ended.""",
    Verb.REFUND: """Give an order's money back now, before anything of it is at the broker.

409 says why not: something is filled (after a fill the only way is forward), an order works at the
broker (cancel it), or it is not known yet whether one does.""",
    Verb.CANCEL: """End what is not filled of an order, wherever it is.

Before it is sent its money goes back; at the broker it is cancelled, and a fill may win the race:
what is filled is settled, the rest goes back. 409 where all of it is filled or under way back.""",
}


class OperatorBody(BaseModel):
    """Why, for the audit log. who: only read with a key of the settings, which has no name."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_BODY_EXAMPLE]})

    reason: str = Field(min_length=1, max_length=WHY_CHARACTERS, pattern=r"\S")
    who: str = Field("", max_length=WHO_CHARACTERS)


class OrderDesk:
    """Hands an operator's act to the order's workflow, which refuses, notes or does it."""

    def __init__(self, client: Client, store: "Store") -> None:
        self._client = client
        self._store = store

    async def tell(self, key: str, act: OperatorAct, act_id: str = "") -> OperatorAnswer:
        """What happens now. The same act_id again counts once, and is answered alike.

        Raises:
            NotFound: no such order.
            Conflict: its state does not allow it, and the sentence says why.
            SourceUnavailable: nobody has answered; the same act_id again counts once.
        """
        order = await one_order(self._store, key)
        try:
            return await self._told(order, act, act_id or uuid.uuid4().hex)
        except WorkflowUpdateFailedError as error:
            said = error.cause.message if isinstance(error.cause, ApplicationError) else str(error)
            raise Conflict("order", key, said) from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise Conflict("order", key, _gone(order)) from error
            raise _unanswered(act, error) from error
        except (WorkflowUpdateRPCTimeoutOrCancelledError, OSError, RuntimeError) as error:
            raise _unanswered(act, error) from error

    async def _told(self, order: Order, act: OperatorAct, act_id: str) -> OperatorAnswer:
        workflow_id = order_workflow_id(order.chain_id, order.vault, order.request_id)
        answer: OperatorAnswer = await self._client.get_workflow_handle(workflow_id).execute_update(
            "operate",
            act,
            id=f"operate:{act.verb.value}:{act_id}",
            result_type=OperatorAnswer,
            rpc_timeout=_ANSWER,
        )
        return answer


def routes(desk: OrderDesk) -> APIRouter:
    """One route a verb."""
    router = APIRouter(tags=["orders"])
    for verb in Verb:
        _add(router, desk, verb)
    return router


def _add(router: APIRouter, desk: OrderDesk, verb: Verb) -> None:
    errors = described(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE)
    example = {"content": {"application/json": {"example": _ANSWER_EXAMPLES[verb]}}}

    @router.post(
        f"/orders/{{key}}/{verb.value}",
        responses={**errors, 200: example},
        description=_SAYS[verb],
        summary=f"{verb.value.capitalize()} an order",
        operation_id=f"{verb.value}_order",
    )
    async def act(
        caller: Asking, key: _Key, body: OperatorBody, once: _Once = ""
    ) -> OperatorAnswer:
        who = caller.name if caller.named else body.who or "api"
        asked = OperatorAct(verb=verb, who=who, reason=body.reason.strip())
        return await desk.tell(key, asked, _act_id(caller, asked, once))


_Key = Annotated[str, Path(description="internal id, request id or workflow id")]
_Once = Annotated[str, Header(alias=HEADER)]


def _act_id(caller: Caller, act: OperatorAct, key: str) -> str:
    parts = (caller.name, key, act.model_dump_json())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest() if key else ""


def _gone(order: Order) -> str:
    if order.status in TERMINAL_STATUSES:
        return f"it has ended: {order.stage.value}"
    return "its workflow does not run; it is started again within a minute, ask again then"


def _unanswered(act: OperatorAct, error: Exception) -> SourceUnavailable:
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    return SourceUnavailable("Temporal", f"handing in a {act.verb.value}", said)
