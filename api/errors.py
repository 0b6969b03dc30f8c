"""Every error as a problem document that names what was wrong.

https://www.rfc-editor.org/rfc/rfc9457
"""

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from api.ids import request_id_of
from bronco.logs import Redaction, logger
from models.errors import (
    BroncoError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    RateLimited,
    SourceBusy,
    SourceUnavailable,
    Unauthorized,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
TYPE = "urn:bronco:problem:"
_STATUS: tuple[tuple[type[BroncoError], HTTPStatus], ...] = (
    (InvalidInput, HTTPStatus.BAD_REQUEST),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Unauthorized, HTTPStatus.UNAUTHORIZED),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (Conflict, HTTPStatus.CONFLICT),
    (RateLimited, HTTPStatus.TOO_MANY_REQUESTS),
    (SourceUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
_WORDS = re.compile(r"[^a-z]+")
_log = logger("api")
_BY_KEY, _BY_TOKEN = 'ApiKey realm="bronco", header="X-API-Key"', 'Bearer realm="bronco"'


class FieldProblem(BaseModel):
    """One wrong field, e.g. body.side."""

    field: str
    problem: str


class Problem(BaseModel):
    """What was wrong, and what to do.

    type: urn:bronco:problem: and the kind of problem, which is all a program should look at.
    instance: the path that was asked. request_id: as in X-Request-ID and in our logs.
    """

    type: str = Field(examples=["urn:bronco:problem:not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no order 999"])
    instance: str = Field(examples=["/orders/999"])
    request_id: str = Field(examples=["0f8fad5bd9cb469fa16570867728950e"])
    errors: list[FieldProblem] | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:bronco:problem:not-found",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "no order 999",
                    "instance": "/orders/999",
                    "request_id": "0f8fad5bd9cb469fa16570867728950e",
                }
            ]
        }
    )


Page = Callable[[Request, Problem], Response | None]
"""Shows a problem to a person; None: whoever asks reads problem documents."""


class Problems:
    """Turns errors into answers; what no caller may see is in the log alone."""

    def __init__(self, blot: Redaction, page: "Page | None" = None) -> None:
        self._blot = blot
        self._page = page

    def install(self, app: FastAPI) -> None:
        """Answer every error of the app this way."""

        async def ours(request: Request, error: Exception) -> Response:
            return self.answer(request, error)

        for kind in (BroncoError, RequestValidationError, HTTPException, Exception):
            app.add_exception_handler(kind, ours)

    def answer(self, request: Request, error: Exception) -> Response:
        """The problem document of an error."""
        if isinstance(error, RequestValidationError):
            return self._invalid(request, error)
        if isinstance(error, HTTPException):
            code, said = HTTPStatus(error.status_code), _said(request, error)
            return self._written(request, code, said, headers=error.headers)
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), None)
        if status is None:
            _log.error("unexpected_error", exc_info=error, request_id=request_id_of(request.scope))
            status, said = HTTPStatus.INTERNAL_SERVER_ERROR, "an error that is in our logs"
            return self._written(request, status, said)
        return self._written(request, status, str(error), headers=_headers(status, error))

    def _invalid(self, request: Request, error: RequestValidationError) -> Response:
        found = error.errors()
        errors = [FieldProblem(field=_path(each["loc"]), problem=each["msg"]) for each in found]
        said = "; ".join(f"{each.field}: {each.problem}" for each in errors)
        return self._written(request, HTTPStatus.UNPROCESSABLE_ENTITY, said, errors)

    def _written(
        self,
        request: Request,
        status: HTTPStatus,
        detail: str,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        request_id = request_id_of(request.scope)
        body = Problem(
            type=TYPE + _WORDS.sub("-", status.phrase.lower()),
            title=status.phrase,
            status=status.value,
            detail=self._blot.text(detail),
            instance=request.url.path,
            request_id=request_id,
            errors=list(errors) or None,
        )
        told = {**(headers or {}), "X-Request-ID": request_id}
        if self._page is not None and (page := self._page(request, body)) is not None:
            page.headers.update(told)
            return page
        content = body.model_dump(exclude_none=True)
        return JSONResponse(content, status, headers=told, media_type=MEDIA_TYPE)


def described(*codes: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The problems a route may answer with, for OpenAPI; `api/openapi.py` adds what all have."""
    return {code.value: {"description": code.phrase, "model": Problem} for code in codes}


def _said(request: Request, error: HTTPException) -> str:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return f"no such path: {request.url.path}; see /docs"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "another method")
        return f"{request.method} is not for {request.url.path}: use {allowed}"
    return str(error.detail)


def _headers(status: HTTPStatus, error: Exception) -> dict[str, str]:
    if status is HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": f"{_BY_KEY}, {_BY_TOKEN}"}
    if isinstance(error, RateLimited | SourceBusy):
        return {"Retry-After": str(int(error.retry_after_seconds) + 1)}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return {}


def _path(location: Sequence[Any]) -> str:
    return ".".join(str(part) for part in location)
