"""Who may use which route, called for real."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import APIRouter
from fastapi.routing import iter_route_contexts

from api.access import ACCESS, MAY, Need
from clients.store import Store
from models.access import Role
from tests.integration.control.keys import app_of, client_of, new_api_key
from tests.integration.control.rig import API_KEY, ControlRig

SETTINGS_KEY = {"X-API-Key": API_KEY}
BODIES: dict[str, dict[str, Any]] = {
    "POST /orders/{key}/approvals": {"signature": "0x" + "11" * 65},
}

PARAMS: dict[str, dict[str, str]] = {
    # A stream has no end; this one has no beginning.
    "GET /events": {"kinds": "none"},
    "GET /dashboard/events": {"order": "x" * 161},
}


@pytest_asyncio.fixture
async def http(rig: ControlRig) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of(rig)) as client:
        yield client


@pytest_asyncio.fixture
async def idle_http(idle_rig: ControlRig) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of(idle_rig)) as client:
        yield client


async def answers_of(
    http: httpx.AsyncClient, headers: dict[str, str], order: int | None
) -> dict[str, int]:
    """The status of every route in the table."""
    found: dict[str, int] = {}
    for route in ACCESS:
        method, path = route.split(" ", 1)
        told = path.replace("{key}", str(order)).replace("{key_id}", "nobody")
        body = BODIES.get(route, {}) if method == "POST" else None
        answer = await http.request(
            method, told, headers=headers, json=body, params=PARAMS.get(route)
        )
        found[route] = answer.status_code
    return found


def test_table__every_route_of_the_app__is_in_it_and_nothing_else(idle_rig: ControlRig) -> None:
    routes = {
        f"{method} {context.path}"
        for context in iter_route_contexts(app_of(idle_rig).routes)
        for method in getattr(context, "methods", None) or ()
        if method != "HEAD"
    }
    assert routes == set(ACCESS)


@pytest.mark.parametrize("role", list(Role))
async def test_route_and_role__called__only_what_the_table_gives(
    http: httpx.AsyncClient, rig: ControlRig, role: Role
) -> None:
    order = (await rig.order()).internal_id
    answers = await answers_of(http, await new_api_key(rig.store, role), order)
    refused = {route for route, status in answers.items() if status in (401, 403)}
    assert refused == {route for route, need in ACCESS.items() if role not in MAY[need]}
    assert all(answers[route] == 403 for route in refused)
    assert all(answers[route] < 500 for route in answers), answers


async def test_route__no_key__is_open_only_where_nothing_is_needed(
    http: httpx.AsyncClient, rig: ControlRig
) -> None:
    order = (await rig.order()).internal_id
    for headers in ({}, {"X-API-Key": ""}):
        answers = await answers_of(http, headers, order)
        opened = {route for route, status in answers.items() if status != 401}
        assert opened == {route for route, need in ACCESS.items() if need is Need.NOTHING}
    guessed = await answers_of(http, {"X-API-Key": "guess"}, order)
    assert {route for route, status in guessed.items() if status == 401} == {
        route for route, need in ACCESS.items() if need is not Need.NOTHING
    }


async def test_route__not_in_the_table__leads_nowhere(idle_rig: ControlRig) -> None:
    app, router = app_of(idle_rig), APIRouter()
    router.add_api_route("/forgotten", lambda: {"secret": "shown"})
    app.include_router(router)
    async with client_of(app) as http:
        answer = await http.get("/forgotten", headers=SETTINGS_KEY)
    assert answer.status_code == 404
    assert "shown" not in answer.text


async def test_reading_open__no_key__reads_and_does_nothing_else(idle_rig: ControlRig) -> None:
    async with client_of(app_of(idle_rig, read_needs_key=False)) as http:
        answers = await answers_of(http, {}, 0)
    opened = {route for route, status in answers.items() if status != 401}
    assert opened == {r for r, need in ACCESS.items() if need in (Need.NOTHING, Need.READING)}


async def test_no_body_is_read__before_the_key_is_known(idle_http: httpx.AsyncClient) -> None:
    answer = await idle_http.post("/control/pause", content=b"{not json")
    assert answer.status_code == 401


# --- keys -----------------------------------------------------------------------------------


async def test_key__revoked_by_an_admin__is_refused_from_then_on(
    idle_http: httpx.AsyncClient, idle_rig: ControlRig
) -> None:
    admin = await new_api_key(idle_rig.store, Role.ADMIN, "root-of-the-desk")
    viewer = await new_api_key(idle_rig.store, Role.VIEWER, "screen")
    assert (await idle_http.get("/orders", headers=viewer)).status_code == 200

    listed = (await idle_http.get("/api-keys", headers=admin)).json()["keys"]
    (shown,) = [key for key in listed if key["name"] == "screen"]
    assert (shown["valid"], shown["role"]) == (True, "viewer")
    assert shown["last_used_at"]
    assert viewer["X-API-Key"] not in json.dumps(listed)
    path = f"/api-keys/{shown['key_id']}/revoke"
    ended = await idle_http.post(path, headers=admin, json={"reason": "screen is gone"})
    assert ended.json()["valid"] is False

    refused = await idle_http.get("/orders", headers=viewer)
    assert (refused.status_code, "was revoked" in refused.text) == (401, True)
    entry = (await idle_rig.store.audit.latest(1))[0]
    assert (entry.action, entry.actor) == ("api_key.revoked", "root-of-the-desk")


async def test_key__expired__is_refused(idle_http: httpx.AsyncClient, idle_rig: ControlRig) -> None:
    old = await new_api_key(idle_rig.store, Role.ADMIN, days=-1)
    answer = await idle_http.get("/orders", headers=old)
    assert (answer.status_code, "has expired" in answer.text) == (401, True)


async def test_key__right_id_wrong_secret__is_refused(
    idle_http: httpx.AsyncClient, idle_rig: ControlRig
) -> None:
    text = (await new_api_key(idle_rig.store, Role.ADMIN))["X-API-Key"]
    forged = text[:-1] + ("A" if text[-1] != "A" else "B")
    answer = await idle_http.get("/orders", headers={"X-API-Key": forged})
    assert answer.status_code == 401
    assert forged not in answer.text


async def test_api_keys__pages__hold_every_key_once(
    idle_http: httpx.AsyncClient, idle_rig: ControlRig
) -> None:
    admin = await new_api_key(idle_rig.store, Role.ADMIN)
    for _ in range(3):
        await new_api_key(idle_rig.store, Role.VIEWER)
    seen: list[str] = []
    cursor = ""
    while True:
        params = {"limit": "2", "cursor": cursor}
        page = (await idle_http.get("/api-keys", params=params, headers=admin)).json()
        seen += [key["key_id"] for key in page["keys"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == len((await idle_rig.store.api_keys.page()).items)
    wrong = await idle_http.get("/api-keys", params={"cursor": "ü"}, headers=admin)
    assert (wrong.status_code, "cursor=" in wrong.text) == (400, True)


# --- who did it -----------------------------------------------------------------------------


async def actor_of(store: Store, since: datetime) -> set[str]:
    entries = await store.audit.latest(20)
    return {each.actor for each in entries if each.at >= since.replace(tzinfo=None)}


async def test_pause__key_has_a_name__the_name_did_it_whatever_the_body_says(
    http: httpx.AsyncClient, rig: ControlRig
) -> None:
    operator = await new_api_key(rig.store, Role.OPERATOR, "ada-laptop")
    begun = datetime.now(UTC)
    body = {"reason": "maintenance", "who": "somebody else"}
    paused = (await http.post("/control/pause", headers=operator, json=body)).json()
    assert [hold["who"] for hold in paused["holds"]] == ["ada-laptop"]
    await http.post("/control/resume", headers=operator, json={"who": "somebody else"})
    assert await actor_of(rig.store, begun) >= {"ada-laptop"}
    assert "somebody else" not in await actor_of(rig.store, begun)


async def test_pause__key_of_the_settings__the_body_says_who(http: httpx.AsyncClient) -> None:
    paused = await http.post("/control/pause", headers=SETTINGS_KEY, json={"who": "ada"})
    assert [hold["who"] for hold in paused.json()["holds"]] == ["ada"]


# --- problems -------------------------------------------------------------------------------


async def test_problem__every_kind__says_what_where_and_which_request(
    idle_http: httpx.AsyncClient,
) -> None:
    asked = {
        400: ("GET", "/orders?cursor=nonsense", SETTINGS_KEY),
        401: ("GET", "/orders", {}),
        404: ("GET", "/orders/999999", SETTINGS_KEY),
        405: ("DELETE", "/orders", SETTINGS_KEY),
        422: ("GET", "/orders?limit=0", SETTINGS_KEY),
    }
    for status, (method, path, headers) in asked.items():
        answer = await idle_http.request(method, path, headers={**headers, "X-Request-ID": "r-17"})
        body = answer.json()
        assert answer.status_code == body["status"] == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-request-id"] == body["request_id"] == "r-17"
        assert body["instance"] == path.partition("?")[0]
        assert body["type"].startswith("urn:bronco:problem:")
        assert body["title"]
        assert body["detail"]


async def test_problem__wrong_method__says_which_is_right(idle_http: httpx.AsyncClient) -> None:
    answer = await idle_http.get("/control/pause", headers=SETTINGS_KEY)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_problem__error_of_ours__tells_no_secret_and_no_trace(idle_rig: ControlRig) -> None:
    app = app_of(idle_rig)

    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("password=hunter2 in the code")

    idle_rig.store.orders.page, kept = broken, idle_rig.store.orders.page  # type: ignore
    try:
        async with client_of(app) as http:
            answer = await http.get("/orders", headers=SETTINGS_KEY)
    finally:
        idle_rig.store.orders.page = kept  # type: ignore[method-assign]
    body = answer.json()
    assert (answer.status_code, body["type"]) == (500, "urn:bronco:problem:internal-server-error")
    assert answer.headers["x-request-id"] == body["request_id"] != ""
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


async def test_request_id__not_a_plain_word__is_replaced(idle_http: httpx.AsyncClient) -> None:
    answer = await idle_http.get("/healthz", headers={"X-Request-ID": "a b\tc"})
    assert answer.headers["x-request-id"].isalnum()


async def test_openapi__every_operation__says_who_may_and_its_problems(
    idle_http: httpx.AsyncClient,
) -> None:
    spec = (await idle_http.get("/openapi.json")).json()
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            need = ACCESS[f"{method.upper()} {path}"]
            assert bool(operation["security"]) is (need is not Need.NOTHING)
            wanted = sorted(MAY[need]) if operation["security"] else []
            assert operation["x-bronco-roles"] == wanted
            assert set(operation["responses"]["422"]["content"]) == {"application/problem+json"}
            named = [each["name"] for each in operation.get("parameters", ())]
            assert named.count("Idempotency-Key") == (method == "post")
    assert "HTTPValidationError" not in json.dumps(spec)
