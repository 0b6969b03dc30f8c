"""What is known of one order when somebody asks why it is stuck, and what may be done. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from models.broker import BrokerOrder
from models.control import Hold
from models.order import TERMINAL_STATUSES, Order, Stage
from models.outlook import UnknownOutlook
from models.records import ClaimState, HousePosition, Placement, SettlementItem
from models.requests import OrderRequest, Side, VaultRequest, VaultStatus


class Cause(StrEnum):
    """What an order waits for."""

    ENDED = "ENDED"
    NOT_ASKED = "NOT_ASKED"
    NOT_IN_VAULT = "NOT_IN_VAULT"
    NOT_SEEN = "NOT_SEEN"
    ROW_STALE = "ROW_STALE"
    NO_WORKFLOW = "NO_WORKFLOW"
    RECLAIMABLE = "RECLAIMABLE"
    STEP_FAILS = "STEP_FAILS"
    NO_WORKER = "NO_WORKER"
    OWED = "OWED"
    ITEM_REFUSED = "ITEM_REFUSED"
    APPROVAL = "APPROVAL"
    SETTLING = "SETTLING"
    UNKNOWN_OUTCOME = "UNKNOWN_OUTCOME"
    CANCELLING = "CANCELLING"
    WORKING = "WORKING"
    CONFIRMING = "CONFIRMING"
    CLOSED = "CLOSED"
    HELD = "HELD"
    SESSION = "SESSION"
    QUEUED = "QUEUED"
    GUARD = "GUARD"
    RUNS = "RUNS"


class Verb(StrEnum):
    """What a person may do. RESUME: have its workflow run. RECHECK: have it look again now.

    REFUND: have it given back, as if its owner had cancelled.
    """

    RESUME = "resume"
    RECHECK = "recheck"
    REFUND = "refund"


@dataclass(frozen=True)
class Step:
    """One activity that has not come to its end. since: UTC. failure: what the last try said."""

    name: str
    attempt: int
    started: bool
    since: datetime | None = None
    failure: str = ""


@dataclass(frozen=True)
class Run:
    """Its workflow. running False: none runs now; ended: how the last one did, "" = never one."""

    running: bool
    ended: str = ""
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Facts:
    """All sources on one order. None where a source could not be asked: unread says which and why.

    now: UTC. terms: the vault's word; status NONE and no terms: it has no such request. holds:
    those that cover it. closed: why no placement may begin at all, "" while trading is open.
    """

    now: datetime
    row: Order | None
    status: VaultStatus | None
    terms: VaultRequest | None = None
    run: Run | None = None
    claims: tuple[Placement, ...] = ()
    orders: tuple[BrokerOrder, ...] = ()
    item: SettlementItem | None = None
    holds: tuple[Hold, ...] = ()
    closed: str = ""
    outlook: UnknownOutlook | None = None
    house: tuple[HousePosition, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def side(self) -> Side:
        """BUY or SELL."""
        if self.terms is not None:
            return self.terms.side
        return self.row.order_type if self.row is not None else Side.BUY

    @property
    def stage(self) -> Stage | None:
        """As its row says."""
        return self.row.stage if self.row is not None else None

    @property
    def since(self) -> datetime | None:
        """Since when its row has said what it says, UTC."""
        return None if self.row is None else self.row.updated_at.replace(tzinfo=UTC)

    @property
    def row_ended(self) -> bool:
        """Whether the row says an end."""
        return self.row is not None and self.row.status in TERMINAL_STATUSES

    @property
    def vault_ended(self) -> bool:
        """Whether the vault says one."""
        return self.status not in (None, VaultStatus.OPEN, VaultStatus.NONE)

    @property
    def runs(self) -> bool:
        """Whether a workflow is known to run."""
        return self.run is not None and self.run.running

    @property
    def filled(self) -> int:
        """Whole shares filled for it."""
        return sum(order.filled for order in self.orders)

    @property
    def unknown(self) -> Placement | None:
        """The attempt of which nobody knows what became, if there is one."""
        return next((claim for claim in self.claims if claim.state is ClaimState.CLAIMED), None)

    @property
    def working(self) -> BrokerOrder | None:
        """Its order that may still fill."""
        return next((order for order in self.orders if order.alive), None)

    @property
    def deadline(self) -> datetime | None:
        """When its owner wants it back at the latest, UTC."""
        return _moment(self.terms.deadline if self.terms else self.row.deadline if self.row else 0)

    @property
    def reclaim_at(self) -> datetime | None:
        """From when its owner may take it back alone, UTC."""
        unix = self.terms.reclaim_at if self.terms else self.row.reclaim_at if self.row else 0
        return _moment(unix)

    def why_not(self, verb: Verb) -> str:
        """Why a verb may not be done; empty: it may."""
        return self._no_refund() if verb is Verb.REFUND else self._no_look()

    def _no_look(self) -> str:
        if self.status is None:
            return "the chain could not be asked"
        return "it has ended" if self.vault_ended and self.row_ended else ""

    def _no_refund(self) -> str:
        """Before a fill, and only when what was sent is known."""
        if self.status is not VaultStatus.OPEN:
            return "the chain could not be asked" if self.status is None else "it is not open"
        if self.run is None or not self.runs:
            return "no workflow runs that could do it: resume it first"
        if self.item is not None:
            return f"its {self.item.kind.lower()} is decided already"
        if self.filled:
            return f"{self.filled} share(s) are filled: the only way is forward"
        if self.unknown is not None:
            return f"the outcome of attempt {self.unknown.attempt} is unknown: it is looked for"
        if self.working is not None:
            return f"order {self.working.order_id} works at the broker: cancel it"
        return ""


class Diagnosis(BaseModel):
    """Why an order is where it is. since, by_when: UTC; by_when None: nobody can say.

    by_itself: what happens without anybody. may: what a person may do. notes: what else is known,
    and what could not be asked.
    """

    model_config = ConfigDict(frozen=True)

    cause: str
    words: str
    by_itself: str
    since: datetime | None = None
    by_when: datetime | None = None
    may: tuple[Verb, ...] = ()
    person: str = ""
    notes: tuple[str, ...] = ()


def order_request(facts: Facts) -> OrderRequest | None:
    """What its workflow is started with; None where neither row nor vault says."""
    row, terms = facts.row, facts.terms
    if terms is not None:
        return OrderRequest(
            **terms.model_dump(include={"chain_id", "vault", "n", "request_id", "side"}),
            user=terms.owner,
            symbol=row.symbol if row is not None else "",
            tx_hash=row.tx_hash if row is not None else "",
            created_block=terms.created_block,
        )
    if row is None:
        return None
    return OrderRequest(
        chain_id=row.chain_id,
        vault=row.vault,
        n=row.request_number,
        request_id=row.request_id,
        side=row.order_type,
        user=row.user_addr,
        symbol=row.symbol,
        tx_hash=row.tx_hash,
        created_block=row.created_block,
    )


def made(
    facts: Facts,
    cause: Cause,
    words: str,
    by_itself: str,
    *,
    by_when: datetime | None = None,
    person: str = "",
    since: datetime | None = None,
) -> Diagnosis:
    """A diagnosis; since when: as the row says unless told."""
    return Diagnosis(
        cause=cause,
        words=words,
        by_itself=by_itself,
        since=since or facts.since,
        by_when=by_when,
        person=person,
    )


def _moment(unix: int) -> datetime | None:
    return datetime.fromtimestamp(unix, UTC) if unix else None
