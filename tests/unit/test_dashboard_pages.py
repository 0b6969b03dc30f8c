"""Templates with everything on them that there can be: a name nobody gave is an error."""

import re
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request

from api.control import ControlAnswer, PauseStatus
from api.dashboard.pages import Pages
from api.draining import DrainStatus
from bronco.settings import Settings
from models.access import Caller, Role
from models.control import Hold, HoldKind, InFlight
from models.requests import Side

ADDRESS = "0x" + "1a" * 20
AT = "2026-01-05T14:30:00+00:00"
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def pages() -> Pages:
    settings = Settings.load(
        {
            "BRONCO_CHAIN_RPC_URLS": "http://127.0.0.1:1",
            "BRONCO_CHAIN_VAULT": ADDRESS,
            "BRONCO_CHAIN_USDT": ADDRESS,
            "BRONCO_CHAIN_ASSETS": f'[{{"symbol":"AAPL","token":"{ADDRESS}","feed":"{ADDRESS}"}}]',
            "BRONCO_DATABASE_URL": "sqlite:///nowhere.db",
            "BRONCO_SIGNER_ADDRESS": ADDRESS,
        }
    )

    async def decimals() -> int:
        return 6

    return Pages(settings, decimals, reading_open=False)


def request_of(role: Role | None, *, named: bool = True) -> Request:
    caller = Caller("ada", role, named) if role else None
    scope = {
        "type": "http",
        "scheme": "http",
        "method": "GET",
        "path": "/dashboard/control",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")],
        "state": {"caller": caller},
    }
    return Request(scope)


def trading(*kinds: HoldKind) -> PauseStatus:
    holds = tuple(
        Hold(
            key=k.lower(), kind=k, reason=EVIL, who="bo", at="2026-01-05T14:30:00+00:00", side=side
        )
        for k in kinds
        for side in (None, Side.BUY)
    )
    flight = (InFlight(remark="b1:x:1", since=AT),)
    return PauseStatus(paused=bool(holds), open=not holds, version=1, holds=holds, in_flight=flight)


def drained(*, empty: bool) -> DrainStatus:
    return DrainStatus(
        draining=True,
        reason=EVIL,
        placing=0,
        working=3,
        settling=1,
        waiting=12,
        for_others=0,
        empty=empty,
    )


def control(pages: Pages, request: Request, **changes: object) -> str:
    row = SimpleNamespace(side="BUY", symbol="", kind="MANUAL", reason=EVIL, who="bo")
    row.set_at = row.lifted_at = None
    shown: dict[str, Any] = {
        "trading": trading(*HoldKind),
        "drain": drained(empty=False),
        "history": [row],
    }
    page = {"answer": None, "did": "", "open": "", "decimals": 6}
    return bytes(pages.rendered(request, "control.html", **(shown | page | changes)).body).decode()


def test_control__every_kind_of_hold_and_a_drain__is_shown_as_text(pages: Pages) -> None:
    text = control(pages, request_of(Role.OPERATOR))
    assert EVIL not in text
    for said in (
        "set by a person",
        "breaker",
        "the house owns shares",
        "Held until the drain ends",
    ):
        assert said in text
    for act in ("/control/pause", "/control/resume", "/control/drain", "/control/drain/end"):
        assert f'action="/dashboard{act}"' in text
    assert "Drained: nothing is under way" in control(
        pages, request_of(Role.OPERATOR), drain=drained(empty=True)
    )


def test_control__its_ids__are_of_one_element_each(pages: Pages) -> None:
    ids = re.findall(r'\bid="([^"]+)"', control(pages, request_of(Role.ADMIN, named=False)))
    assert {name for name, times in Counter(ids).items() if times > 1} == set()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER])
def test_control__a_role_that_may_only_look__is_shown_no_form(pages: Pages, role: Role) -> None:
    text = control(pages, request_of(role))
    assert 'action="/dashboard/control' not in text
    assert "data-opens" not in text


def test_control__nobody_answers__says_so_and_still_offers_the_pause(pages: Pages) -> None:
    text = control(pages, request_of(Role.ADMIN, named=False), trading=None, drain=None)
    assert "Nobody answers" in text
    assert "Pause all trading" in text
    assert 'name="who"' in text, "a key of the settings has no name of its own"


@pytest.mark.parametrize("did", ["pause", "resume", "drain"])
@pytest.mark.parametrize("confirmed", [True, False])
def test_control__after_an_act__says_what_came_of_it(
    pages: Pages, did: str, confirmed: bool
) -> None:
    answer = ControlAnswer(
        **trading().model_dump(), confirmed=confirmed, woken=2, cancelling=3 if confirmed else 0
    )
    text = control(pages, request_of(Role.OPERATOR), answer=answer, did=did)
    assert ("Not confirmed yet" in text) is not confirmed
    assert ("3 working orders are being cancelled" in text) is confirmed


def test_sign_in__over_plain_http_from_elsewhere__warns(pages: Pages) -> None:
    request = request_of(None)
    assert "plain HTTP" not in bytes(pages.sign_in(request, 200, "", "/dashboard").body).decode()
    request.scope["headers"] = [(b"host", b"desk.example")]
    elsewhere = Request({**request.scope})
    assert "plain HTTP" in bytes(pages.sign_in(elsewhere, 200, "", "/dashboard").body).decode()


def test_page__any__forbids_scripts_of_others_and_is_kept_nowhere(pages: Pages) -> None:
    answer = pages.sign_in(request_of(None), 200, "", "/dashboard")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
