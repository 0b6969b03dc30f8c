"""One frozen message in and one out per activity. Fields are added with defaults, never repurposed.

`version` is the order row's version that the workflow issued for the write this activity makes.
"""

from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from models.approvals import ApprovalCase, ApprovalGiven
from models.broker import BrokerOrder
from models.order import Reason, Stage
from models.records import ClaimState, ItemKind, ItemState
from models.requests import BlockRef, OrderRequest, VaultRequest, VaultStatus


class Message(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(frozen=True)


# --- the order itself -------------------------------------------------------------------------


class AdmitInput(Message):
    """Begin (or begin again) one order: read the vault, have a row, see what was already done."""

    request: OrderRequest
    workflow_id: str


class ClaimView(Message):
    """One claim row: attempt, state and, once known, the broker's id."""

    attempt: int
    state: ClaimState
    remark: str
    broker_order_id: str = ""
    send_by: float = 0.0


class ItemView(Message):
    """The settlement item of a request and how far it has come."""

    kind: ItemKind
    state: ItemState
    taken: int
    out: int
    fee: int
    tx_hash: str = ""
    rejection: str = ""


class OrderPolicy(Message):
    """The settings an order lives by, fixed in its history when it begins. In seconds, but tries.

    order_timeout: how long an order may work before we cancel it. deadline_margin: nothing is
    placed or left working this close to the deadline. gate_backstop, backstop: re-check without
    a signal. place_timeout: longest a placing activity may take. run_events: continue as new from
    so many events of history on; 0 = when the server suggests it.
    """

    order_timeout: float = 300.0
    deadline_margin: float = 120.0
    tries: int = 3
    try_pause: float = 5.0
    gate_backstop: float = 600.0
    backstop: float = 60.0
    place_timeout: float = 60.0
    run_events: int = 0


class AdmitResult(Message):
    """What a run begins with. terms is None when the vault (both endpoints) has no such request.

    version: first version this run may write. confirmations_missing: blocks until it is deep enough
    for what it is worth; waits_for: the same in words. indicative: what it would come to at the
    feed's price, in words.
    """

    terms: VaultRequest | None
    head: BlockRef
    version: int
    symbol: str
    confirmations_missing: int
    policy: OrderPolicy = OrderPolicy()
    retry_count: int = 0
    claims: tuple[ClaimView, ...] = ()
    item: ItemView | None = None
    indicative: str = ""
    waits_for: str = ""


class ReadRequestInput(Message):
    """Ask the vault about one request again. version: to show on the row what it waits for."""

    request: OrderRequest
    version: int = 0


class ReadRequestResult(Message):
    """The vault's answer; terms None = both endpoints have no such request.

    confirmations_missing: blocks until it is deep enough; waits_for: the same in words.
    """

    terms: VaultRequest | None
    head: BlockRef
    confirmations_missing: int
    waits_for: str = ""


class RecordStageInput(Message):
    """Show a stage (and why) on the row; also how a waiting order registers before it re-checks."""

    request: OrderRequest
    version: int
    stage: Stage
    waiting_for: str = ""
    retry_count: int = 0


class PlaceOutcome(StrEnum):
    """What came of one try to place."""

    PLACED = "PLACED"
    HELD = "HELD"
    WAITING_SESSION = "WAITING_SESSION"
    NO_HEADROOM = "NO_HEADROOM"
    SOURCE_DOWN = "SOURCE_DOWN"
    RATE_LIMITED = "RATE_LIMITED"
    REJECTED = "REJECTED"
    REFUND = "REFUND"
    ENDED = "ENDED"
    GONE = "GONE"
    NOT_CONFIRMED = "NOT_CONFIRMED"
    RESOLVE = "RESOLVE"


class PlaceOrderInput(Message):
    """One attempt. It is sent at most once, whoever asks how often: (request id, attempt)."""

    request: OrderRequest
    attempt: int
    version: int
    retry_count: int = 0


class PlaceOrderResult(Message):
    """PLACED, or why not.

    Waits: HELD, WAITING_SESSION, NO_HEADROOM, SOURCE_DOWN, RATE_LIMITED, NOT_CONFIRMED
    (retry_seconds = when to try again without being woken). REJECTED = the broker's answer, a try.
    REFUND = `reason` says why. ENDED = the vault has an end for it. GONE = no such request.
    RESOLVE = a claim already exists or the answer was lost: find out first. attempt_used: this
    attempt's claim exists (burnt), so the next try must be the next attempt. guard: which guard of
    price or market stopped it (models.guard), empty where none did.
    """

    outcome: PlaceOutcome
    detail: str = ""
    reason: Reason = Reason.NONE
    retry_seconds: float = 0.0
    attempt_used: bool = False
    order: BrokerOrder | None = None
    quantity: int = 0
    price: Decimal = Decimal(0)
    status: VaultStatus = VaultStatus.OPEN
    guard: str = ""


class ResolveInput(Message):
    """Find out what became of one attempt; idempotent. cause: why nobody knows, for people."""

    request: OrderRequest
    attempt: int
    version: int
    cause: str = ""


class Resolution(StrEnum):
    """What became of an attempt.

    FOUND: the broker has it. ABSENT: proven not there. NEVER_SENT: the attempt is burnt, nobody can
    send it any more. REJECTED: it was answered with no. WAIT: not provable yet.
    """

    FOUND = "FOUND"
    ABSENT = "ABSENT"
    NEVER_SENT = "NEVER_SENT"
    REJECTED = "REJECTED"
    WAIT = "WAIT"


class ResolveResult(Message):
    """What became of the attempt; retry_seconds = when to ask again on WAIT."""

    resolution: Resolution
    order: BrokerOrder | None = None
    detail: str = ""
    retry_seconds: float = 0.0


class ReadOrderInput(Message):
    """Read one placed order from the broker's book as last polled."""

    request: OrderRequest
    attempt: int


class ReadOrderResult(Message):
    """The order, None when the book does not hold it yet, and the vault's word on the request.

    outdated: it works for shares that a split has ended, or is about to end.
    """

    order: BrokerOrder | None
    cancel_requested: bool = False
    status: VaultStatus = VaultStatus.OPEN
    outdated: bool = False


class CancelOrderInput(Message):
    """Ask the broker to cancel; asking twice is harmless, the book tells the end."""

    request: OrderRequest
    attempt: int
    broker_order_id: str
    version: int
    why: str


class CancelOrderResult(Message):
    """accepted = the broker took the cancel or the order was already dead."""

    accepted: bool
    detail: str = ""


class EnqueueInput(Message):
    """Write the one settlement item of a request and wake the settlement workflow.

    SETTLE: what the request's placed attempts filled, read from the broker's book; REFUND: all
    back, refused while any attempt could still fill; what has filled after all is settled instead.
    began: when this run of the order began, Unix seconds; 0 = not told.
    """

    request: OrderRequest
    version: int
    kind: ItemKind
    reason: Reason = Reason.NONE
    detail: str = ""
    began: float = 0.0


class EnqueueResult(Message):
    """The item as it stands (an earlier one wins). refused: why nothing could be written yet."""

    item: ItemView | None
    refused: str = ""


class CloseInput(Message):
    """Write the end on the row, from the vault's word."""

    request: OrderRequest
    version: int
    reason: Reason
    detail: str = ""


class CloseResult(Message):
    """closed = the vault has an end for the request and the row shows it.

    Not closed at stage OWED: it is settled, and the vault still owes some of the payout; at stage
    AWAITING_APPROVAL: the vault refused its item for something that approvals go past.
    item_missing: the store has no item any more, so nothing will end it.
    """

    closed: bool
    status: VaultStatus
    stage: Stage
    detail: str = ""
    item_missing: bool = False


class LookForApprovalsInput(Message):
    """What the order's item waits for: which signatures, and who has given one."""

    request: OrderRequest


class KeepApprovalInput(Message):
    """Store a signature. case: what was signed; signer: who, as recovered from it."""

    request: OrderRequest
    case: ApprovalCase
    signer: str
    given: ApprovalGiven


class OrderOutcome(Message):
    """Result of an order workflow, for people; the vault is the truth."""

    status: VaultStatus
    stage: Stage
    detail: str = ""


class WatchChainInput(Message):
    """How often the vault is looked at without being woken, seconds.

    starts_per_second: how many workflows a backlog starts a second at most.
    """

    poll_seconds: float = 3.0
    starts_per_second: float = 200.0


# --- control ----------------------------------------------------------------------------------


class WakeHeldInput(Message):
    """Wake held orders after a resume, oldest first, at a steady pace."""

    per_second: int = 200


class WakeHeldResult(Message):
    """How many were signalled."""

    woken: int


class ReconcileResult(Message):
    """Counts of one run."""

    run: int
    requests: int = 0
    started: int = 0
    nudged: int = 0
    booked: int = 0
    findings: int = 0
    alarms: int = 0
    mended: int = 0


class AuditHeadResult(Message):
    """seq: entry up to which the log is signed for. fault: why it was not signed further."""

    seq: int
    signed: bool = False
    fault: str = ""
