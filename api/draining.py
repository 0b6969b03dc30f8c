"""Draining before an upgrade: nothing new is placed, and the numbers say what still runs."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, ConfigDict, Field

from api.control import ControlAnswer, IdempotencyKey, answered, update_id
from api.doors import Asking
from api.errors import described
from api.switch import TradingSwitch
from models.access import Caller
from models.control import DRAIN_HOLD, HoldCommand, HoldKind
from models.order import AT_BROKER, Stage
from models.records import ClaimState

if TYPE_CHECKING:
    from clients.flags import Flags
    from clients.store import Store

_WAITING = (Stage.CONFIRMING, Stage.HELD, Stage.WAITING_SESSION, Stage.QUEUED)
_FOR_OTHERS = (Stage.AWAITING_APPROVAL, Stage.OWED)


class DrainBody(BaseModel):
    """Why. who: only read with a key of the settings, which has no name; else the key's name."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "upgrade", "who": "ada"}]}
    )

    reason: str = Field("", max_length=200)
    who: str = Field("", max_length=60)

    def command(self, caller: Caller) -> HoldCommand:
        """The command to the control workflow."""
        return drain_command(self.reason, caller.name if caller.named else self.who or "api")


class DrainStatus(BaseModel):
    """How far a drain is.

    placing: being sent to the broker, or nobody knows yet what became of that. working: at the
    broker. settling: the settlement is on its way. waiting: held until the drain ends. for_others:
    wait for signatures or for money, which a restart does not disturb. empty: a drain is on, and
    nothing is placing, working or settling.
    """

    draining: bool
    reason: str = ""
    placing: int
    working: int
    settling: int
    waiting: int
    for_others: int
    empty: bool

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "draining": True,
                    "reason": "upgrade",
                    "placing": 0,
                    "working": 3,
                    "settling": 1,
                    "waiting": 12,
                    "for_others": 0,
                    "empty": False,
                }
            ]
        }
    )


def drain_command(reason: str, who: str) -> HoldCommand:
    """The hold that a drain sets, and its end lifts."""
    return HoldCommand(key=DRAIN_HOLD, kind=HoldKind.DRAIN, reason=reason, who=who)


async def read_drain(switch: TradingSwitch, flags: "Flags", store: "Store") -> DrainStatus:
    """What is still under way.

    Raises:
        SourceUnavailable: Temporal, Redis or the database could not be asked: nothing is known.
    """
    state = await switch.state()
    remarks = {flight.remark for flight in await flags.in_flight()}
    claims = await store.placements.open_claims()
    remarks |= {claim.remark for claim in claims if claim.state is ClaimState.CLAIMED}
    # Read last: what was placed meanwhile shows here.
    by_stage = (await store.orders.counts()).by_stage
    drain = next((hold for hold in state.holds if hold.kind is HoldKind.DRAIN), None)
    working = sum(by_stage.get(stage, 0) for stage in AT_BROKER)
    settling = by_stage.get(Stage.SETTLING, 0)
    return DrainStatus(
        draining=drain is not None,
        reason=drain.reason if drain else "",
        placing=len(remarks),
        working=working,
        settling=settling,
        waiting=sum(by_stage.get(stage, 0) for stage in _WAITING),
        for_others=sum(by_stage.get(stage, 0) for stage in _FOR_OTHERS),
        empty=drain is not None and not (remarks or working or settling),
    )


def routes(switch: TradingSwitch, flags: "Flags", store: "Store") -> APIRouter:
    """The routes of a drain."""
    router = APIRouter(tags=["control"])
    down = described(HTTPStatus.SERVICE_UNAVAILABLE)
    pending: dict[int | str, dict[str, Any]] = {
        202: {"model": ControlAnswer, "description": "Stored; no worker has answered yet."}
    }
    refused = described(
        HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY
    )
    answers = {**pending, **refused, **down}

    @router.get("/status/drain", responses=down)
    async def status() -> DrainStatus:
        """Whether a drain is on, and what is still under way."""
        return await read_drain(switch, flags, store)

    @router.post("/control/drain", responses=answers)
    async def drain(
        caller: Asking, response: Response, body: _Body = None, key: IdempotencyKey = ""
    ) -> ControlAnswer:
        """Stop intake: new requests are recorded and wait, HELD; what was placed goes on.

        `GET /status/drain` says when nothing is under way any more.
        """
        command = (body or DrainBody()).command(caller)
        answer = await switch.drain(command, update_id(caller, command, key))
        return await answered(answer, switch, flags, response)

    @router.post("/control/drain/end", responses=answers)
    async def end(
        caller: Asking, response: Response, body: _Body = None, key: IdempotencyKey = ""
    ) -> ControlAnswer:
        """End the drain, and wake the orders that waited for it. Other holds stay."""
        command = (body or DrainBody()).command(caller)
        answer = await switch.end_drain(command, update_id(caller, command, key))
        return await answered(answer, switch, flags, response)

    return router


_Body = Annotated[DrainBody | None, Body()]
