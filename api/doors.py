"""The door of every route: who may come in is decided here, before anything else is read."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access import MAY, Door, Need, door_of
from api.auth import HEADER, KeyRing
from api.bearer import SCHEME, Bearers
from api.dashboard.session import PREFIX, Entrance, token_of
from api.errors import Problems
from api.quotas import Gauge
from models.access import Caller
from models.errors import BroncoError, Forbidden, Unauthorized


class Doors:
    """ASGI middleware: lets a request through to a route that its key's role may use.

    A path or method that is not in the table of access leads nowhere, whatever the app has there.
    reading_open: whether what needs READING needs no key.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        ring: KeyRing,
        bearers: Bearers,
        entrance: Entrance,
        gauge: Gauge,
        problems: Problems,
        reading_open: bool,
    ) -> None:
        self._app = app
        self._ring = ring
        self._bearers = bearers
        self._entrance = entrance
        self._gauge = gauge
        self._problems = problems
        self._open = {Need.NOTHING, Need.READING} if reading_open else {Need.NOTHING}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it through, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            door = _door(scope)
            caller = await self._caller(scope, _need(door, scope["method"]))
        except (BroncoError, HTTPException) as error:
            answer = self._problems.answer(Request(scope), error)
            await answer(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope, need: Need) -> Caller | None:
        if need in self._open and not (need is Need.READING and _token(scope)):
            await self._gauge.pass_stranger(scope)
            return None
        try:
            caller = await self._known(scope)
        except Unauthorized:
            await self._gauge.pass_stranger(scope)
            if need in self._open:
                return None
            raise
        await self._gauge.pass_caller(scope, caller)
        if caller.role not in MAY[need]:
            wanted = ", ".join(sorted(MAY[need]))
            raise Forbidden(f"{caller.name} is {caller.role}", f"{need} needs one of {wanted}")
        return caller

    async def _known(self, scope: Scope) -> Caller:
        text = Headers(scope=scope).get(HEADER, "")
        if text:
            return await self._ring.caller(text)
        if (bearer := Headers(scope=scope).get("Authorization", "")).startswith(SCHEME):
            return await self._bearers.caller(bearer.removeprefix(SCHEME).strip())
        if token := _token(scope):
            return await self._entrance.caller(token)
        raise Unauthorized(f"send your key in the header {HEADER}")


def caller_of(request: Request) -> Caller:
    """Who asks, of a route that needs a key."""
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None:
        raise Unauthorized(f"send your key in the header {HEADER}")
    return caller


Asking = Annotated[Caller, Depends(caller_of)]
"""A route's parameter: who asks."""


def _token(scope: Scope) -> str:
    """The cookie of who is signed in; it opens the dashboard and nothing else."""
    inside = scope["path"] == PREFIX or scope["path"].startswith(f"{PREFIX}/")
    return token_of(HTTPConnection(scope)) if inside else ""


def _door(scope: Scope) -> Door:
    door = door_of(scope["path"])
    if door is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return door


def _need(door: Door, method: str) -> Need:
    need = door.need(method)
    if need is None:
        allowed = {"Allow": ", ".join(sorted(door.needs))}
        raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers=allowed)
    return need
