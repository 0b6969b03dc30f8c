"""Changes as a reader of GET /events sees them."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from api.hub import HubOptions
from bronco.processes import ManagedProcess, Program, answers, free_port
from models.access import Role
from models.order import Order, OrderStatus, Stage
from tests.integration.control.keys import app_of, new_api_key
from tests.integration.control.rig import API_KEY, ControlRig
from tests.streams import following, listening
from tests.waiting import eventually

KEY = {"X-API-Key": API_KEY}


@pytest_asyncio.fixture
async def http(idle_rig: ControlRig) -> AsyncIterator[httpx.AsyncClient]:
    async with listening(app_of(idle_rig)) as client:
        yield client


async def move(rig: ControlRig, order: Order, step: int, **changes: object) -> None:
    """Write the row as its workflow would. step: 1, 2, ... after the row was made."""
    key = (order.chain_id, order.vault, order.request_id)
    done = await rig.store.orders.update(*key, order.version + step, changes, now=datetime.now(UTC))
    assert done


async def test_stream__opened__says_at_once_how_control_stands(http: httpx.AsyncClient) -> None:
    async with following(http, KEY) as events:
        assert events.response.headers["content-type"].startswith("text/event-stream")
        first = await events.next()
    assert (first.kind, first.data["paused"], first.data["holds"]) == ("control", False, [])
    assert events.place.isdigit()


async def test_order__changes__is_told_within_a_second_as_the_list_shows_it(
    http: httpx.AsyncClient, idle_rig: ControlRig
) -> None:
    order = await idle_rig.order()
    async with following(http, KEY) as events:
        await events.next("control")
        begun = time.monotonic()
        await move(idle_rig, order, 1, stage=Stage.PLACED, status=OrderStatus.EXECUTING)
        told = await events.next("order")
        took = time.monotonic() - begun
    shown = (await http.get(f"/orders/{order.internal_id}", headers=KEY)).json()
    assert told.data == {name: shown[name] for name in told.data}
    assert told.data["stage"] == "PLACED"
    # A quarter of a second between two looks; the rest is for a machine that is busy.
    assert took < 1.0


async def test_reader__comes_back__is_told_what_it_missed_in_order(
    http: httpx.AsyncClient, idle_rig: ControlRig
) -> None:
    async with following(http, KEY) as events:
        await events.next("control")
    order = await idle_rig.order()
    await move(idle_rig, order, 1, stage=Stage.PLACED)
    again = KEY | {"Last-Event-ID": events.place}
    async with following(http, again) as events:
        assert await events.stages(3) == ["CONFIRMING", "HELD", "PLACED"]
        await move(idle_rig, order, 2, stage=Stage.SETTLING)
        assert await events.stages(1) == ["SETTLING"]
    async with following(http, KEY, after=events.place) as events:
        await move(idle_rig, order, 3, stage=Stage.SETTLED)
        assert await events.stages(1) == ["SETTLED"]


async def test_readers__many_come_and_go_under_load__each_sees_every_stage(
    http: httpx.AsyncClient, idle_rig: ControlRig
) -> None:
    order = await idle_rig.order()
    steps = 30

    async def write() -> None:
        for step in range(1, steps + 1):
            await move(idle_rig, order, step, waiting_for=f"step {step}")

    async with following(http, KEY) as events:
        await events.next("control")
        begun = events.place

    readers = [
        asyncio.create_task(read_from(http, order, begun, patience, steps))
        for patience in (1, 7, steps)
    ]
    await write()
    for seen in await asyncio.gather(*readers):
        assert seen == [f"step {step}" for step in range(1, steps + 1)]


async def read_from(
    http: httpx.AsyncClient, order: Order, place: str, patience: int, steps: int
) -> list[str]:
    """Leave after every few events, and come back with the last id; each step once, as seen."""
    seen: list[str] = []
    while not seen or seen[-1] != f"step {steps}":
        params = {"order": str(order.internal_id), "after": place}
        async with following(http, KEY, **params) as events:
            for _ in range(patience):
                words = (await events.next("order")).data["waiting_for"]
                if words not in seen:
                    seen.append(words)
                if words == f"step {steps}":
                    break
            place = events.place
    return seen


async def test_filters__kinds_and_order__leave_the_rest_out(
    http: httpx.AsyncClient, idle_rig: ControlRig
) -> None:
    other, order = await idle_rig.order(), await idle_rig.order()
    async with following(http, KEY, kinds="order", order=order.request_id) as events:
        await move(idle_rig, other, 1, stage=Stage.PLACED)
        await move(idle_rig, order, 1, stage=Stage.SETTLING)
        told = await events.next()
    assert (told.kind, told.data["internal_id"]) == ("order", order.internal_id)
    async with following(http, KEY, kinds="control") as events:
        assert (await events.next()).kind == "control"


async def test_pause_and_halt__set_and_lifted__are_told(
    http: httpx.AsyncClient, rig: ControlRig
) -> None:
    async with following(http, KEY, kinds="control") as events:
        assert (await events.next()).data["paused"] is False
        answer = await http.post(
            "/control/pause", headers=KEY, json={"who": "ada", "reason": "test"}
        )
        assert answer.status_code == 200, answer.text
        held = await events.next()
        assert (held.data["paused"], held.data["holds"][0]["who"]) == (True, "ada")
        await http.post("/control/resume", headers=KEY, json={"who": "ada"})
        assert (await events.next()).data["paused"] is False
        await rig.flags.halt("fire")
        halted = await events.next()
        assert (halted.data["halted"], halted.data["open"], halted.place) == ("fire", False, "")


@pytest.mark.parametrize("params", [{"kinds": "fills"}, {"after": "x"}, {"after": "9" * 19}])
async def test_stream__asked_for_nonsense__is_a_problem(
    http: httpx.AsyncClient, params: dict[str, str]
) -> None:
    answer = await http.get("/events", headers=KEY, params=params)
    assert answer.status_code == 422
    answer = await http.get("/events", headers=KEY | {"Last-Event-ID": "abc"})
    assert (answer.status_code, "Last-Event-ID" in answer.text) == (400, True)


async def test_place__older_than_what_is_kept__is_told_to_read_anew(
    http: httpx.AsyncClient, idle_rig: ControlRig
) -> None:
    order = await idle_rig.order()
    span = await idle_rig.store.changes.span()
    await idle_rig.store.changes.prune(datetime.now(UTC) + timedelta(hours=1), 100_000)
    for place in ("0", str(span.newest + 1000)):
        async with following(http, KEY, after=place) as events:
            told = await events.next("reset")
            assert told.place == str(span.newest)
            assert (told.data["oldest"], told.data["newest"]) == (span.newest + 1, span.newest)
    async with following(http, KEY, after=str(span.newest)) as events:
        await move(idle_rig, order, 1, stage=Stage.PLACED)
        assert await events.stages(1) == ["PLACED"]


async def test_readers__more_than_may__are_told_to_come_later(idle_rig: ControlRig) -> None:
    app = app_of(idle_rig)
    app.state.hub._options = HubOptions(readers=2)
    async with listening(app) as http:
        async with following(http, KEY), following(http, KEY):
            answer = await http.get("/events", headers=KEY)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "6")
        # Who has left makes room.
        await eventually(lambda: not app.state.hub._readers)
        async with following(http, KEY) as events:
            await events.next("control")


async def test_stream__has_lasted_long_enough__ends_and_a_revoked_key_is_refused(
    idle_rig: ControlRig,
) -> None:
    app = app_of(idle_rig)
    app.state.hub._options = HubOptions(stream_seconds=1.0)
    key = await new_api_key(idle_rig.store, Role.VIEWER, "wallboard")
    async with listening(app) as http:
        async with following(http, key) as events:
            await events.next("control")
            await idle_rig.store.api_keys.revoke("wallboard", "ada", "", datetime.now(UTC))
            with pytest.raises(EOFError):
                await events.next("never told")
        again = await http.get("/events", headers=key | {"Last-Event-ID": events.place})
    assert again.status_code == 401


async def test_reader__far_behind__is_cut_and_misses_nothing(idle_rig: ControlRig) -> None:
    """It takes nothing while others go on; what it comes back with is complete."""
    app = app_of(idle_rig)
    hub = app.state.hub
    reader = await hub.join()
    order = await idle_rig.order()
    reader._queue = asyncio.Queue(3)
    for step in range(1, 8):
        await move(idle_rig, order, step, waiting_for=f"step {step}")
    await eventually(lambda: reader not in hub._readers)
    assert [change async for change in reader][1:] == []
    late = [change.data["waiting_for"] async for change in hub.missed(reader.starts_at, 10**9)]
    hub.close()
    assert late[-7:] == [f"step {step}" for step in range(1, 8)]


async def test_poller__nobody_listens__asks_nothing_and_many_cost_as_much_as_one(
    idle_rig: ControlRig,
) -> None:
    app = app_of(idle_rig)
    hub = app.state.hub

    async def statements(readers: int) -> float:
        joined = [await hub.join() for _ in range(readers)]
        before, begun = idle_rig.store.statements, time.monotonic()
        await eventually(lambda: time.monotonic() - begun > 1.0)
        spent = idle_rig.store.statements - before
        for reader in joined:
            reader.leave()
        return spent / (time.monotonic() - begun)

    one, many = await statements(1), await statements(150)
    assert many < one + 4
    await eventually(lambda: hub._poller.done())
    hub.close()


async def test_api_process__told_to_stop_while_streams_are_open__ends_them_and_itself(
    idle_rig: ControlRig, tmp_path: Path
) -> None:
    port = free_port()

    async def ready() -> bool:
        return await answers("127.0.0.1", port)

    environment = idle_rig.settings.environment() | {"BRONCO_API_PORT": str(port)}
    command = (sys.executable, "-m", "bronco", "api")
    log = tmp_path / "api.log"
    process = ManagedProcess(Program("api", command, log, ready=ready, env=environment))
    await process.start()
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http,
        following(http, KEY) as one,
        following(http, KEY) as other,
    ):
        await asyncio.gather(one.next("control"), other.next("control"))
        begun = time.monotonic()
        process.send(signal.SIGTERM)
        for events in (one, other):
            with pytest.raises(EOFError):
                await events.next("never told")
        code = await asyncio.wait_for(process.wait(), 15)
    # Five seconds are the grace that a stream which does not end would take.
    assert (code, time.monotonic() - begun < 4.0) == (0, True)
    assert "Traceback" not in log.read_text()
