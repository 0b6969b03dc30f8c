"""What an operator may ask of one order, and what is answered."""

from enum import StrEnum

from models.messages import Message
from models.order import Stage
from models.requests import OrderRequest

NOT_NOW = "NotNow"
"""Type of the error with which an order's workflow refuses an act."""
WHO_CHARACTERS = 60
WHY_CHARACTERS = 240


class Verb(StrEnum):
    """RETRY: look again now. REFUND: give the money back, nothing is at the broker.

    CANCEL: end what is not filled, wherever it is; what is filled is settled.
    """

    RETRY = "retry"
    REFUND = "refund"
    CANCEL = "cancel"


class OperatorAct(Message):
    """Who wants what of an order, and why."""

    verb: Verb
    who: str
    reason: str

    @property
    def words(self) -> str:
        """For the refund's detail."""
        return f"operator {self.who}: {self.reason or 'no reason given'}"


class OperatorAnswer(Message):
    """What came of it. stage: of the order at that moment. words: what happens now."""

    verb: Verb
    stage: Stage
    words: str


class NoteActInput(Message):
    """Write an act into the audit log. act_id: of the update; the same one is written once."""

    request: OrderRequest
    act: OperatorAct
    act_id: str
    stage: Stage
