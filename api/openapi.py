"""OpenAPI's description, with what every route has in common and no route repeats."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from api.access import ACCESS, MAY, Need
from api.auth import HEADER
from api.errors import MEDIA_TYPE

_SCHEME = "ApiKey"
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_UNUSED = ("HTTPValidationError", "ValidationError")
_ALWAYS = (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.INTERNAL_SERVER_ERROR)
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
    components["securitySchemes"] = {_SCHEME: scheme | {"description": "see `bronco api-key`"}}
    for route, path, operation in _operations(spec):
        need = ACCESS[route]
        _say_who(operation, need, keyed=need not in open_needs)
        _say_problems(operation, _codes(path, keyed=need not in open_needs))
    return spec


def _operations(spec: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", path, operation


def _say_who(operation: dict[str, Any], need: Need, *, keyed: bool) -> None:
    operation["security"] = [{_SCHEME: []}] if keyed else []
    roles = sorted(role.value for role in MAY[need]) if keyed else []
    operation["x-bronco-roles"] = roles
    said = f"Roles: {', '.join(roles)}." if roles else "Needs no key."
    operation["description"] = f"{operation.get('description', '')}\n\n{said}".strip()


def _codes(path: str, *, keyed: bool) -> Iterator[HTTPStatus]:
    yield from _ALWAYS
    if "{" in path:
        yield HTTPStatus.NOT_FOUND
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
