"""OpenAPI's description, with what every route has in common and no route repeats."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from api.access import ACCESS, MAY, Need
from api.auth import HEADER
from api.errors import MEDIA_TYPE
from api.once import HEADER as ONCE

_SCHEME, _BEARER = "ApiKey", "Bearer"
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_UNUSED = ("HTTPValidationError", "ValidationError")
_ALWAYS = (
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
)
_ONCE = {
    "name": ONCE,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 200},
    "description": "The same key with the same body is carried out once and answered alike, "
    "however often its caller sends it; with another body it is refused with 409",
    "example": "ticket-17",
}
_KEYED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE)


def install(app: FastAPI, *, reading_open: bool) -> None:
    """Complete what FastAPI says about the app: who may use a route, and its problems."""
    described = app.openapi
    open_needs = {Need.NOTHING, Need.READING} if reading_open else {Need.NOTHING}

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(described(), open_needs)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(spec: dict[str, Any], open_needs: set[Need]) -> dict[str, Any]:
    components = spec["components"]
    for name in _UNUSED:
        components["schemas"].pop(name, None)
    scheme = {"type": "apiKey", "in": "header", "name": HEADER}
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    components["securitySchemes"] = {
        _SCHEME: scheme | {"description": "see `bronco api-key`"},
        _BEARER: bearer | {"description": "of the OpenID Connect issuer, where one is set"},
    }
    for route, operation in _operations(spec):
        need = ACCESS[route]
        _say_who(operation, need, keyed=need not in open_needs)
        _say_problems(operation, _codes(route, keyed=need not in open_needs))
        if route.startswith("POST "):
            _say_once(operation)
    return spec


def _operations(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def _say_who(operation: dict[str, Any], need: Need, *, keyed: bool) -> None:
    operation["security"] = [{_SCHEME: []}, {_BEARER: []}] if keyed else []
    roles = sorted(role.value for role in MAY[need]) if keyed else []
    operation["x-bronco-roles"] = roles
    said = f"Roles: {', '.join(roles)}." if roles else "Needs no key."
    operation["description"] = f"{operation.get('description', '')}\n\n{said}".strip()


def _say_once(operation: dict[str, Any]) -> None:
    own = [each for each in operation.get("parameters", ()) if each["name"] != ONCE]
    operation["parameters"] = [*own, _ONCE]


def _codes(route: str, *, keyed: bool) -> Iterator[HTTPStatus]:
    yield from _ALWAYS
    if "{" in route:
        yield HTTPStatus.NOT_FOUND
    if route.startswith("POST "):
        yield from (
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.CONFLICT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )
    if keyed:
        yield from _KEYED


def _say_problems(operation: dict[str, Any], codes: Iterable[HTTPStatus]) -> None:
    responses = operation["responses"]
    for code in codes:
        if str(code.value) not in responses or code in _ALWAYS:
            responses[str(code.value)] = {"description": code.phrase, "content": _content()}
    for response in responses.values():
        if response.get("content", {}).get("application/json", {}).get("schema") == _PROBLEM:
            response["content"] = _content()


def _content() -> dict[str, Any]:
    return {MEDIA_TYPE: {"schema": _PROBLEM}}
