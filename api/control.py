"""Pause, resume, and whether trading is open."""

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Header, Response
from pydantic import BaseModel, ConfigDict, Field

from api.doors import Asking
from api.errors import described
from api.switch import SwitchAnswer, TradingSwitch
from models.access import Caller
from models.control import Hold, HoldCommand, InFlight
from models.errors import InvalidInput, SourceUnavailable
from models.requests import Side

if TYPE_CHECKING:
    from clients.flags import Flags

_HELD: dict[str, Any] = {
    "key": "manual",
    "kind": "MANUAL",
    "reason": "exchange maintenance",
    "who": "ada",
    "at": "2026-01-05T14:30:00+00:00",
    "side": None,
    "symbol": "",
}
_BODY_EXAMPLES: dict[str, Any] = {
    "everything": {"value": {"reason": "exchange maintenance", "who": "ada"}},
    "one symbol": {"value": {"reason": "stock split", "who": "ada", "symbol": "AAPL"}},
    "and cancel": {"value": {"reason": "wrong price", "who": "ada", "cancel_working": True}},
    "buying only": {"value": {"reason": "float is low", "who": "ada", "side": "BUY"}},
}


class ControlBody(BaseModel):
    """Why, and for what; without side and symbol it is for everything.

    who: only read with a key of the settings, which has no name; else it is the key's name.
    """

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=240)
    who: str = Field("", max_length=60)
    side: Side | None = None
    symbol: str = Field("", max_length=24, pattern=r"^[A-Za-z0-9.\-]*$")
    cancel_working: bool = Field(
        False, description="pause only: also cancel at the broker what works inside the scope"
    )

    def command(self, caller: Caller) -> HoldCommand:
        """The command to the control workflow."""
        who = caller.name if caller.named else self.who or "api"
        return HoldCommand(
            reason=self.reason,
            who=who,
            side=self.side,
            symbol=self.symbol.upper(),
            cancel_working=self.cancel_working,
        )


class PauseStatus(BaseModel):
    """Whether trading is open.

    paused: a hold covers everything, or the break-glass halt is set. open: an order that no hold
    covers can be placed. halted: why, when the break-glass halt is set.
    """

    paused: bool
    open: bool
    version: int
    holds: tuple[Hold, ...]
    halted: str | None = None
    in_flight: tuple[InFlight, ...] = ()
    note: str = ""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "paused": True,
                    "open": False,
                    "version": 186_000_123,
                    "holds": [_HELD],
                    "halted": None,
                    "in_flight": [],
                    "note": "",
                }
            ]
        }
    )


class ControlAnswer(PauseStatus):
    """What a pause or resume achieved. After a confirmed pause no placement begins.

    in_flight: placements that began before it and whose end is not known yet. woken: held orders
    that are being woken. cancelling: working orders that are being cancelled at the broker.
    """

    confirmed: bool = True
    woken: int = 0
    cancelling: int = 0


def routes(switch: TradingSwitch, flags: "Flags") -> APIRouter:
    """The control routes."""
    router = APIRouter(tags=["control"])
    down = described(HTTPStatus.SERVICE_UNAVAILABLE)
    errors = described(
        HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY
    )
    pending: dict[int | str, dict[str, Any]] = {
        202: {"model": ControlAnswer, "description": "Stored; no worker has answered yet."}
    }
    answers = {**pending, **errors, **down}

    @router.get("/status/pause", responses=down)
    async def status() -> PauseStatus:
        """Every hold, and whether anything can be placed."""
        return await read_status(switch, flags)

    @router.post("/control/pause", responses=answers)
    async def pause(
        caller: Asking, response: Response, body: _Body = None, key: IdempotencyKey = ""
    ) -> ControlAnswer:
        """Hold trading. When this has answered, no placement begins; those in flight are named."""
        command = (body or ControlBody()).command(caller)
        answer = await switch.pause(command, update_id(caller, command, key))
        return await answered(answer, switch, flags, response)

    @router.post("/control/resume", responses=answers)
    async def resume(
        caller: Asking, response: Response, body: _Body = None, key: IdempotencyKey = ""
    ) -> ControlAnswer:
        """Lift the manual hold of the same scope; other holds stay. Held orders are woken."""
        command = (body or ControlBody()).command(caller)
        answer = await switch.resume(command, update_id(caller, command, key))
        return await answered(answer, switch, flags, response)

    return router


_Body = Annotated[ControlBody | None, Body(openapi_examples=_BODY_EXAMPLES)]
IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        description="The same key with the same body is carried out once and answered alike, "
        "however often its caller sends it",
    ),
]


async def read_status(switch: TradingSwitch, flags: "Flags") -> PauseStatus:
    """Holds from the workflow, halt and in-flight from Redis; without Redis nothing is open.

    Raises:
        SourceUnavailable: Temporal, or a worker to answer, is not there.
    """
    state = await switch.state()
    try:
        halted, in_flight = await flags.halted(), await flags.in_flight()
    except SourceUnavailable as error:
        return PauseStatus(
            paused=state.paused,
            open=False,
            version=state.version,
            holds=state.holds,
            note=f"nothing is placed: {error}",
        )
    paused = state.paused or halted is not None
    return PauseStatus(
        paused=paused,
        open=not paused,
        version=state.version,
        holds=state.holds,
        halted=halted,
        in_flight=in_flight,
    )


async def answered(
    answer: SwitchAnswer, switch: TradingSwitch, flags: "Flags", response: Response
) -> ControlAnswer:
    """What a change came to, as the API says it; 202 where nobody has answered yet."""
    if answer.result is None:
        response.status_code = HTTPStatus.ACCEPTED
        return ControlAnswer(
            confirmed=False, paused=True, open=False, version=0, holds=(), note=answer.note
        )
    state, result = answer.result.state, answer.result
    try:
        halted, note = await flags.halted(), ""
    except SourceUnavailable as error:
        halted, note = None, f"nothing is placed: {error}"
    paused = state.paused or halted is not None
    return ControlAnswer(
        paused=paused,
        open=not (paused or note),
        version=state.version,
        holds=state.holds,
        halted=halted,
        in_flight=result.in_flight,
        woken=result.woken,
        cancelling=result.cancelling,
        note="; ".join(part for part in (result.note, note) if part),
    )


def update_id(caller: Caller, command: HoldCommand, key: str) -> str:
    """One id for the same key, caller and body; whatever differs is another request."""
    if len(key) > 200 or not key.isprintable():
        raise InvalidInput("Idempotency-Key", key[:40], "send at most 200 printable characters")
    if not key:
        return ""
    parts = (caller.name, key, command.model_dump_json())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
