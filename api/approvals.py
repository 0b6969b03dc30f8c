"""What waits for approval, and handing in signatures: for the API and the CLI."""

import hashlib
import uuid
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError, RPCStatusCode

from api.doors import Asking
from api.errors import described
from api.orders import one_order
from clients.approvals import case_data
from models.approvals import ApprovalCase, ApprovalGiven
from models.errors import Conflict, NotFound, SourceUnavailable
from models.order import Order
from models.requests import order_workflow_id

if TYPE_CHECKING:
    from clients.store import Store

_ANSWER = timedelta(seconds=8)
_CASE: dict[str, Any] = {
    "chain_id": 1,
    "vault": "0x9fe46736679d2d9a65f0992f2272de9f3c7fa6e0",
    "n": 17,
    "request_id": "0x" + "5f" * 32,
    "kind": "REFUND",
    "code": "RETURN_LIMIT",
    "taken": 0,
    "out": 0,
    "fee": 0,
    "fill_hash": "",
    "reason_code": 1,
    "epoch": 1,
    "threshold": 2,
    "approvers": ["0x70997970C51812dc3A010C7d01b50e0d17dc79C8"],
    "deadline": 1767711600,
    "digest": "0x" + "3c" * 32,
    "signed": [],
}
_VIEW: dict[str, Any] = {"case": _CASE, "missing": 2, "typed_data": {"primaryType": "Refund"}}
_KEY = Annotated[str, Path(description="internal id, request id or workflow id")]


class ApprovalView(BaseModel):
    """What has to be signed, who has, and how many are missing.

    typed_data: EIP-712, as eth_signTypedData_v4 takes it; its digest is case.digest.
    """

    case: ApprovalCase
    missing: int
    typed_data: dict[str, Any] = Field(description="EIP-712 typed data")


class ApprovalDesk:
    """Asks an order's workflow what it waits for, and hands it signatures."""

    def __init__(self, client: Client, store: "Store") -> None:
        self._client = client
        self._store = store

    async def case(self, key: str) -> ApprovalView:
        """What the order waits for.

        Raises:
            NotFound: no such order, or it waits for no approval.
            SourceUnavailable: Temporal, or a worker to answer for the order, is not there.
        """
        order = await one_order(self._store, key)
        try:
            found = await self._handle(order).query("approval", rpc_timeout=_ANSWER)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise NotFound("approval that is waited for by order", key) from error
            raise _unanswered("reading what waits for approval", error) from error
        except (TemporalError, WorkflowQueryFailedError, OSError, RuntimeError) as error:
            raise _unanswered("reading what waits for approval", error) from error
        case = ApprovalCase.model_validate(found) if found else None
        if case is None or not case.missing:
            raise NotFound("approval that is waited for by order", key)
        return view_of(case)

    async def approve(self, key: str, given: ApprovalGiven) -> ApprovalCase:
        """Hand in a signature; answers when it is stored. The same one again counts once.

        Raises:
            NotFound: no such order.
            Conflict: the order takes it not: wrong, repeated, unauthorised, or not waited for.
            SourceUnavailable: nobody has answered; asked again, the same signature is harmless.
        """
        order = await one_order(self._store, key)
        try:
            answer: ApprovalCase = await self._handle(order).execute_update(
                "approve",
                given,
                id=_update_id(given),
                result_type=ApprovalCase,
                rpc_timeout=_ANSWER,
            )
        except WorkflowUpdateFailedError as error:
            raise Conflict("order", key, str(error.cause or error)) from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise Conflict("order", key, "it has ended") from error
            raise _unanswered("handing in an approval", error) from error
        except (WorkflowUpdateRPCTimeoutOrCancelledError, OSError, RuntimeError) as error:
            raise _unanswered("handing in an approval", error) from error
        return answer

    def _handle(self, order: Order) -> WorkflowHandle[Any, Any]:
        workflow_id = order_workflow_id(order.chain_id, order.vault, order.request_id)
        return self._client.get_workflow_handle(workflow_id)


def view_of(case: ApprovalCase) -> ApprovalView:
    """The case with what is to be signed."""
    return ApprovalView(case=case, missing=case.missing, typed_data=case_data(case))


def routes(desk: ApprovalDesk) -> APIRouter:
    """Reading what is to be signed, and handing in a signature."""
    router = APIRouter(tags=["approvals"])
    errors = described(
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )

    @router.get("/orders/{key}/approval", responses=errors | _shown(_VIEW))
    async def approval(key: _KEY) -> ApprovalView:
        """What the vault refuses to a settler alone: the typed data that approvers sign."""
        return await desk.case(key)

    @router.post("/orders/{key}/approvals", responses=errors | _shown(_CASE))
    async def approve(caller: Asking, key: _KEY, given: ApprovalGiven) -> ApprovalCase:
        """Hand in one approver's signature. Enough of them send the item, with them, by itself.

        The audit log says that the key's name handed it in, whatever `who` says.
        """
        named = given.model_copy(update={"who": caller.name}) if caller.named else given
        return await desk.approve(key, named)

    return router


def _shown(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": example}}}}


def _update_id(given: ApprovalGiven) -> str:
    """The same for the same signature, which then has the same answer.

    A contract may call its own tomorrow what it refused today: there each is asked anew, and counts
    once all the same.
    """
    if given.signer:
        return f"approve:{uuid.uuid4().hex}"
    return f"approve:{hashlib.sha256(given.signature.lower().encode()).hexdigest()}"


def _unanswered(doing: str, error: Exception) -> SourceUnavailable:
    return SourceUnavailable("Temporal", doing, f"{type(error).__name__}: {error}")
