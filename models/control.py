"""Holds: why trading is not open, and for what."""

from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from models.requests import Side


class HoldKind(StrEnum):
    """Who may lift it: a person, the breaker that measured it clear, the end of a drain."""

    MANUAL = "MANUAL"
    BREAKER = "BREAKER"
    HOUSE = "HOUSE"
    DRAIN = "DRAIN"


class FailureLimit(NamedTuple):
    """So many failed orders within a window hold all trading. most 0: never."""

    most: int = 0
    window: timedelta = timedelta(minutes=10)


class Hold(BaseModel):
    """One reason not to trade. side/symbol empty = all of them. at: ISO 8601 UTC."""

    model_config = ConfigDict(frozen=True)

    key: str
    kind: HoldKind
    reason: str
    who: str
    at: str
    side: Side | None = None
    symbol: str = ""

    def covers(self, side: Side, symbol: str) -> bool:
        """Whether an order of this side and symbol must wait for it."""
        return self.side in (None, side) and self.symbol in ("", symbol)

    @property
    def everything(self) -> bool:
        """Whether it closes trading as a whole."""
        return self.side is None and not self.symbol


LEASE_SECONDS = 2.0
"""How long trading stays open when nobody renews: what a pause waits out where it cannot revoke."""

MANUAL_HOLD = "manual"
"""Key of the hold that `pause` with no scope sets and `resume` lifts."""


DRAIN_HOLD = "drain"
"""Key of the hold under which what was begun ends and nothing new is placed."""


class ControlState(BaseModel):
    """Answer of the query `is_paused` and payload of the lease.

    version grows with every change; paused = some hold covers everything.
    """

    model_config = ConfigDict(frozen=True)

    paused: bool
    version: int
    holds: tuple[Hold, ...] = ()

    def blocking(self, side: Side, symbol: str) -> tuple[Hold, ...]:
        """The holds an order of this side and symbol waits for."""
        return tuple(hold for hold in self.holds if hold.covers(side, symbol))


class HoldCommand(BaseModel):
    """Input of the updates `pause` and `resume`, and of the signals `set_hold`, `lift_hold`.

    cancel_working: also cancel what already works at the broker inside the scope.
    """

    model_config = ConfigDict(frozen=True)

    key: str = MANUAL_HOLD
    kind: HoldKind = HoldKind.MANUAL
    reason: str = ""
    who: str = ""
    side: Side | None = None
    symbol: str = ""
    cancel_working: bool = False


class ControlOrder(BaseModel):
    """A command that waits until the workflow knows the holds. lift False = set."""

    model_config = ConfigDict(frozen=True)

    command: HoldCommand
    lift: bool


class Recall(BaseModel):
    """Call back what works at the broker inside a scope, once the hold of `version` is in force."""

    model_config = ConfigDict(frozen=True)

    version: int
    at: str
    side: Side | None = None
    symbol: str = ""
    reason: str = ""
    who: str = ""


class Recalled(BaseModel):
    """How many orders were told that they are called back."""

    model_config = ConfigDict(frozen=True)

    orders: int


class InFlight(BaseModel):
    """A placement that began before the pause and whose end is not known yet."""

    model_config = ConfigDict(frozen=True)

    remark: str
    since: str


class PauseResult(BaseModel):
    """What a pause or resume achieved: no placement begins after it, except those in flight.

    woken: orders that were waiting and are being woken. cancelling: working orders that are being
    cancelled at the broker. note: what the caller should know, e.g. that Redis could not be asked
    and the lease was left to expire.
    """

    model_config = ConfigDict(frozen=True)

    state: ControlState
    in_flight: tuple[InFlight, ...] = ()
    woken: int = 0
    cancelling: int = 0
    note: str = ""


class Permit(BaseModel):
    """The right to begin one placement, registered as in flight. since: ISO 8601 UTC."""

    model_config = ConfigDict(frozen=True)

    remark: str
    version: int
    since: str


class Refusal(BaseModel):
    """Why no placement may begin: a break-glass halt, no lease, or these holds."""

    model_config = ConfigDict(frozen=True)

    reason: str
    holds: tuple[Hold, ...] = ()
    halted: bool = False


class ControlChange(BaseModel):
    """One change of the holds, for the audit log. lifted False = set. at: ISO 8601 UTC."""

    model_config = ConfigDict(frozen=True)

    version: int
    hold: Hold
    lifted: bool
    who: str
    reason: str
    at: str


class AppliedControl(BaseModel):
    """What came of making a state known. stale: a newer version is stored, nothing was changed.

    waiting: held orders, as far as the store could say.
    """

    model_config = ConfigDict(frozen=True)

    version: int
    in_flight: tuple[InFlight, ...] = ()
    stale: bool = False
    waiting: int = 0
    note: str = ""


class RecordControlInput(BaseModel):
    """Write the holds as they are, and the changes that led there; idempotent by version."""

    model_config = ConfigDict(frozen=True)

    state: ControlState
    changes: tuple[ControlChange, ...] = ()


class ControlCarry(BaseModel):
    """What one run of the control workflow leaves to the next.

    applied: the newest state that was made known; recorded: the version on record.
    """

    model_config = ConfigDict(frozen=True)

    state: ControlState
    unrecorded: tuple[ControlChange, ...] = ()
    wake: bool = False
    recalls: tuple[Recall, ...] = ()
    applied: AppliedControl | None = None
    recorded: int = -1
