"""Every error as a problem document that names what was wrong.

https://www.rfc-editor.org/rfc/rfc9457
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from bronco.logs import Redaction, logger
from models.errors import (
    BroncoError,
    Conflict,
    InvalidInput,
    NotFound,
    SourceUnavailable,
    Unauthorized,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
_STATUS: tuple[tuple[type[BroncoError], HTTPStatus], ...] = (
    (InvalidInput, HTTPStatus.BAD_REQUEST),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Unauthorized, HTTPStatus.UNAUTHORIZED),
    (Conflict, HTTPStatus.CONFLICT),
    (SourceUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
_log = logger("api")


class FieldProblem(BaseModel):
    """One wrong field, e.g. body.side."""

    field: str
    problem: str


class Problem(BaseModel):
    """What was wrong, and what to do."""

    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no order 999"])
    errors: list[FieldProblem] = []


def install(app: FastAPI, blot: Redaction) -> None:
    """Answer every error of the app this way."""

    async def ours(_: Request, error: Exception) -> JSONResponse:
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), None)
        if status is None:
            _log.error("unexpected_error", exc_info=error)
            return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an error that is in our logs")
        return problem(status, blot.text(str(error)), headers=_headers(status))

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        found = error.errors() if isinstance(error, RequestValidationError) else []
        errors = [FieldProblem(field=_path(each["loc"]), problem=each["msg"]) for each in found]
        said = "; ".join(f"{each.field}: {each.problem}" for each in errors)
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, said, errors)

    async def http(request: Request, error: Exception) -> JSONResponse:
        code = error.status_code if isinstance(error, HTTPException) else 500
        said = str(error.detail) if isinstance(error, HTTPException) else ""
        if code == HTTPStatus.NOT_FOUND:
            said = f"no such path: {request.url.path}; see /docs"
        return problem(HTTPStatus(code), said, headers=getattr(error, "headers", None))

    app.add_exception_handler(BroncoError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, ours)


def problem(
    status: HTTPStatus,
    detail: str,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """One problem document."""
    body = Problem(title=status.phrase, status=status, detail=detail, errors=list(errors))
    content = body.model_dump(exclude_defaults=not errors) | {"status": status.value}
    return JSONResponse(content, status, headers=headers, media_type=MEDIA_TYPE)


def described(*codes: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The problems a route may answer with, for OpenAPI."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        code.value: {"description": code.phrase, "content": content, "model": Problem}
        for code in codes
    }


def _headers(status: HTTPStatus) -> dict[str, str]:
    if status is HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'ApiKey realm="bronco", header="X-API-Key"'}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return {}


def _path(location: Sequence[Any]) -> str:
    return ".".join(str(part) for part in location)
