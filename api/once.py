"""Idempotency-Key, for every POST: carried out once, answered alike, refused with another body.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import asyncio
import hashlib
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import door_of
from api.errors import Problems
from bronco.logs import logger
from models.access import Caller
from models.errors import BroncoError, Conflict, InvalidInput, SourceUnavailable
from models.once import Admitted, RequestKey, Turn

if TYPE_CHECKING:
    from clients.store.once import RequestKeys

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEY_CHARACTERS = 200
_BODY_BYTES = 2**20
_KEPT_BYTES = 60_000
# Longer than any POST takes to answer; whoever died is followed after it.
_RUNS = timedelta(seconds=60)
_SWEEP_SECONDS = 3600.0
# Temporal knows an update by its id, so a pause happens once also where no database notes it; it
# waits neither for a slow one nor for the one before.
_WITHOUT_RECORD = frozenset({"POST /control/pause"})
_RECORD_SECONDS = 0.5
_log = logger("api")


class Once:
    """ASGI middleware: a POST with the same key, caller and route is carried out once.

    An answer is kept when it says that something was done (2xx, not 202); after any other one the
    key is free. One with Cache-Control: no-store is kept nowhere, only that it was given. Whoever
    dies in between is followed by the next one, whose act has an id of its own and so is the same.
    """

    def __init__(
        self, app: ASGIApp, *, keys: "RequestKeys", problems: Problems, kept: timedelta
    ) -> None:
        self._app = app
        self._keys = keys
        self._problems = problems
        self._kept = kept
        self._swept = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry it out, answer as before, or say why not."""
        key = Headers(scope=scope).get(HEADER, "") if scope["type"] == "http" else ""
        caller: Caller | None = scope.get("state", {}).get("caller")
        if not key or caller is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            answer = await self._answered(scope, receive, caller, _checked(key))
        except (BroncoError, HTTPException) as error:
            answer = [self._problems.answer(Request(scope), error)]
        for part in answer:
            await _send(part, scope, receive, send)
        await self._sweep()

    async def _answered(
        self, scope: Scope, receive: Receive, caller: Caller, key: str
    ) -> Sequence[Response | Message]:
        body = await _body_of(receive)
        route = _route(scope)
        ours = _digest(caller.name, route, key)
        asked = _digest(scope["path"], scope.get("query_string", b"").decode("latin-1"), body)
        token = uuid.uuid4().hex
        without = route in _WITHOUT_RECORD
        try:
            async with asyncio.timeout(_RECORD_SECONDS if without else None):
                admitted = await self._keys.begin(
                    ours, asked, token, runs=_RUNS, now=datetime.now(UTC)
                )
        except (SourceUnavailable, TimeoutError):
            if not without:
                raise
            return await _carried_out(self._app, scope, receive, body)
        if admitted.turn is Turn.GO:
            return await self._carry_out(scope, receive, body, (ours, token))
        if without and admitted.turn is Turn.RUNNING:
            return await _carried_out(self._app, scope, receive, body)
        return [_as_before(admitted, key)]

    async def _carry_out(
        self, scope: Scope, receive: Receive, body: bytes, mine: tuple[str, str]
    ) -> Sequence[Message]:
        try:
            messages = await _carried_out(self._app, scope, receive, body)
        except Exception:
            await self._note(mine, [])
            raise
        await self._note(mine, messages)
        return messages

    async def _note(self, mine: tuple[str, str], messages: Sequence[Message]) -> None:
        status, media_type, answer = _kept_of(messages)
        try:
            if status:
                await self._keys.finish(*mine, status, media_type, answer)
            else:
                await self._keys.release(*mine)
        except SourceUnavailable as error:
            # It was done and is answered; asked again after _RUNS, it is done again, to no effect.
            _log.warning("answer_not_kept", problem=str(error))

    async def _sweep(self) -> None:
        if time.monotonic() < self._swept + _SWEEP_SECONDS and self._swept:
            return
        self._swept = time.monotonic()
        try:
            await self._keys.forget(datetime.now(UTC) - self._kept)
        except SourceUnavailable as error:
            _log.warning("old_keys_not_dropped", problem=str(error))


def _checked(key: str) -> str:
    if len(key) > _KEY_CHARACTERS or not key.isprintable():
        remedy = f"send at most {_KEY_CHARACTERS} printable characters"
        raise InvalidInput(HEADER, key[:40], remedy)
    return key


def _as_before(admitted: Admitted, key: str) -> Response:
    """The answer that was kept.

    Raises:
        Conflict: there is none to give.
    """
    row = admitted.row
    if admitted.turn is Turn.OTHER_BODY:
        raise Conflict(
            HEADER, key, "it was used for another request: another one needs another key"
        )
    if admitted.turn is Turn.RUNNING:
        raise Conflict(HEADER, key, "its request is still being carried out: ask again in a moment")
    if not row.kept:
        raise Conflict(HEADER, key, "it was carried out, and its answer is shown only once")
    return _response(row)


def _response(row: RequestKey) -> Response:
    said = row.answer.encode()
    headers = {REPLAYED: "true"}
    if row.media_type:
        headers["Content-Type"] = row.media_type
    return Response(said, row.status, headers=headers)


async def _carried_out(
    app: ASGIApp, scope: Scope, receive: Receive, body: bytes
) -> Sequence[Message]:
    messages: list[Message] = []
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, again, keep)
    return messages


async def _body_of(receive: Receive) -> bytes:
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            # Also when all of it had come: what is missing would be taken for "everything".
            raise HTTPException(HTTPStatus.BAD_REQUEST, "the caller left before the body was read")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _BODY_BYTES:
            said = f"send at most {_BODY_BYTES} bytes"
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, said)
    return bytes(body)


def _kept_of(messages: Sequence[Message]) -> tuple[int, str, str | None]:
    """Status, media type and body to keep; status 0: nothing was done, so nothing is kept."""
    start = next((part for part in messages if part["type"] == "http.response.start"), None)
    status = start["status"] if start else 0
    if not start or not 200 <= status < 300 or status == HTTPStatus.ACCEPTED:
        return 0, "", None
    headers = Headers(raw=start["headers"])
    body = b"".join(part.get("body", b"") for part in messages)
    shown_once = "no-store" in headers.get("Cache-Control", "") or "Set-Cookie" in headers
    if shown_once or len(body) > _KEPT_BYTES:
        return status, "", None
    try:
        return status, headers.get("Content-Type", ""), body.decode()
    except UnicodeDecodeError:
        return status, "", None


async def _send(part: Response | Message, scope: Scope, receive: Receive, send: Send) -> None:
    if isinstance(part, Response):
        await part(scope, receive, send)
    else:
        await send(part)


def _route(scope: Scope) -> str:
    door = door_of(scope["path"])
    return f"{scope['method']} {door.path if door else scope['path']}"


def _digest(*parts: str | bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        found.update(len(raw).to_bytes(8, "big") + raw)
    return found.hexdigest()
