"""What a form sends, believed only when it came from one of our own pages."""

import hmac
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, Request

from api.auth import HEADER
from api.dashboard.session import csrf_of, token_of
from models.errors import Forbidden, InvalidInput

_MOST_BYTES = 16_384
_MOST_FIELDS = 40
_KIND = "application/x-www-form-urlencoded"
_OURS = frozenset({"same-origin", "none"})


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form; of several with one name the last.

    Raises:
        Forbidden: another site sent it, or a page of a session that is over.
        InvalidInput: it is no form, or too long.
    """
    _must_be_from_here(request)
    if request.headers.get("content-type", "").partition(";")[0].strip() != _KIND:
        raise InvalidInput("Content-Type", request.headers.get("content-type", ""), f"use {_KIND}")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise InvalidInput("form", f"{len(body)} bytes", f"send at most {_MOST_BYTES}")
    fields = _parsed(body)
    _must_be_of_this_session(request, fields)
    return fields


Form = Annotated[Mapping[str, str], Depends(form_of)]
"""A route's parameter: the fields of a form of ours."""


def _parsed(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=_MOST_FIELDS,
            errors="strict",
        )
    except ValueError as error:
        raise InvalidInput("form", "what was sent", f"send a form: {error}") from error
    return {name: value.replace("\r\n", "\n").strip() for name, value in pairs}


def _must_be_from_here(request: Request) -> None:
    """Browsers say where a form is from; what says nothing has no cookie of ours either."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    elsewhere = origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
    if elsewhere or (site is not None and site not in _OURS):
        raise Forbidden("this form", "it was sent from another site")


def _must_be_of_this_session(request: Request, fields: Mapping[str, str]) -> None:
    token = token_of(request)
    if not token or request.headers.get(HEADER):
        return
    if not hmac.compare_digest(fields.get("csrf", "").encode(), csrf_of(token).encode()):
        raise Forbidden("this form", "it is of a session that is over: load the page again")
