"""Operators' verbs over the API and the command: money from the chain, orders from the broker."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from bronco.devchain import ADMIN
from clients.attesting import MONITOR
from clients.reserve_file import LATEST
from clients.wallet import ERC20
from models.money import SHARE_SCALE
from models.order import OrderStatus, Reason, Stage
from tests.e2e.desk import SYMBOL, TWO_SHARES, Desk
from tests.e2e.watching import reconcile
from tests.keystores import write_keystore
from tests.shell import Inline
from tests.waiting import eventually

WHY = {"reason": "the user asked by phone", "who": "ada"}


@pytest.fixture
async def http(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    stack = desk.stack
    async with httpx.AsyncClient(
        base_url=stack.api_url, headers={"X-API-Key": stack.api_key}, timeout=30
    ) as client:
        yield client


async def acts(desk: Desk, request_id: str) -> list[tuple[str, str, Any]]:
    entries = await desk.store.audit.of_request(request_id)
    told = [each for each in entries if each.action.startswith("order.operator_")]
    return [(each.action, each.actor, json.loads(each.data)["reason"]) for each in told]


async def test_refund__held_order__gives_all_back_once_and_is_told(
    desk: Desk, http: httpx.AsyncClient
) -> None:
    await desk.play.pause("an operator refunds what is held")
    before, sent = await desk.alice.balance(desk.alice.usdt), await desk.placed()
    made = await desk.deposit(TWO_SHARES)
    await desk.at(made, Stage.HELD)
    path, once = f"/orders/{made.request_id}/refund", {"Idempotency-Key": made.request_id}
    first = await http.post(path, json=WHY, headers=once)
    again = await http.post(path, json=WHY, headers=once)
    assert (first.status_code, again.content) == (200, first.content)

    row = await desk.end(made, OrderStatus.FAILED)
    assert (row.stage, row.reason) == (Stage.REFUNDED, Reason.OPERATOR)
    assert await desk.alice.balance(desk.alice.usdt) == before
    assert await desk.placed() == sent
    assert await acts(desk, made.request_id) == [
        ("order.operator_refund", "ada", "the user asked by phone")
    ]
    late = await http.post(path, json=WHY)
    assert (late.status_code, late.json()["detail"].endswith("it has ended: REFUNDED")) == (
        409,
        True,
    )


async def test_cancel__working_order__refund_is_refused_then_the_rest_goes_back(
    desk: Desk, http: httpx.AsyncClient
) -> None:
    before = await desk.alice.balance(desk.alice.usdt)
    await desk.control.fault("hold_fills", on=True)
    made = await desk.deposit(TWO_SHARES)
    await desk.at(made, Stage.PLACED)
    path = f"/orders/{made.request_id}"

    async def refused() -> bool:
        return "works at the broker" in (await http.post(f"{path}/refund", json=WHY)).text

    await eventually(refused)
    assert (await http.post(f"{path}/cancel", json=WHY)).status_code == 200
    row = await desk.end(made, OrderStatus.FAILED)
    assert row.reason is Reason.OPERATOR
    assert await desk.alice.balance(desk.alice.usdt) == before
    (order,) = await desk.orders_of(made)
    assert order.filled == 0


async def test_quote__then_the_deposit__comes_to_what_was_quoted_and_the_day_agrees(
    desk: Desk, http: httpx.AsyncClient
) -> None:
    asked = {"side": "BUY", "symbol": SYMBOL, "amount": str(TWO_SHARES)}
    quote = (await http.get("/quote", params=asked)).json()
    assert quote["obstacles"] == []
    made = await desk.deposit(TWO_SHARES)
    row = await desk.end(made, OrderStatus.EXECUTED)
    assert row.filled_quantity == quote["shares"] * 10**18 == int(quote["expected"]["received"])
    assert int(quote["expected"]["spent"]) == row.spent <= int(quote["worst"]["spent"])
    assert int(quote["expected"]["fee"]) == row.fee
    assert row.reclaim_at - row.deadline == quote["reclaim_at"] - quote["deadline"]

    today = datetime.now(ZoneInfo("America/New_York")).date().isoformat()

    async def agreed() -> bool:
        day = (await http.get(f"/statements/{today}")).json()
        (line,) = [each for each in day["lines"] if each["request_id"] == made.request_id]
        return bool(line["difference"] == "" and line["taken"] == str(row.spent))

    await eventually(agreed)
    stats = (await http.get("/stats")).json()
    assert stats["by_status"]["EXECUTED"] >= 1
    assert stats["days"][0]["orders"] >= 1
    # /follow is off unless an operator switches it on.
    assert (await http.get(f"/follow/{made.request_id}")).status_code == 404


async def test_shell__retry_refund_cancel__do_and_refuse_what_the_api_does(
    desk: Desk, tmp_path: Path
) -> None:
    bronco = Inline(tmp_path, desk.stack.settings.environment())
    before = await desk.alice.balance(desk.alice.usdt)
    await desk.play.pause("an operator at a shell")
    made = await desk.deposit(TWO_SHARES)
    await desk.at(made, Stage.HELD)
    key = made.request_id

    assert (await bronco("refund", key)).code == 2
    blank = await bronco("refund", key, "--reason", " ")
    assert (blank.code, "say why" in blank.error) == (1, True)
    nobody = await bronco("retry", "424242", "--reason", "again")
    assert (nobody.code, "424242" in nobody.error) == (1, True)
    retried = await bronco("retry", key, "--reason", "look again", "--json")
    assert (retried.code, retried.json["stage"]) == (0, "HELD")
    dry = await bronco("doctor", key, "--do", "refund")
    assert (dry.code, "would be done" in dry.out) == (0, True)
    refunded = await bronco("refund", key, "--reason", "asked by phone", "--who", "ada")
    assert refunded.code == 0, refunded.error

    row = await desk.end(made, OrderStatus.FAILED)
    assert (row.stage, row.reason) == (Stage.REFUNDED, Reason.OPERATOR)
    assert await desk.alice.balance(desk.alice.usdt) == before
    late = await bronco("cancel", key, "--reason", "too late")
    assert (late.code, "it has ended" in late.error) == (1, True)
    assert await acts(desk, key) == [
        ("order.operator_retry", "grace", "look again"),
        ("order.operator_refund", "ada", "asked by phone"),
    ]


async def test_shell__statement__is_what_the_api_writes(
    desk: Desk, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    bronco = Inline(tmp_path, desk.stack.settings.environment())
    made = await desk.deposit(TWO_SHARES)
    row = await desk.end(made, OrderStatus.EXECUTED)
    today = datetime.now(ZoneInfo("America/New_York")).date().isoformat()

    async def written() -> bool:
        ran = await bronco("statement", today)
        (line,) = [line for line in ran.out.splitlines() if made.request_id in line]
        return ran.code == 0 and str(row.spent) in line.split(",")

    await eventually(written)
    asked = {"format": "csv"}
    over_http = (await http.get(f"/statements/{today}", params=asked)).text
    assert (await bronco("statement", today)).out.splitlines() == over_http.splitlines()
    wrong = await bronco("statement", "yesterday")
    assert (wrong.code, "write a day like 2026-01-05" in wrong.error) == (1, True)


async def test_shell__reserves_published_and_posted__verify_and_are_on_chain(
    desk: Desk, tmp_path: Path
) -> None:
    await desk.holding()
    await reconcile(desk)
    bronco = Inline(tmp_path, desk.stack.settings.environment())
    keys = write_keystore(tmp_path, ADMIN)
    published = await bronco("reserves", "publish", *keys, "--directory", "public", "--post")
    assert published.code == 0, published.error

    verified = await bronco("reserves", "verify", f"public/{LATEST}", "--json")
    assert (verified.code, set(verified.json["checks"].values())) == (0, {""})
    held = (await desk.control.account()).positions[SYMBOL]
    monitor = desk.stack.chain.monitor
    attested = await desk.alice.read(MONITOR, monitor, "attestations", desk.token)
    assert attested == held * SHARE_SCALE >= await desk.alice.read(ERC20, desk.token, "totalSupply")
