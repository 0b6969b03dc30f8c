"""An operator's verbs on one order, from its page."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from api.dashboard.forms import Form
from api.dashboard.orders import OrderPages
from api.dashboard.session import PREFIX
from api.doors import Asking
from api.operating import OrderDesk
from models.access import Caller
from models.errors import Conflict, InvalidInput
from models.operating import WHO_CHARACTERS, WHY_CHARACTERS, OperatorAct, Verb


def routes(pages: OrderPages, desk: OrderDesk) -> APIRouter:
    """One route a verb."""
    router = APIRouter(include_in_schema=False)
    for verb in Verb:
        _add(router, pages, desk, verb)
    return router


def _add(router: APIRouter, pages: OrderPages, desk: OrderDesk, verb: Verb) -> None:
    @router.post(f"{PREFIX}/orders/{{key}}/{verb.value}")
    async def act(request: Request, caller: Asking, key: str, form: Form) -> Response:
        try:
            answer = await desk.tell(key, _act(verb, caller, form))
        except Conflict as error:
            return await pages.order(request, key, HTTPStatus.CONFLICT, refused=str(error))
        return await pages.order(request, key, said=answer.words)


def _act(verb: Verb, caller: Caller, form: Mapping[str, str]) -> OperatorAct:
    reason, who = form.get("reason", ""), form.get("who", "")
    if not 0 < len(reason) <= WHY_CHARACTERS:
        remedy = f"say why, in at most {WHY_CHARACTERS} characters"
        raise InvalidInput("reason", reason[:40], remedy)
    if len(who) > WHO_CHARACTERS:
        raise InvalidInput("who", who[:40], f"use at most {WHO_CHARACTERS} characters")
    return OperatorAct(verb=verb, who=caller.name if caller.named else who or "api", reason=reason)
