"""What needs approval, as approvers meet it: HTTP, the command line, and money that moves once."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest_asyncio
from eth_account import Account

from bronco.deployment import DevChainPlan
from bronco.devchain import ADMIN, dev_address, dev_key
from clients.approvals import signable
from clients.vault import VAULT
from models.order import OrderStatus, Stage
from tests.approving import APPROVERS, STRANGER, ascending
from tests.e2e.desk import DOLLAR, Desk

ALICE, BOB, _ = APPROVERS
TOO_LITTLE = 150 * DOLLAR
"""Buys no share, so it goes back: more than settlers may give back alone."""


@pytest_asyncio.fixture
async def guarded_desk(desk: Desk) -> AsyncIterator[Desk]:
    """Nothing above 100 dollars goes back without two of three approvals."""
    await _configure(desk, 100 * DOLLAR)
    admin = desk.staff(ADMIN)
    await admin.send(VAULT, admin.vault, "configureApprovers", list(ascending()), 2)
    yield desk
    await _configure(desk, DevChainPlan().return_limit)


async def test_refund__above_the_return_limit__waits_for_two_approvers(guarded_desk: Desk) -> None:
    desk = guarded_desk
    before = await desk.alice.balance(desk.alice.usdt)
    made = await desk.deposit(TOO_LITTLE)
    await desk.at(made, Stage.AWAITING_APPROVAL)
    assert await desk.alice.balance(desk.alice.usdt) == before - TOO_LITTLE

    async with httpx.AsyncClient(
        base_url=desk.stack.api_url, headers={"X-API-Key": desk.stack.api_key}, timeout=30
    ) as http:
        seen = (await http.get(f"/orders/{made.request_id}/approval")).json()
        assert (seen["missing"], seen["case"]["code"]) == (2, "RETURN_LIMIT")
        wrong = await _post(http, made.request_id, _sign(seen["typed_data"], STRANGER))
        assert (wrong.status_code, dev_address(STRANGER) in wrong.text) == (409, True)
        first = await _post(http, made.request_id, _sign(seen["typed_data"], ALICE))
        assert (first.status_code, first.json()["signed"]) == (200, [dev_address(ALICE)])
        again = await _post(http, made.request_id, _sign(seen["typed_data"], ALICE))
        assert again.json() == first.json(), "the same signature once more counts once"
        bare = await http.post(
            f"/orders/{made.request_id}/approvals", json={}, headers={"X-API-Key": ""}
        )
        assert bare.status_code == 401

    shown = json.loads(await _bronco(desk, "approve", made.request_id, "--json"))
    assert (shown["missing"], shown["case"]["signed"]) == (1, [dev_address(ALICE)])
    signature = _sign(shown["typed_data"], BOB)
    said = await _bronco(desk, "approve", made.request_id, "--signature", signature)
    assert "That is enough" in said

    row = await desk.end(made, OrderStatus.FAILED)
    assert row.stage is Stage.REFUNDED
    assert await desk.alice.balance(desk.alice.usdt) == before
    entries = await desk.store.audit.of_request(made.request_id)
    kept = [json.loads(entry.data) for entry in entries if entry.action == "approval.signed"]
    assert [one["signer"] for one in kept] == [dev_address(index).lower() for index in (ALICE, BOB)]
    assert kept[1]["signature"] == signature
    assert {one["digest"] for one in kept} == {shown["case"]["digest"]}


async def _configure(desk: Desk, return_limit: int) -> None:
    plan, admin = DevChainPlan(), desk.staff(ADMIN)
    caps = (plan.mint_cap, plan.pay_cap, plan.cap_window_seconds)
    await admin.send(VAULT, admin.vault, "configureCaps", caps, return_limit)


def _sign(typed_data: dict[str, Any], index: int) -> str:
    """As a wallet does it, which knows nothing but the typed data."""
    signed = Account.sign_message(signable(typed_data), dev_key(index))
    return "0x" + bytes(signed.signature).hex()


async def _post(http: httpx.AsyncClient, request_id: str, signature: str) -> httpx.Response:
    return await http.post(f"/orders/{request_id}/approvals", json={"signature": signature})


async def _bronco(desk: Desk, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bronco", *words),
        env=os.environ | desk.stack.settings.environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()
