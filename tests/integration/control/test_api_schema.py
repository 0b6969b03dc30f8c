"""Schemathesis over the whole API, as each role and without a key: no 5xx, nothing undescribed.

It reads the routes from the API itself, so a new one is taken in by itself. Few examples of each in
`make test`, many in `make soak`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from api.access import ACCESS, MAY, Need
from models.access import Role
from models.requests import QUEUE_CONTROL, QUEUE_MAIN
from tests.integration.control.keys import app_of, new_api_key
from tests.integration.control.rig import ControlRig
from tests.waiting import eventually
from workflows.quoting import QuoteWorkflow

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = pytest.mark.parametrize(
    "examples", [2, pytest.param(60, marks=pytest.mark.soak)], ids=["few", "many"]
)
UNLIMITED = {
    "reads_per_minute": 10**6,
    "writes_per_minute": 10**6,
    "control_per_minute": 10**6,
    "strangers_per_minute": 10**6,
}
_SECONDS = 30
_STREAM = "text/event-stream"


@activity.defn(name="quote_request")
async def nobody_quotes(_: dict[str, Any]) -> None:
    """There is no market here: the quote's route says so with 503, which is described."""
    raise ApplicationError("no market here", non_retryable=True)


@asynccontextmanager
async def served(rig: ControlRig) -> AsyncIterator[str]:
    """The real server on a port of its own, with somebody who answers quotes."""
    app = app_of(rig, follow=True, **UNLIMITED)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    quoting = Worker(
        rig.client,
        task_queue=QUEUE_MAIN,
        workflows=[QuoteWorkflow],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    refusing = Worker(rig.client, task_queue=QUEUE_CONTROL, activities=[nobody_quotes])
    try:
        async with quoting, refusing:
            yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running


def operations(url: str) -> Iterator[tuple[str, Any]]:
    """Every operation that ends, as METHOD /path: a stream of events has tests of its own."""
    schema: OpenApiSchema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        answers = operation.definition.raw["responses"].get("200", {}).get("content", {})
        if _STREAM not in answers:
            yield f"{operation.method.upper()} {operation.path}", operation


def try_all(url: str, headers: dict[str, str], role: Role | None, examples: int) -> set[str]:
    """Call every operation with made-up input; answers which were called."""
    called: set[str] = set()
    wrong: list[str] = []
    with requests.Session() as session:
        session.headers.update(headers)
        for route, operation in operations(url):
            called.add(route)
            try:
                _try(url, session, route, operation, role, examples)
            except (AssertionError, FailureGroup, Failure) as error:
                said = error.exceptions if isinstance(error, FailureGroup) else (error,)
                wrong += [f"{route}: {each!s:.600}" for each in said]
    assert not wrong, "\n\n".join(wrong)
    return called


def _try(
    url: str, session: requests.Session, route: str, operation: Any, role: Role | None, n: int
) -> None:
    @settings(
        max_examples=n,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def call(case: Any) -> None:
        case.headers.pop("X-API-Key", None)
        answer: Response = case.call(base_url=url, session=session, timeout=_SECONDS)
        _check_door(route, role, answer)
        assert answer.status_code < 500 or _may_be_down(route), (route, answer.text)
        case.validate_response(answer, checks=CHECKS)

    call()


def _check_door(route: str, role: Role | None, answer: Response) -> None:
    """The table of route and role, with whatever input: a closed door shows nothing else."""
    need = ACCESS[route]
    if role is None:
        assert (answer.status_code == 401) is (need is not Need.NOTHING), (route, answer.text)
    else:
        assert (answer.status_code == 403) is (role not in MAY[need]), (route, role, answer.text)
        assert answer.status_code != 401, (route, role)


def _may_be_down(route: str) -> bool:
    """Nothing is there to be quoted, and readiness tells what is not there: a described 503."""
    return route in ("GET /quote", "GET /readyz")


@EXAMPLES
@pytest.mark.parametrize("role", [*Role, None])
async def test_api__made_up_input__no_error_of_ours_and_nothing_undescribed(
    rig: ControlRig, role: Role | None, examples: int
) -> None:
    headers = await new_api_key(rig.store, role) if role else {}
    await rig.order()
    async with served(rig) as url:
        called = await asyncio.to_thread(try_all, url, headers, role, examples)
    assert called <= set(ACCESS)
    assert {"GET /orders", "GET /quote", "POST /orders/{key}/refund"} <= called


async def test_openapi__every_operation__has_a_summary_a_text_and_examples(
    idle_rig: ControlRig,
) -> None:
    spec = app_of(idle_rig).openapi()
    components = spec["components"]["schemas"]
    missing: list[str] = []
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            route = f"{method.upper()} {path}"
            told = len(operation.get("description", "")) > 20 and operation.get("summary")
            shown = [
                *operation.get("requestBody", {}).get("content", {}).values(),
                *operation["responses"].get("200", {}).get("content", {}).values(),
            ]
            missing += [] if told else [f"{route}: no text"]
            missing += [f"{route}: no example" for m in shown if not _has_example(m, components)]
    assert missing == []


def _has_example(media: dict[str, Any], components: dict[str, Any]) -> bool:
    """Whether it shows what it looks like, itself or in the parts it is made of."""
    if "example" in media or "examples" in media:
        return True
    return _shows(media.get("schema", {}), components, frozenset())


def _shows(schema: Any, components: dict[str, Any], seen: frozenset[str]) -> bool:
    if isinstance(schema, list):
        return any(_shows(each, components, seen) for each in schema)
    if not isinstance(schema, dict):
        return False
    if schema.get("examples") or "example" in schema:
        return True
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name and name not in seen and _shows(components[name], components, seen | {name}):
        return True
    return any(_shows(each, components, seen) for each in schema.values())
