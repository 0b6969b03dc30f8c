"""Stopping and starting: holds, what is in flight, and the two big buttons."""

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from api.control import ControlAnswer, ControlBody, PauseStatus, read_status
from api.dashboard.forms import Form
from api.dashboard.pages import Pages
from api.dashboard.session import PREFIX
from api.doors import Asking
from api.draining import DrainStatus, drain_command, read_drain
from api.switch import SwitchAnswer, TradingSwitch
from models.access import Caller
from models.errors import InvalidInput, SourceUnavailable
from models.requests import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clients.flags import Flags
    from clients.store import Store
    from models.control import HoldCommand

_FRESH_SECONDS = 15.0
_HISTORY = 20
_LONGEST_REASON = 240
_LONGEST_NAME = 60


class TradingLook:
    """Whether trading is open, for the head of every page; the last answer is kept a while."""

    def __init__(self, switch: TradingSwitch, flags: "Flags") -> None:
        self._switch = switch
        self._flags = flags
        self._last: tuple[float, PauseStatus] | None = None

    async def ask(self) -> PauseStatus | None:
        """As it is now; None: nobody can say."""
        try:
            status = await read_status(self._switch, self._flags)
        except SourceUnavailable:
            self._last = None
            return None
        self._last = (time.monotonic(), status)
        return status

    def last(self) -> PauseStatus | None:
        """As it was a moment ago, without asking anybody."""
        if self._last is None or time.monotonic() - self._last[0] > _FRESH_SECONDS:
            return None
        return self._last[1]


def routes(
    pages: Pages, switch: TradingSwitch, flags: "Flags", store: "Store", look: TradingLook
) -> APIRouter:
    """The control page."""
    router = APIRouter(include_in_schema=False)

    async def page(request: Request, status: int = 200, **answer: object) -> Response:
        history = await store.holds.history(_HISTORY)
        return await pages.answer(
            request,
            "control.html",
            status,
            trading=await look.ask(),
            drain=await _drain(switch, flags, store),
            history=[row for row in history if row.lifted_at is not None],
            **({"answer": None, "did": "", "open": ""} | answer),
        )

    @router.get(f"{PREFIX}/state")
    async def state(request: Request) -> Response:
        return pages.rendered(request, "state.html", trading=await look.ask(), asked=True)

    @router.get(f"{PREFIX}/control")
    async def control(request: Request) -> Response:
        return await page(request, open=request.query_params.get("open", ""))

    @router.post(f"{PREFIX}/control/pause")
    async def pause(request: Request, caller: Asking, form: Form) -> Response:
        # Each is a pause of its own: a page that is old would else be given its old answer.
        answer = _answered(await switch.pause(_command(caller, form)))
        return await page(request, _code(answer), answer=answer, did="pause")

    @router.post(f"{PREFIX}/control/resume")
    async def resume(request: Request, caller: Asking, form: Form) -> Response:
        answer = _answered(await switch.resume(_command(caller, form)))
        return await page(request, _code(answer), answer=answer, did="resume")

    @router.post(f"{PREFIX}/control/drain")
    async def drain(request: Request, caller: Asking, form: Form) -> Response:
        answer = _answered(await switch.drain(_drain_command(caller, form)))
        return await page(request, _code(answer), answer=answer, did="drain")

    @router.post(f"{PREFIX}/control/drain/end")
    async def end_drain(request: Request, caller: Asking, form: Form) -> Response:
        answer = _answered(await switch.end_drain(_drain_command(caller, form)))
        return await page(request, _code(answer), answer=answer, did="resume")

    return router


async def _drain(switch: TradingSwitch, flags: "Flags", store: "Store") -> DrainStatus | None:
    try:
        return await read_drain(switch, flags, store)
    except SourceUnavailable:
        return None


def _drain_command(caller: Caller, form: "Mapping[str, str]") -> "HoldCommand":
    command = _command(caller, form)
    return drain_command(command.reason, command.who)


def _command(caller: Caller, form: "Mapping[str, str]") -> "HoldCommand":
    reason, who, symbol = (form.get(name, "") for name in ("reason", "who", "symbol"))
    if len(reason) > _LONGEST_REASON:
        raise InvalidInput("reason", reason[:40], f"use at most {_LONGEST_REASON} characters")
    if len(who) > _LONGEST_NAME:
        raise InvalidInput("who", who[:40], f"use at most {_LONGEST_NAME} characters")
    side = form.get("side", "")
    if side not in ("", *Side):
        raise InvalidInput("side", side[:40], f"use one of {', '.join(Side)}, or leave it out")
    working = form.get("cancel_working") == "yes"
    chosen = Side(side) if side else None
    body = ControlBody(reason=reason, who=who, side=chosen, cancel_working=working)
    if symbol:
        body = ControlBody.model_validate(body.model_dump() | {"symbol": symbol})
    return body.command(caller)


def _answered(answer: SwitchAnswer) -> ControlAnswer:
    if answer.result is None:
        return ControlAnswer(
            confirmed=False, paused=True, open=False, version=0, holds=(), note=answer.note
        )
    result = answer.result
    return ControlAnswer(
        paused=result.state.paused,
        open=not result.state.paused,
        version=result.state.version,
        holds=result.state.holds,
        in_flight=result.in_flight,
        woken=result.woken,
        cancelling=result.cancelling,
        note=result.note,
    )


def _code(answer: ControlAnswer) -> int:
    return HTTPStatus.OK if answer.confirmed else HTTPStatus.ACCEPTED
