"""A user's own order without an account: what its owner may see, where the operator allows it."""

import httpx
import pytest
from fastapi import FastAPI

from api.errors import Problems
from api.follow import SAYS, FollowView, routes
from bronco.logs import Redaction
from clients.store import Store
from models.order import Stage
from tests.contracts.builders import NOW, request_id, vault_request

SECRET = "settler 0xabc holds too little gas"


async def asked(store: Store, path: str, *, enabled: bool = True) -> httpx.Response:
    app = FastAPI()
    Problems(Redaction()).install(app)
    app.include_router(routes(store, enabled=enabled))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
        return await http.get(path)


@pytest.fixture
async def store(sqlite_store: Store) -> Store:
    await sqlite_store.orders.admit(
        vault_request(1),
        workflow_id="order-1",
        symbol="AAPL",
        tx_hash=request_id(99),
        now=NOW,
        waiting_for=SECRET,
    )
    return sqlite_store


async def test_follow__enabled__shows_what_the_owner_may_see_and_nothing_of_ours(
    store: Store,
) -> None:
    answer = await asked(store, f"/follow/{request_id(1).upper().replace('X', 'x')}")
    shown = answer.json()
    assert (shown["stage"], shown["says"]) == ("CONFIRMING", SAYS[Stage.CONFIRMING])
    assert (shown["usdt_amount"], shown["deadline"]) == ("1000000000", 1_800_000_000)
    assert set(shown) == set(FollowView.model_fields)
    assert SECRET not in answer.text
    assert "order-1" not in answer.text


@pytest.mark.parametrize(
    "key", [request_id(2), request_id(99), "1", "order-1", "x" * 500, "0x" + "g" * 64]
)
async def test_follow__not_a_request_id_or_unknown__is_not_found(store: Store, key: str) -> None:
    assert (await asked(store, f"/follow/{key}")).status_code == 404


async def test_follow__not_enabled__is_not_found(store: Store) -> None:
    assert (await asked(store, f"/follow/{request_id(1)}", enabled=False)).status_code == 404


def test_words__every_stage__has_some() -> None:
    assert set(SAYS) == set(Stage)
