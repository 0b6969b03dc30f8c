"""Waiting for approvals: the case, and the signatures that came in as updates.

A signature is checked in the update's validator, stored by the order's own loop (a handler issues
no command itself, so that several at once replay alike), and only then is the update answered. A
contract's has to be asked for first: that refusal comes from the loop as well.
"""

from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.approving import REFUSED, ApprovalActivities
from models.approvals import ApprovalCase, ApprovalGiven, approver_of
from models.errors import InvalidInput
from models.messages import KeepApprovalInput, LookForApprovalsInput
from models.order import Stage
from workflows.order_steps import OrderSteps
from workflows.policies import ASK


@dataclass
class _Ticket:
    """One signature on its way into the store. case, error: its answer."""

    case: ApprovalCase
    signer: str
    given: ApprovalGiven
    answer: ApprovalCase | None = None
    error: str = ""


class OrderApproval:
    """The approvals of one order."""

    def __init__(self, steps: OrderSteps) -> None:
        self.case: ApprovalCase | None = None
        self._steps = steps
        self._inbox: list[_Ticket] = []
        self._stage: Stage | None = None
        self._shown = ""

    @property
    def waiting(self) -> bool:
        """Whether a signature is to be stored."""
        return bool(self._inbox)

    def check(self, given: ApprovalGiven) -> tuple[ApprovalCase, str]:
        """The case and who signed it.

        Raises:
            ApplicationError: nothing waits for approval, or the signature does not count.
        """
        case = self.case
        if case is None or not case.missing:
            raise ApplicationError("the order waits for no approval", type=REFUSED)
        try:
            return case, approver_of(case, given, [ticket.signer for ticket in self._inbox])
        except InvalidInput as error:
            raise ApplicationError(str(error), type=REFUSED) from error

    async def take(self, given: ApprovalGiven) -> ApprovalCase:
        """Hand in a signature that was checked; answers when it is stored."""
        case, signer = self.check(given)
        ticket = _Ticket(case, signer, given)
        self._inbox.append(ticket)
        await workflow.wait_condition(lambda: ticket.answer is not None or bool(ticket.error))
        if ticket.answer is None:
            raise ApplicationError(ticket.error, type=REFUSED)
        return ticket.answer

    async def keep(self) -> None:
        """Store what came in, in the order in which it came."""
        while self._inbox:
            ticket = self._inbox[0]
            try:
                kept = await self._keep(ticket)
            except ActivityError as error:
                ticket.error = _refusal(error)
                self._inbox.remove(ticket)
                continue
            ticket.answer = kept or _with(ticket.case, ticket.signer)
            self._inbox.remove(ticket)
            await self._show(kept)

    async def _keep(self, ticket: _Ticket) -> ApprovalCase | None:
        message = KeepApprovalInput(
            request=self._steps.state.request,
            case=ticket.case,
            signer=ticket.signer,
            given=ticket.given,
        )
        return await self._steps.shielded(
            lambda: workflow.execute_activity_method(
                ApprovalActivities.keep_approval,
                message,
                summary=f"approval of {ticket.signer}",
                **ASK,
            )
        )

    async def look(self) -> None:
        """Read what has to be signed, by whom, and who has."""
        message = LookForApprovalsInput(request=self._steps.state.request)
        found = await self._steps.shielded(
            lambda: workflow.execute_activity_method(
                ApprovalActivities.look_for_approvals, message, **ASK
            )
        )
        await self._show(found)

    async def end(self) -> None:
        """Nothing is signed any more; who was about to is told."""
        self.case = None
        for ticket in self._inbox:
            ticket.error = "the order has ended"
        self._inbox.clear()
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _show(self, case: ApprovalCase | None) -> None:
        """Say on the row and in Temporal what is waited for, when it has changed."""
        self.case = case
        stage, words = Stage.SETTLING, "its settlement transaction"
        if case is not None and case.missing:
            stage, words = Stage.AWAITING_APPROVAL, case.words
        elif case is not None:
            words = f"{words}, with {len(case.signed)} approvals"
        elif self._stage is not Stage.AWAITING_APPROVAL:
            return
        if words != self._shown:
            self._stage, self._shown = stage, words
            await self._steps.record(stage, words)


def _refusal(error: ActivityError) -> str:
    """Why a signature was not stored. Raises the error where that is not what it says."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == REFUSED:
        return cause.message
    raise error


def _with(case: ApprovalCase, signer: str) -> ApprovalCase:
    """The case as signed by one more, where the store has nothing newer to say."""
    return case.model_copy(update={"signed": (*case.signed, signer)})
