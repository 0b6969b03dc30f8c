"""Idempotency-Key in front of a route that counts how often it was called."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.errors import Problems
from api.once import Once
from bronco.logs import Redaction
from clients.store import Store
from models.access import Caller, Role
from models.errors import SourceUnavailable
from tests.waiting import eventually

KEY = {"Idempotency-Key": "ticket-17"}
REVOKE = "/api-keys/3f9a1c07be42/revoke"


class Counting:
    """An act that counts itself, and waits and answers as it is told."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()
        self.go.set()
        self.status = 200
        self.headers: dict[str, str] = {}
        self.caller = "ada"
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        self.bodies.append(await Request(scope, receive).body())
        await self.go.wait()
        if self.status == 500:
            raise RuntimeError("broken")
        said = f'{{"n": {self.calls}}}'
        answer = Response(said, self.status, self.headers, "application/json")
        await answer(scope, receive, send)


@pytest.fixture
def act() -> Counting:
    return Counting()


@pytest.fixture
def once(act: Counting, sqlite_store: Store) -> Once:
    problems = Problems(Redaction())
    return Once(act, keys=sqlite_store.request_keys, problems=problems, kept=timedelta(days=7))


@pytest_asyncio.fixture
async def http(act: Counting, once: Once) -> AsyncIterator[httpx.AsyncClient]:
    async def known(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["caller"] = Caller(act.caller, Role.ADMIN)
        await once(scope, receive, send)

    transport = httpx.ASGITransport(app=known, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


async def test_key__same_body__is_carried_out_once_and_answered_alike(
    http: httpx.AsyncClient, act: Counting
) -> None:
    first, again = [await http.post(REVOKE, headers=KEY, json={"reason": "é"}) for _ in range(2)]
    assert (act.calls, act.bodies) == (1, ['{"reason":"é"}'.encode()])
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert first.headers["content-type"] == again.headers["content-type"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


async def test_key__other_body_or_other_path__is_refused(
    http: httpx.AsyncClient, act: Counting
) -> None:
    await http.post(REVOKE, headers=KEY, json={"reason": "a"})
    others = [
        await http.post(REVOKE, headers=KEY, json={"reason": "b"}),
        await http.post(REVOKE.replace("3", "4"), headers=KEY, json={"reason": "a"}),
        await http.post(REVOKE + "?x=1", headers=KEY, json={"reason": "a"}),
    ]
    assert [each.status_code for each in others] == [409] * 3
    assert all("another request" in each.json()["detail"] for each in others)
    assert act.calls == 1


async def test_key__other_caller_or_other_route__is_another_key(
    http: httpx.AsyncClient, act: Counting
) -> None:
    await http.post(REVOKE, headers=KEY)
    await http.post("/control/pause", headers=KEY)
    act.caller = "bob"
    await http.post(REVOKE, headers=KEY)
    assert act.calls == 3


async def test_key__first_one_still_runs__says_so_and_later_gives_its_answer(
    http: httpx.AsyncClient, act: Counting
) -> None:
    act.go.clear()
    first = asyncio.create_task(http.post(REVOKE, headers=KEY))
    await eventually(lambda: act.calls == 1)
    meanwhile = await http.post(REVOKE, headers=KEY)
    assert (meanwhile.status_code, act.calls) == (409, 1)
    assert "still being carried out" in meanwhile.json()["detail"]

    act.go.set()
    assert (await first).json() == {"n": 1}
    assert (await http.post(REVOKE, headers=KEY)).json() == {"n": 1}


@pytest.mark.parametrize("status", [202, 400, 409, 422, 429, 500, 503])
async def test_key__nothing_was_done__is_free_again(
    http: httpx.AsyncClient, act: Counting, status: int
) -> None:
    act.status = status
    await http.post(REVOKE, headers=KEY, json={"reason": "a"})
    act.status = 200
    assert (await http.post(REVOKE, headers=KEY, json={"reason": "b"})).json() == {"n": 2}


@pytest.mark.parametrize("headers", [{"Cache-Control": "no-store"}, {"Set-Cookie": "session=s"}])
async def test_key__answer_holds_a_secret__is_not_kept_and_not_done_twice(
    http: httpx.AsyncClient, act: Counting, headers: dict[str, str]
) -> None:
    act.headers = headers
    assert (await http.post(REVOKE, headers=KEY)).json() == {"n": 1}
    again = await http.post(REVOKE, headers=KEY)
    assert (again.status_code, act.calls) == (409, 1)
    assert "shown only once" in again.json()["detail"]


async def test_database_down__pause_goes_on_and_everything_else_waits(
    http: httpx.AsyncClient, act: Counting, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: object, **__: object) -> None:
        raise SourceUnavailable("database", "admitting a request")

    monkeypatch.setattr(sqlite_store.request_keys, "begin", down)
    assert (await http.post("/control/pause", headers=KEY)).json() == {"n": 1}
    for path in ("/control/resume", REVOKE):
        assert (await http.post(path, headers=KEY)).status_code == 503
    assert act.calls == 1


async def test_database_slow__pause_waits_for_no_record(
    http: httpx.AsyncClient, act: Counting, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(sqlite_store.request_keys, "begin", slow)
    async with asyncio.timeout(10):
        assert (await http.post("/control/pause", headers=KEY)).json() == {"n": 1}


async def test_pause__first_one_still_runs__is_carried_out_beside_it(
    http: httpx.AsyncClient, act: Counting
) -> None:
    """Temporal counts both as one."""
    act.go.clear()
    asked = [asyncio.create_task(http.post("/control/pause", headers=KEY)) for _ in range(2)]
    await eventually(lambda: act.calls == 2)
    act.go.set()
    assert [(await each).status_code for each in asked] == [200, 200]


async def test_key__the_caller_leaves_before_the_body__nothing_is_done(
    once: Once, act: Counting
) -> None:
    """Of half a body, or none, a pause of one symbol would be one of everything."""
    sent: list[Message] = []
    parts: list[Message] = [
        {"type": "http.request", "body": b'{"symbol": "AA', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return parts.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in KEY.items()]
    scope = {"type": "http", "method": "POST", "path": "/control/resume", "headers": headers}
    await once(scope | {"state": {"caller": Caller("ada", Role.ADMIN)}}, receive, send)
    assert (act.calls, sent[0]["status"]) == (0, 400)


async def test_key__malformed_or_body_too_long__is_named(
    http: httpx.AsyncClient, act: Counting
) -> None:
    wrong = await http.post(REVOKE, headers={"Idempotency-Key": "x" * 201})
    assert (wrong.status_code, "Idempotency-Key" in wrong.text) == (400, True)
    long = await http.post(REVOKE, headers=KEY, content=b"x" * (2**20 + 1))
    assert (long.status_code, act.calls) == (413, 0)


async def test_no_key_or_no_post__passes(http: httpx.AsyncClient, act: Counting) -> None:
    for _ in range(2):
        await http.post(REVOKE)
        await http.get("/orders", headers=KEY)
    assert act.calls == 4
