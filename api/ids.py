"""An id for each request, in its answer and in every line that is logged for it."""

import re
import uuid
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bronco.logs import order_of

HEADER = "X-Request-ID"
_OF_ORDER = re.compile(r"/(?:orders|follow)/([^/]+)")
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_LONGEST_KEY = 160
_TAKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """ASGI middleware: takes the caller's X-Request-ID where it is a plain word, else makes one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Name the request, and tell the name with the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get(HEADER, "")
        request_id = told if _TAKEN.fullmatch(told) else uuid.uuid4().hex
        _state(scope)["request_id"] = request_id

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id, **_order(scope)):
            await self._app(scope, receive, named)


def request_id_of(scope: Scope) -> str:
    """The id of the request; empty outside of one."""
    return str(_state(scope).get("request_id", ""))


def _order(scope: Scope) -> dict[str, str]:
    """The order a request is about; by another key than its request id, under another name."""
    found = _OF_ORDER.match(str(scope.get("path", "")))
    if found is None:
        return {}
    key = found.group(1)
    order = order_of(key) or (key.lower() if _HASH.fullmatch(key) else "")
    return {"order_id": order} if order else {"order_key": key[:_LONGEST_KEY]}


def _state(scope: Scope) -> dict[str, Any]:
    state: dict[str, Any] = scope.setdefault("state", {})
    return state
