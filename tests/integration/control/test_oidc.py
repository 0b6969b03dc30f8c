"""Bearer tokens: whose they are, which role they give, and everything that can be wrong."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from api.app import create_app
from bronco.sections import OidcSettings
from clients import oidc
from tests.integration.control.keys import client_of
from tests.integration.control.rig import ControlRig
from tests.issuer import AUDIENCE, LittleIssuer, issuing, new_key

ROLES = ("desk:operator", "heads:approver", "root:admin", "look:viewer")


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[LittleIssuer]:
    async with issuing() as running:
        yield running


@pytest_asyncio.fixture
async def http(idle_rig: ControlRig, issuer: LittleIssuer) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_with(idle_rig, issuer)) as client:
        yield client


def app_with(rig: ControlRig, issuer: LittleIssuer, **changes: Any) -> Any:
    settings = OidcSettings(
        issuer=issuer.url, audience=AUDIENCE, roles=ROLES, allow_http=True, **changes
    )
    whole = rig.settings.model_copy(update={"oidc": settings})
    return create_app(whole, rig.client, rig.store, rig.flags)


async def ask(http: httpx.AsyncClient, token: str, path: str = "/orders") -> httpx.Response:
    return await http.get(path, headers={"Authorization": f"Bearer {token}"})


async def status(http: httpx.AsyncClient, token: str, path: str = "/orders") -> int:
    return (await ask(http, token, path)).status_code


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
async def test_token__of_the_issuer__opens_what_its_role_may(
    http: httpx.AsyncClient, issuer: LittleIssuer, alg: str
) -> None:
    issuer.keys = [new_key(alg, "mine")]
    assert await status(http, issuer.token(alg=alg)) == 200
    assert await status(http, issuer.token(alg=alg), "/api-keys") == 403
    assert await status(http, issuer.token(alg=alg, groups=["root"]), "/api-keys") == 200
    assert issuer.asked == 1


async def test_roles__none_or_two_that_exclude_each_other__are_refused(
    http: httpx.AsyncClient, issuer: LittleIssuer
) -> None:
    for groups in ([], ["strangers"], None, ["desk", "heads"], {"desk": 1}, [["desk"]]):
        answer = await ask(http, issuer.token(groups=groups))
        assert answer.status_code == 403, groups
    assert await status(http, issuer.token(groups="desk")) == 200
    assert await status(http, issuer.token(groups=["look", "desk"])) == 200


async def test_role_claim__is_deeper__is_found(idle_rig: ControlRig, issuer: LittleIssuer) -> None:
    app = app_with(idle_rig, issuer, role_claim="realm_access.roles")
    async with client_of(app) as http:
        token = issuer.token(groups=None, realm_access={"roles": ["look"]})
        assert await status(http, token) == 200


async def test_pause__with_a_token__was_done_by_its_person(
    rig: ControlRig, issuer: LittleIssuer
) -> None:
    async with client_of(app_with(rig, issuer)) as http:
        for email, verified, name in (
            ("ada@desk.example", True, "oidc:ada@desk.example"),
            ("boss@desk.example", False, "oidc:user-1"),
        ):
            token = issuer.token(email=email, email_verified=verified)
            headers = {"Authorization": f"Bearer {token}"}
            body = {"reason": "test", "who": "somebody else"}
            paused = await http.post("/control/pause", headers=headers, json=body)
            assert [hold["who"] for hold in paused.json()["holds"]] == [name]
            await http.post("/control/resume", headers=headers)


NOW = int(time.time())
WRONG: dict[str, dict[str, Any]] = {
    "expired": {"iat": NOW - 900, "exp": NOW - 120},
    "without an end": {"exp": None},
    "for others": {"aud": "another"},
    "for nobody": {"aud": None},
    "of another issuer": {"iss": "https://evil.example"},
    "of no issuer": {"iss": None},
    "not yet": {"nbf": NOW + 3600},
    "of the future": {"iat": NOW + 3600, "exp": NOW + 7200},
    "of no time": {"iat": None},
    "of nobody": {"sub": None},
    "of a number": {"sub": 17},
    "an end in words": {"exp": "tomorrow"},
}


@pytest.mark.parametrize("claims", WRONG.values(), ids=WRONG.keys())
async def test_token__says_something_else__is_refused(
    http: httpx.AsyncClient, issuer: LittleIssuer, claims: dict[str, Any]
) -> None:
    answer = await ask(http, issuer.token(**claims))
    assert (answer.status_code, answer.json()["status"]) == (401, 401)


async def test_token__expired_within_the_leeway_or_for_several__is_taken(
    http: httpx.AsyncClient, issuer: LittleIssuer
) -> None:
    assert await status(http, issuer.token(exp=int(time.time()) - 20)) == 200
    assert await status(http, issuer.token(aud=["another", AUDIENCE])) == 200


async def test_token__alg_none__is_refused(http: httpx.AsyncClient, issuer: LittleIssuer) -> None:
    _, claims, signature = issuer.token().split(".")
    for alg in ("none", "None", "nOnE"):
        head = written(json.dumps({"alg": alg, "kid": "one"}).encode())
        for end in ("", signature):
            forged = f"{head}.{claims}.{end}"
            assert await status(http, forged) == 401


async def test_token__hs256_with_the_public_key__is_refused(
    http: httpx.AsyncClient, issuer: LittleIssuer
) -> None:
    claims = issuer.token().split(".")[1]
    head = written(b'{"alg":"HS256","kid":"one"}')
    public = issuer.keys[0]
    for shared in (public.as_pem(private=False), public.as_der(private=False)):
        said = f"{head}.{claims}"
        mac = hmac.new(shared, said.encode(), hashlib.sha256).digest()
        assert await status(http, f"{said}.{written(mac)}") == 401


def written(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


async def test_token__signed_by_another_under_a_known_name__is_refused(
    http: httpx.AsyncClient, issuer: LittleIssuer
) -> None:
    assert await status(http, issuer.token(new_key("RS256", "one"))) == 401
    token = issuer.token()
    body = token.split(".")[1]
    changed = token.replace(body, body[:-2] + ("AA" if body[-2:] != "AA" else "BB"))
    assert await status(http, changed) == 401


@pytest.mark.parametrize(
    "token", ["", " ", "x", "a.b", "a.b.c", "a.b.c.d.e", "." * 9, "é.b.c", "x" * 20000]
)
async def test_token__is_none__is_refused(http: httpx.AsyncClient, token: str) -> None:
    headers = [(b"Authorization", f"Bearer {token}".encode())]
    answer = await http.get("/orders", headers=headers)
    assert answer.status_code == 401


async def test_key__rotated__is_asked_for_once_and_then_known(
    http: httpx.AsyncClient, issuer: LittleIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "_AGAIN_SECONDS", 0.0)
    assert await status(http, issuer.token()) == 200
    old, new = issuer.keys[0], new_key("RS256", "two")
    issuer.keys = [new]
    assert await status(http, issuer.token()) == 200
    assert issuer.asked == 2
    assert await status(http, issuer.token(old)) == 401


async def test_key__unknown_again_and_again__asks_the_issuer_once(
    http: httpx.AsyncClient, issuer: LittleIssuer
) -> None:
    assert await status(http, issuer.token()) == 200
    stranger = new_key("RS256", "stranger")
    assert {await status(http, issuer.token(stranger)) for _ in range(5)} == {401}
    assert issuer.asked == 1
    assert await status(http, issuer.token()) == 200


async def test_issuer__is_down__nobody_comes_in_unless_its_keys_are_known(
    http: httpx.AsyncClient, issuer: LittleIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.up = False
    answer = await ask(http, issuer.token())
    assert (answer.status_code, "OIDC issuer" in answer.text) == (503, True)
    assert await status(http, issuer.token()) == 503
    issuer.up = True
    monkeypatch.setattr(oidc, "_AGAIN_SECONDS", 0.0)
    assert await status(http, issuer.token()) == 200
    issuer.up = False
    assert await status(http, issuer.token()) == 200
    # A day later nobody knows any more whether the key still counts.
    monkeypatch.setattr(oidc, "_TRUSTED_SECONDS", 0.0)
    assert await status(http, issuer.token()) == 503


async def test_issuer__calls_itself_something_else__is_not_believed(
    http: httpx.AsyncClient, issuer: LittleIssuer
) -> None:
    issuer.calls_itself = "https://evil.example"
    assert await status(http, issuer.token()) == 503


async def test_token__where_none_are_wanted__opens_nothing(
    idle_rig: ControlRig, issuer: LittleIssuer
) -> None:
    app = create_app(idle_rig.settings, idle_rig.client, idle_rig.store, idle_rig.flags)
    async with client_of(app) as http:
        answer = await ask(http, issuer.token(groups=["root"]))
    assert (answer.status_code, issuer.asked) == (401, 0)
