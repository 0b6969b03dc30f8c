import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
import pytest_asyncio
from temporalio import activity, workflow
from temporalio.worker import Worker

from bronco.processes import ManagedProcess, Program, answers, free_port
from bronco.services import Redis, TemporalServer
from bronco.settings import Settings
from models.access import Role
from models.control import Permit
from models.records import ClaimState, ItemKind, SettlementItem
from models.requests import CHAIN_WATCH_WORKFLOW_ID, Side, remark_of
from models.watch import ChainWatchStatus, EndpointState, Fault
from tests.contracts.builders import (
    NOW,
    PLENTY,
    broker_order,
    claim_draft,
    new_request_id,
    settlement_item,
    snapshot,
)
from tests.integration.control.keys import app_of, client_of, new_api_key
from tests.integration.control.rig import API_KEY, ControlRig
from tests.waiting import eventually

KEY = {"X-API-Key": API_KEY}
PROBLEM = "application/problem+json"


@pytest_asyncio.fixture
async def idle_http(idle_rig: ControlRig) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of(idle_rig)) as http:
        yield http


@pytest_asyncio.fixture
async def http(rig: ControlRig) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of(rig)) as http:
        yield http


# --- control --------------------------------------------------------------------------------


async def test_pause_and_resume__with_key__close_and_open_trading(
    http: httpx.AsyncClient, rig: ControlRig
) -> None:
    paused = await http.post(
        "/control/pause", headers=KEY, json={"reason": "maintenance", "who": "ada"}
    )
    assert paused.status_code == 200
    assert paused.json() | {"version": 0, "holds": []} == {
        "paused": True,
        "open": False,
        "version": 0,
        "holds": [],
        "halted": None,
        "in_flight": [],
        "note": "",
        "confirmed": True,
        "woken": 0,
        "cancelling": 0,
    }
    assert not await rig.may_place()
    (hold,) = (await http.get("/status/pause")).json()["holds"]
    assert (hold["reason"], hold["who"], hold["kind"]) == ("maintenance", "ada", "MANUAL")
    resumed = await http.post("/control/resume", headers=KEY)
    assert resumed.status_code == 200
    assert resumed.json()["open"] is True
    await rig.until_open()


async def test_pause__in_flight__is_named(http: httpx.AsyncClient, rig: ControlRig) -> None:
    permit = await rig.begin()
    assert isinstance(permit, Permit)
    paused = await http.post("/control/pause", headers=KEY)
    assert [flight["remark"] for flight in paused.json()["in_flight"]] == [permit.remark]


async def test_pause__scoped__leaves_the_rest_open(
    http: httpx.AsyncClient, rig: ControlRig
) -> None:
    body = {"symbol": "aapl", "side": "BUY"}
    answer = (await http.post("/control/pause", headers=KEY, json=body)).json()
    assert (answer["paused"], answer["open"]) == (False, True)
    assert answer["holds"][0]["key"] == "manual:BUY:AAPL"
    assert not await rig.may_place(Side.BUY)
    assert await rig.may_place(Side.SELL)


async def test_pause__same_idempotency_key__counts_once(http: httpx.AsyncClient) -> None:
    headers = KEY | {"Idempotency-Key": "ticket-17"}
    first = await http.post("/control/pause", headers=headers)
    await http.post("/control/resume", headers=KEY)
    again = await http.post("/control/pause", headers=headers)
    assert again.content == first.content
    other = await http.post("/control/pause", headers=headers, json={"symbol": "AAPL"})
    assert (other.status_code, "another request" in other.text) == (409, True)
    assert (await http.get("/status/pause")).json()["paused"] is False


async def test_pause__idempotency_key_of_another__is_another_request(
    rig: ControlRig, http: httpx.AsyncClient
) -> None:
    key = {"Idempotency-Key": "monday"}
    ours, theirs = [await new_api_key(rig.store, Role.OPERATOR) | key for _ in range(2)]
    await http.post("/control/pause", headers=ours)
    await http.post("/control/resume", headers=KEY)
    await http.post("/control/pause", headers=theirs)
    assert (await http.get("/status/pause")).json()["paused"] is True


@pytest.mark.parametrize("path", ["/control/pause", "/control/resume"])
@pytest.mark.parametrize(
    ("headers", "says"), [({}, "send your key"), ({"X-API-Key": "guess"}, "not one of those")]
)
async def test_control__without_the_key__is_refused(
    rig: ControlRig, http: httpx.AsyncClient, path: str, headers: dict[str, str], says: str
) -> None:
    answer = await http.post(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == PROBLEM
    assert says in answer.json()["detail"]
    assert "guess" not in answer.text
    await eventually(rig.may_place)


async def test_control__no_key_configured__is_refused(rig: ControlRig) -> None:
    async with client_of(app_of(rig, key_hashes=())) as http:
        answer = await http.post("/control/pause", headers=KEY)
    assert answer.status_code == 401
    assert "BRONCO_API_KEY_HASHES" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b'{"side": "LONG"}', "body.side"),
        (b'{"reson": "typo"}', "body.reson"),
        (b'{"reason": 5}', "body.reason"),
        (b'{"symbol": "A;DROP"}', "body.symbol"),
        (b"{", "body"),
        (b"[]", "body"),
        (json.dumps({"reason": "x" * 241}).encode(), "body.reason"),
    ],
)
async def test_pause__bad_body__names_the_field_and_pauses_nothing(
    http: httpx.AsyncClient, rig: ControlRig, content: bytes, names: str
) -> None:
    answer = await http.post(
        "/control/pause", headers=KEY | {"content-type": "application/json"}, content=content
    )
    assert answer.status_code == 422
    assert names in answer.json()["detail"]
    assert any(error["field"].startswith(names) for error in answer.json()["errors"])
    await eventually(rig.may_place)


async def test_status__halted__is_paused_though_no_hold_is_set(
    http: httpx.AsyncClient, rig: ControlRig
) -> None:
    await rig.flags.halt("fire")
    status = (await http.get("/status/pause")).json()
    assert (status["paused"], status["open"], status["halted"]) == (True, False, "fire")


async def test_status__redis_is_down__is_not_open_and_says_why(
    http: httpx.AsyncClient, rig: ControlRig, control_redis: Redis
) -> None:
    await control_redis.process.kill()
    try:
        status = await http.get("/status/pause")
        ready = await http.get("/readyz")
        metrics = await http.get("/metrics")
    finally:
        await control_redis.process.start()
    assert status.status_code == 200
    assert status.json()["open"] is False
    assert "nothing is placed" in status.json()["note"]
    assert ready.status_code == 503
    assert ready.json()["checks"]["redis"]["ok"] is False
    assert ready.json()["checks"]["database"]["ok"] is True
    assert 'bronco_source_up{source="redis"} 0.0' in metrics.text


async def test_status__no_worker__is_503_and_says_what_to_do(
    idle_http: httpx.AsyncClient, lone_rig: ControlRig
) -> None:
    await lone_rig.start_control()
    answer = await idle_http.get("/status/pause")
    assert answer.status_code == 503
    assert "bronco pause --direct" in answer.json()["detail"]
    assert answer.headers["retry-after"]


# --- orders ---------------------------------------------------------------------------------


async def test_order__whole_life__shows_parts_and_timeline(
    idle_http: httpx.AsyncClient, idle_rig: ControlRig
) -> None:
    order = await idle_rig.order(amount=2**128)
    store, request = idle_rig.store, order.request_id
    await store.placements.claim(claim_draft(request), PLENTY, NOW)
    await store.placements.mark(request, 1, ClaimState.PLACED, broker_order_id="B77", now=NOW)
    placed = broker_order("B77", remark=remark_of(request, 1), filled=5)
    await store.book.record_snapshot(snapshot(placed))
    await store.items.enqueue(item_of(request))
    answer = await idle_http.get(f"/orders/{order.internal_id}", headers=KEY)
    assert answer.status_code == 200
    found = answer.json()
    assert found["usdt_amount"] == str(2**128)
    assert found["claims"][0]["state"] == "PLACED"
    assert found["broker_orders"][0]["order_id"] == "B77"
    assert found["broker_orders"][0]["price"] == "190.01"
    assert found["item"]["out"] == str(5 * 10**18)
    assert {"claimed", "settlement_item"} <= {entry["what"] for entry in found["timeline"]}
    times = [entry["at"] for entry in found["timeline"]]
    assert times == sorted(times)
    assert found["created_at"].endswith("Z")
    by_request = await idle_http.get(f"/orders/{request}", headers=KEY)
    assert by_request.json() == found


def item_of(request: str) -> SettlementItem:
    return settlement_item(
        request_id=request, kind=ItemKind.SETTLE, average_price=Decimal("190.01")
    )


@pytest.mark.parametrize(
    "key", ["999999999", "0x" + "0" * 64, "9" * 40, "nonsense", "order-1-0x-0x", "-1", "1.5", "%00"]
)
async def test_order__unknown_id__is_404_and_names_it(
    idle_http: httpx.AsyncClient, key: str
) -> None:
    answer = await idle_http.get(f"/orders/{key}", headers=KEY)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == PROBLEM
    assert key.replace("%00", "\x00") in answer.json()["detail"]


async def test_receipt__order_that_has_not_ended__is_409_and_says_so(
    idle_http: httpx.AsyncClient, idle_rig: ControlRig
) -> None:
    order = await idle_rig.order()
    answer = await idle_http.get(f"/orders/{order.internal_id}/receipt", headers=KEY)
    assert (answer.status_code, answer.headers["content-type"]) == (409, PROBLEM)
    assert "it has not ended" in answer.json()["detail"]
    unknown = await idle_http.get("/orders/999999/receipt", headers=KEY)
    assert unknown.status_code == 404
    assert (await idle_http.get(f"/orders/{order.internal_id}/receipt")).status_code == 401


async def test_orders__pages__hold_every_order_once(
    idle_http: httpx.AsyncClient, idle_rig: ControlRig
) -> None:
    owner = "0x" + new_request_id()[-40:]
    made = [(await idle_rig.order(owner=owner)).internal_id for _ in range(7)]
    seen: list[int] = []
    cursor = ""
    while True:
        params = {"user": owner.upper().replace("0X", "0x"), "limit": "3", "cursor": cursor}
        page = (await idle_http.get("/orders", params=params, headers=KEY)).json()
        seen += [order["internal_id"] for order in page["orders"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert seen == sorted((n for n in made if n is not None), reverse=True)


async def test_orders__filters__narrow(idle_http: httpx.AsyncClient, idle_rig: ControlRig) -> None:
    owner = "0x" + new_request_id()[-40:]
    buy = await idle_rig.order(owner=owner)
    sell = await idle_rig.order(owner=owner, side=Side.SELL)

    async def ids(**params: str) -> list[int]:
        found = await idle_http.get("/orders", params={"user": owner, **params}, headers=KEY)
        return [order["internal_id"] for order in found.json()["orders"]]

    assert await ids() == [sell.internal_id, buy.internal_id]
    assert await ids(side="SELL") == [sell.internal_id]
    assert await ids(stage="HELD", status="PENDING", symbol="aapl") == await ids()
    assert await ids(stage="PLACED") == []
    assert await ids(tx_hash=buy.tx_hash) == [buy.internal_id]
    assert await ids(request_id=sell.request_id) == [sell.internal_id]
    assert await ids(request_id=sell.request_id, side="BUY") == []


@pytest.mark.parametrize("cursor", ["nonsense", "AAAA", "ü", "' OR 1=1", "A" * 2000])
async def test_orders__malformed_cursor__is_400_and_names_it(
    idle_http: httpx.AsyncClient, cursor: str
) -> None:
    answer = await idle_http.get("/orders", params={"cursor": cursor}, headers=KEY)
    assert answer.status_code == 400
    assert "cursor=" in answer.json()["detail"]


async def test_orders__cursor_of_another_filter__is_400(
    idle_http: httpx.AsyncClient, idle_rig: ControlRig
) -> None:
    for _ in range(2):
        await idle_rig.order()
    page = (await idle_http.get("/orders", params={"limit": "1"}, headers=KEY)).json()
    params = {"limit": "1", "side": "BUY", "cursor": page["next_cursor"]}
    assert (await idle_http.get("/orders", params=params, headers=KEY)).status_code == 400


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"status": "DONE"}, "query.status"),
        ({"limit": "0"}, "query.limit"),
        ({"limit": "many"}, "query.limit"),
        ({"user": "ada"}, "query.user"),
        ({"tx_hash": "0x12"}, "query.tx_hash"),
    ],
)
async def test_orders__bad_filter__is_422_and_names_it(
    idle_http: httpx.AsyncClient, params: dict[str, str], names: str
) -> None:
    answer = await idle_http.get("/orders", params=params, headers=KEY)
    assert answer.status_code == 422
    assert names in answer.json()["detail"]


async def test_orders__no_key__are_guarded_unless_reading_is_open(idle_rig: ControlRig) -> None:
    async with client_of(app_of(idle_rig)) as http:
        assert (await http.get("/orders")).status_code == 401
        assert (await http.get("/orders/1")).status_code == 401
    async with client_of(app_of(idle_rig, read_needs_key=False)) as http:
        assert (await http.get("/orders")).status_code == 200


# --- the rest -------------------------------------------------------------------------------


async def test_health__all_up__is_ready(idle_http: httpx.AsyncClient) -> None:
    assert (await idle_http.get("/healthz")).json() == {"ok": True}
    ready = await idle_http.get("/readyz")
    assert ready.status_code == 200
    assert set(ready.json()["checks"]) == {"temporal", "database", "redis"}


async def test_metrics__paused__says_so(http: httpx.AsyncClient) -> None:
    await http.post("/control/pause", headers=KEY)
    text = (await http.get("/metrics")).text
    assert "bronco_paused 1.0" in text
    assert 'bronco_holds{kind="MANUAL"} 1.0' in text
    assert 'route="/control/pause",status="200"' in text


@activity.defn(name="watch_chain")
async def _one_lied() -> None:
    lied = EndpointState(label="2:liar", fault=Fault.LIED, detail="another hash")
    status = ChainWatchStatus(endpoints=(EndpointState(label="1:good"), lied))
    while True:
        activity.heartbeat(status)
        await asyncio.sleep(0.1)


@workflow.defn(name="ChainWatchForMetrics", sandboxed=False)
class _ChainWatch:
    @workflow.run
    async def run(self) -> None:
        each = timedelta(seconds=60)
        beat = timedelta(seconds=2)
        await workflow.execute_activity(
            _one_lied, start_to_close_timeout=each, heartbeat_timeout=beat
        )


async def test_metrics__an_endpoint_lied__is_named_with_its_reason(
    idle_http: httpx.AsyncClient, idle_rig: ControlRig
) -> None:
    async def named() -> bool:
        text = (await idle_http.get("/metrics")).text
        good = 'bronco_chain_endpoint_trusted{endpoint="1:good",reason=""} 1.0'
        liar = 'bronco_chain_endpoint_trusted{endpoint="2:liar",reason="LIED"} 0.0'
        return good in text and liar in text

    queue, client = "endpoints-for-metrics", idle_rig.client
    async with Worker(client, task_queue=queue, workflows=[_ChainWatch], activities=[_one_lied]):
        handle = await client.start_workflow(
            _ChainWatch.run, id=CHAIN_WATCH_WORKFLOW_ID, task_queue=queue
        )
        try:
            await eventually(named)
        finally:
            await handle.terminate()


async def test_unknown_path__is_a_problem_document(idle_http: httpx.AsyncClient) -> None:
    answer = await idle_http.get("/order")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == PROBLEM
    assert "/order" in answer.json()["detail"]


async def test_openapi__examples__are_there_and_fit(idle_http: httpx.AsyncClient) -> None:
    spec = (await idle_http.get("/openapi.json")).json()
    assert {
        "/status/pause",
        "/control/pause",
        "/control/resume",
        "/orders",
        "/orders/{key}",
    } <= set(spec["paths"])
    schemas = spec["components"]["schemas"]
    example = schemas["OrderView"]["examples"][0]
    assert set(example) == set(schemas["OrderView"]["properties"])
    assert schemas["OrderView"]["properties"]["usdt_amount"]["type"] == "string"
    assert (
        "examples"
        in spec["paths"]["/control/pause"]["post"]["requestBody"]["content"]["application/json"]
    )


async def test_api_process__sources_down__starts_answers_and_ends_cleanly(
    control_settings: Settings, control_temporal: TemporalServer, tmp_path: Any
) -> None:
    port = free_port()
    environment = control_settings.environment() | {
        "BRONCO_API_PORT": str(port),
        "BRONCO_TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}",
        "BRONCO_DATABASE_URL": "mysql+pymysql://u:s3cret-pw@127.0.0.1:1/x",
    }

    async def ready() -> bool:
        return await answers("127.0.0.1", port)

    log = tmp_path / "api.log"
    process = ManagedProcess(
        Program("api", (sys.executable, "-m", "bronco", "api"), log, ready=ready, env=environment)
    )
    await process.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
            assert (await http.get("/healthz")).status_code == 200
            answer = await http.get("/readyz")
            paused = await http.post("/control/pause", headers=KEY)
            orders = await http.get("/orders", headers=KEY)
    finally:
        process.send(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), 15)
    checks = answer.json()["checks"]
    assert (checks["temporal"]["ok"], checks["database"]["ok"]) == (False, False)
    assert checks["redis"]["ok"] is True
    assert paused.status_code == 503
    assert "bronco pause --direct" in paused.json()["detail"]
    assert orders.status_code == 503
    assert "s3cret" not in log.read_text() + answer.text + orders.text
    assert code == 0
    assert "api_stopped" in log.read_text()


async def test_api_process__port_taken__says_which_setting(
    control_settings: Settings, control_redis: Redis
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bronco", "api"),
        env=control_settings.environment() | {"BRONCO_API_PORT": str(control_redis.port)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert said.decode().startswith("bronco: setting BRONCO_API_PORT: cannot listen on")
