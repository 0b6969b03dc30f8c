"""What an order workflow remembers, and the signals that reach it before and during its run."""

from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import SearchAttributeKey

from models.broker import BrokerOrder, BrokerStatus
from models.messages import OrderPolicy
from models.operating import OperatorAct
from models.order import Reason, Stage
from models.records import ItemKind
from models.requests import OrderRequest

STAGE_ATTRIBUTE = "Stage"
_ATTRIBUTE_BYTES = 2048


def bounded(text: str, size: int = _ATTRIBUTE_BYTES) -> str:
    """Text cut to what a search attribute may hold: a longer one makes the server end the run."""
    return text.encode()[:size].decode(errors="ignore")


def over(order: BrokerOrder) -> bool:
    """Whether nothing more will be filled; a fill that was taken back is over for ever, too."""
    return order.dead or order.status is BrokerStatus.FILL_CANCELLED


class OrderState:
    """The mutable part of one order's run.

    recalled: a pause wants back what works at the broker now; the request itself stays.
    woken: somebody asked us to look again. heard: a push brought something about a broker order.
    approvable: the item was there already, refused for something that approvals go past.
    sending: an attempt is on its way to the broker. resolving: it is not known what became of one.
    decided: what is to happen in the vault. operator: who ended it, where it was an operator.
    """

    def __init__(self, request: OrderRequest) -> None:
        self.request = request
        self.policy = OrderPolicy()
        self.deadline = 0
        self.indicative = ""
        self.attempt = 1
        self.tries = 0
        self.stage = Stage.CONFIRMING
        self.order: BrokerOrder | None = None
        self._early: dict[str, BrokerOrder] = {}
        self.cancel_wanted = False
        self.recalled = False
        self.woken = False
        self.heard = False
        self.settled = False
        self.approvable = False
        self.sending = False
        self.resolving = False
        self.decided: ItemKind | None = None
        self.operator: OperatorAct | None = None
        self._version = 0
        self._attribute: Stage | None = None

    def begin_versions(self, version: int) -> None:
        """Start numbering row writes where the store said."""
        self._version = version - 1

    def next_version(self) -> int:
        """The version of the next row write."""
        self._version += 1
        return self._version

    def wake(self) -> None:
        """Something may have changed: look again."""
        self.woken = True

    def cancel(self) -> None:
        """The user (or an operator) wants out."""
        self.cancel_wanted = True
        self.woken = True

    @property
    def cancelled_by(self) -> tuple[Reason, str]:
        """Why it is refunded when it is cancelled before it was sent, and in words."""
        if self.operator is not None:
            return Reason.OPERATOR, self.operator.words
        return Reason.USER_CANCELLED, "cancelled before it was sent"

    def recall(self) -> None:
        """The desk wants back what is at the broker, or on its way there."""
        self.recalled = True
        self.woken = True

    def mark_settled(self) -> None:
        """The settlement workflow says that the vault has an end for this request."""
        self.settled = True
        self.woken = True

    def see_order(self, *args: Any) -> None:
        """Take a hint about the broker order; anything unreadable is only a wake-up."""
        try:
            seen = BrokerOrder.model_validate(args[0])
        except (IndexError, ValidationError):
            self.woken = True
            return
        if self.order is None or self.order.order_id != seen.order_id:
            # A push may overtake the answer of the placement it belongs to.
            self._early = {**dict(list(self._early.items())[-7:]), seen.order_id: seen}
            self.heard = True
            return
        self.take(seen)

    def adopt(self, order: BrokerOrder) -> None:
        """Follow this order from now on, with what was already heard of it."""
        self.order = order
        early = self._early.pop(order.order_id, None)
        if early is not None:
            self.take(early)
        self.heard = False

    def take(self, seen: BrokerOrder) -> None:
        """Keep the newer view of our order: fills only grow, dead stays dead."""
        known = self.order
        if known is None or seen == known:
            return
        taken_back = seen.status is BrokerStatus.FILL_CANCELLED
        if not taken_back and (seen.filled < known.filled or (over(known) and not over(seen))):
            return
        self.heard = True
        self.order = seen

    def until_expiry(self) -> float:
        """Seconds in which an order may still be placed or left working; never quite 0."""
        return max(self.deadline - self.policy.deadline_margin - workflow.time(), 0.001)

    def expired(self) -> bool:
        """Whether no order may be placed or left working any more."""
        return workflow.time() >= self.deadline - self.policy.deadline_margin

    def show(self, stage: Stage, words: str) -> None:
        """Say in the Temporal Web UI what the order waits for."""
        self.stage = stage
        quote = f"  \nquoted: {self.indicative}" if self.indicative else ""
        workflow.set_current_details(f"**{stage.value}** {words}{quote}")

    def show_waiting(self, stage: Stage, words: str) -> None:
        """The same, and findable by search attribute: only for waits, each costs an action."""
        self.show(stage, words)
        if stage is not self._attribute:
            self._attribute = stage
            key = SearchAttributeKey.for_keyword(STAGE_ATTRIBUTE)
            workflow.upsert_search_attributes([key.value_set(bounded(stage.value))])

    def show_progress(self, stage: Stage, words: str) -> None:
        """What follows a wait: the attribute is corrected if a wait had set it."""
        if self._attribute is None:
            self.show(stage, words)
        else:
            self.show_waiting(stage, words)
