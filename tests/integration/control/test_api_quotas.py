"""Limits on how often one may ask, at the real doors."""

import uuid

import httpx

from models.access import Role
from tests.integration.control.keys import app_of, client_of, new_api_key
from tests.integration.control.rig import ControlRig

FEW = {"reads_per_minute": 5, "writes_per_minute": 3, "control_per_minute": 2}


async def statuses(http: httpx.AsyncClient, times: int, path: str, **more: object) -> list[int]:
    method = str(more.pop("method", "GET"))
    return [(await http.request(method, path, **more)).status_code for _ in range(times)]  # type: ignore[arg-type]


async def test_reading__too_often__is_429_and_pausing_goes_on(rig: ControlRig) -> None:
    key = await new_api_key(rig.store, Role.OPERATOR)
    async with client_of(app_of(rig, **FEW)) as http:
        assert await statuses(http, 7, "/orders", headers=key) == [200] * 5 + [429] * 2
        answer = await http.get("/orders", headers=key)
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["type"] == "urn:bronco:problem:too-many-requests"
        paused = await statuses(http, 3, "/control/pause", method="POST", headers=key)
        assert paused == [200, 200, 429]
        other = await new_api_key(rig.store, Role.VIEWER)
        assert await statuses(http, 1, "/orders", headers=other) == [200]


async def test_stranger__too_often__is_429_by_address_and_a_key_still_opens(
    idle_rig: ControlRig,
) -> None:
    key = await new_api_key(idle_rig.store, Role.VIEWER)
    app = app_of(idle_rig, strangers_per_minute=4)
    address = f"2001:db8::{uuid.uuid4().hex[:4]}"
    transport = httpx.ASGITransport(app=app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
        wrong = {"X-API-Key": "guess"}
        assert await statuses(http, 6, "/orders", headers=wrong) == [401] * 4 + [429] * 2
        assert await statuses(http, 1, "/readyz") == [429]
        assert await statuses(http, 9, "/healthz") == [200] * 9
        assert await statuses(http, 1, "/orders", headers=key) == [200]
