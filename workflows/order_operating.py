"""What operators ask of an order: allowed or refused by where it is, noted, and only then done."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.operating import OperatingActivities
from models.operating import NOT_NOW, NoteActInput, OperatorAct, OperatorAnswer, Verb
from models.records import ItemKind
from workflows.order_state import OrderState, over
from workflows.policies import ASK

_DONE = {
    Verb.RETRY: "it looks again now",
    Verb.REFUND: "its money goes back with the next settlement transaction",
    Verb.CANCEL: "what is not filled is cancelled, and goes back; what is filled is settled",
}
_SENDING_PATIENCE = timedelta(seconds=3)
"""How long a refund waits, twice at most, for an attempt on its way; callers wait 8 s."""


class OrderOperating:
    """Acts of operators on one order. A cancel is what a user's is: harmless wherever it lands."""

    def __init__(self, state: OrderState) -> None:
        self._state = state

    def check(self, act: OperatorAct) -> None:
        """Refuse what the order's state does not allow.

        Raises:
            ApplicationError: with the sentence that says why.
        """
        self._refuse(self._refusal(act.verb))

    def _refuse(self, why: str) -> None:
        if why:
            raise ApplicationError(why, type=NOT_NOW)

    async def take(self, act: OperatorAct) -> OperatorAnswer:
        """Note it in the audit log, look once more whether it is allowed, and do it."""
        state, update = self._state, workflow.current_update_info()
        await self._settled(act.verb)
        message = NoteActInput(
            request=state.request,
            act=act,
            act_id=update.id if update else workflow.info().run_id,
            stage=state.stage,
        )
        await workflow.execute_activity_method(
            OperatingActivities.note_operator_act,
            message,
            summary=f"{act.verb.value} by {act.who}",
            **ASK,
        )
        # A held order looks again by itself, so it may be on its way once more by now.
        await self._settled(act.verb)
        if act.verb is Verb.RETRY:
            # Also while it waits for its settlement, which no mere wake-up ends.
            state.mark_settled()
        else:
            state.operator = act
            state.cancel()
        return OperatorAnswer(verb=act.verb, stage=state.stage, words=_DONE[act.verb])

    async def _settled(self, verb: Verb) -> None:
        """Wait until no attempt is on its way, for a refund only, and refuse what then must be."""
        state = self._state
        if verb is Verb.REFUND and state.sending:
            with suppress(asyncio.TimeoutError):
                await workflow.wait_condition(lambda: not state.sending, timeout=_SENDING_PATIENCE)
            if state.sending:
                self._refuse(
                    "it is being sent to the broker at this moment: ask again, or cancel it"
                )
        self._refuse(self._refusal(verb))

    def _refusal(self, verb: Verb) -> str:
        if verb is Verb.RETRY:
            return ""
        return self._too_late() or (self._not_yet() if verb is Verb.REFUND else "")

    def _too_late(self) -> str:
        """Why nothing can be ended any more."""
        state = self._state
        if state.decided is ItemKind.REFUND:
            return "its refund is under way already"
        if state.decided is not None or (
            state.order is not None and over(state.order) and state.order.filled
        ):
            return "it was filled and is being settled: after a fill the only way is forward"
        return ""

    def _not_yet(self) -> str:
        """Why the money cannot go back as things are."""
        state, order = self._state, self._state.order
        if order is not None and order.filled:
            return (
                f"{order.filled} shares are filled: after a fill the only way is forward; "
                "cancel ends the rest"
            )
        if state.resolving:
            return (
                "whether the broker has it is not known yet, and money that goes back now could be "
                "paid twice: it is decided by itself"
            )
        if state.sending:
            return ""  # Where it ends is waited for.
        if order is not None:
            return (
                f"order {order.order_id} works at the broker: cancel it, and what does not fill "
                "goes back"
            )
        return ""
