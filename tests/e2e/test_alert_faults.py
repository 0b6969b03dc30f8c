"""The alerts whose faults take a minute or more: each fires, and ends with its fault."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from bronco.attestor import Attestor
from bronco.deployment import DevChainPlan
from bronco.devchain import ADMIN, dev_key
from clients.agreeing import AgreeingVault
from clients.keys import account_of
from clients.vault import VAULT
from models.assets import Asset
from models.drafts import AuditDraft
from models.order import OrderStatus, Stage
from models.requests import QUEUE_MAIN
from tests.contracts.builders import house_position
from tests.e2e.desk import DOLLAR, SYMBOL, Desk
from tests.e2e.lookout import killed, restarted
from tests.e2e.test_approvals import ALICE, BOB, _configure, _post, _sign
from tests.e2e.test_owed import emptied
from tests.e2e.watching import Watched, age, reconcile, write
from tests.integration.broker.proxy import Proxy
from tests.receiver import receiving
from tests.waiting import eventually
from workers.clients import settler

pytestmark = pytest.mark.soak
TOO_LITTLE = 150 * DOLLAR
ODD = 350 * DOLLAR
"""Buys one share and gives 160 dollars back."""


async def test_vault__refuses_what_needs_approval__until_it_is_given(watched: Watched) -> None:
    desk, look, _ = watched
    names = ("RefundFailed", "SettlementRejected", "ApprovalWaits")
    async with approving(desk):
        made = [await desk.deposit(TOO_LITTLE), await desk.deposit(ODD)]
        await desk.all_at(made, Stage.AWAITING_APPROVAL)
        await look.fires(*names)
        for one in made:
            await approve(desk, one.request_id)
        await desk.all_at_their_end(made, seconds=90)
    await look.is_quiet(*names)


async def test_vault__emptied__owes_and_its_reserves_are_low(watched: Watched) -> None:
    desk, look, _ = watched
    names = ("VaultOwes", "ReserveLow", "RedeemMoneyShort")
    await desk.holding()
    await desk.control.fault("hold_fills", on=True)
    made = await desk.redeem()
    await desk.at(made, Stage.PLACED)
    async with emptied(desk):
        await desk.control.fault("release_fills")
        await desk.at(made, Stage.OWED)
        await reconcile(desk)
        await look.fires(*names)
    await desk.at(made, Stage.SETTLED, seconds=90)
    await reconcile(desk)
    await look.is_quiet(*names)


async def test_webhook__nobody_takes__is_behind(watched: Watched) -> None:
    desk, look, _ = watched
    key = {"X-API-Key": desk.stack.api_key}
    async with (
        receiving() as receiver,
        httpx.AsyncClient(base_url=desk.stack.api_url, headers=key, timeout=30) as http,
    ):
        receiver.status = 503
        made = await http.post("/webhooks", json={"url": receiver.url, "description": "the shop"})
        assert made.status_code == 201, made.text
        await desk.end(await desk.deposit(), OrderStatus.EXECUTED)
        await eventually(lambda: receiver.told, timeout=30)
        await age(desk, "webhook_deliveries", where="state = 'PENDING'")
        await look.fires("WebhookBehind")
        receiver.status = 200
        await look.is_quiet("WebhookBehind", seconds=90)
        gone = await http.delete(f"/webhooks/{made.json()['endpoint_id']}")
        assert gone.is_success, gone.text


async def test_redis__gone__the_api_fails(watched: Watched) -> None:
    desk, look, _ = watched
    async with killed(desk.stack.redis.process), httpx.AsyncClient() as http:

        async def fails() -> bool:
            await http.get(f"{desk.stack.api_url}/readyz", timeout=10)
            return {"ApiErrors", "SourceDown", "MeasurementOld"} <= await look.names()

        await eventually(fails, timeout=120, interval=0.2)
    await look.is_quiet("SourceDown", "MeasurementOld")


async def test_row__nobody_can_read__an_activity_fails(watched: Watched) -> None:
    desk, look, _ = watched
    made = await desk.deposit()
    order = (await desk.end(made, OrderStatus.EXECUTED)).futu_order_id
    spoil = "UPDATE broker_orders SET side = :side WHERE order_id = :order"
    await write(desk, spoil, side="NOPE", order=order)
    await look.fires("ActivityFailing", seconds=90)
    await write(desk, spoil, side="BUY", order=order)
    await look.is_quiet("BrokerBookOld")


async def test_workflow__of_code_that_is_not_there__its_task_fails(watched: Watched) -> None:
    desk, look, _ = watched
    handle = await desk.client.start_workflow(
        "TomorrowsWorkflow", id="tomorrow", task_queue=QUEUE_MAIN
    )
    await look.fires("WorkflowTaskFailing", seconds=90)
    await handle.terminate("a test")


async def test_worker__frozen__its_queue_waits(watched: Watched) -> None:
    desk, look, _ = watched
    for _ in range(4):
        desk.stack.processes["watcher"].freeze()
        await passed(15)
        desk.stack.processes["watcher"].thaw()
        await passed(2)
    await look.fires("WorkersBehind")


async def test_temporal__frozen__requests_pile_up(watched: Watched) -> None:
    desk, look, _ = watched
    desk.stack.temporal.process.freeze()
    made = await desk.deposit()
    await look.fires("ChainBacklog")
    desk.stack.temporal.process.thaw()
    await desk.end(made, OrderStatus.EXECUTED, seconds=120)
    await look.is_quiet("ChainBacklog")


async def test_endpoint__that_does_not_answer__is_set_aside(watched: Watched) -> None:
    desk, look, _ = watched
    watcher, good = desk.stack.processes["watcher"], desk.stack.anvil.http_url
    second = Proxy(int(good.rpartition(":")[2]))
    await second.listen()
    await restarted(watcher, chain_rpc_urls=f"{good},http://{second.where}")
    await second.kill()
    await look.fires("EndpointSetAside", seconds=90)
    await restarted(watcher, chain_rpc_urls=good)
    await look.is_quiet("EndpointSetAside")


async def test_chain__without_blocks_or_from_the_future__is_seen(watched: Watched) -> None:
    desk, look, _ = watched
    await look.fires("ChainHeadStands", seconds=90)  # it mines on demand, and nobody demands
    await desk.rpc.call("evm_increaseTime", 40)
    await desk.rpc.call("evm_mine")
    await look.fires("ChainAhead")
    await look.is_quiet("ChainAhead", "ChainHeadStands")


async def test_signer__with_little_of_its_hour_left__says_so(watched: Watched) -> None:
    desk, look, _ = watched
    await desk.end(await desk.deposit(), OrderStatus.EXECUTED)
    signer = desk.stack.processes["signer"]
    asked = settler(desk.stack.settings.signer)
    used = int((await asked.status()).used["batches"])
    await asked.close()
    try:
        await restarted(signer, limits_hour_batches=str(used))
        await look.fires("SignerHourUsedUp")
    finally:
        await restarted(signer, limits_hour_batches="100000")
    await look.is_quiet("SignerHourUsedUp")


async def test_position__that_nobody_decides_about__is_told(watched: Watched) -> None:
    desk, look, _ = watched
    await desk.store.house.book(house_position("alerts", quantity=1))
    await look.fires("HousePosition")
    (row,) = await desk.store.house.unresolved()
    await write(desk, "DELETE FROM house_positions WHERE id = :id", id=row.id)
    await look.is_quiet("HousePosition")


@pytest.mark.timeout(600)
async def test_audit_log__changed__is_broken_and_nobody_signs(watched: Watched) -> None:
    desk, look, _ = watched
    await eventually(desk.store.audit.head, timeout=30)
    entry = (await desk.store.audit.latest(50))[-1]
    put = "UPDATE audit_log SET data = :data WHERE id = :id"
    await write(desk, put, data="{}", id=entry.id)
    try:
        await look.fires("AuditBroken", "AuditUnsigned", seconds=300)
    finally:
        await write(desk, put, data=entry.data, id=entry.id)
    await look.is_quiet("AuditBroken", "AuditUnsigned")


async def test_watcher__gone__what_it_told_is_missed(watched: Watched) -> None:
    desk, look, _ = watched
    names = ("TargetDown", "MetricsMissing", "ChainHeadStands", "BrokerBookOld", "AuditUnsealed")
    async with killed(desk.stack.processes["watcher"]):
        await age(desk, "broker_snapshots", "ended_at")
        await desk.store.audit.append(AuditDraft("alerts", "test.alerts"))
        await age(desk, "audit_log", "at", where="seq IS NULL")
        await look.fires(*names)
    await look.is_quiet(*names)


async def test_worker__gone__reconcile_and_signer_are_missed(watched: Watched) -> None:
    desk, look, _ = watched
    names = ("ReconcileLate", "SignerDown", "SettlerGasLow", "ReservesOld")
    async with killed(desk.stack.processes["worker"]):
        await look.fires(*names)
    await reconcile(desk)
    await look.is_quiet(*names)


async def test_answer__lost_for_long__is_an_alert_and_so_is_the_failure(watched: Watched) -> None:
    desk, look, _ = watched
    await desk.control.fault("silence")
    made = await desk.deposit()
    await desk.at(made, Stage.UNKNOWN)
    await age(desk, "placements", where="state = 'CLAIMED'")
    await age(desk, "orders", where="stage = 'UNKNOWN'")
    await look.fires("UnknownOutcomeOld", "OrderWaitsLong")
    await desk.end(made, OrderStatus.FAILED)
    await look.fires("OrdersFailing")
    await look.is_quiet("UnknownOutcomeOld", "OrderWaitsLong")


async def test_positions__that_do_not_add_up__are_a_mismatch(watched: Watched) -> None:
    desk, look, _ = watched
    await desk.holding()
    held = (await desk.control.account()).positions[SYMBOL]
    await desk.control.set_position(SYMBOL, held - 1)
    await look_again(desk)
    await look.fires("Mismatch", "SharesShort")
    await desk.control.set_position(SYMBOL, held)
    await look_again(desk)
    await look.is_quiet("Mismatch", "SharesShort")


async def test_attestation__missing__is_told_until_somebody_attests(watched: Watched) -> None:
    """The last one here: what is bought after it is more than was attested."""
    desk, look, _ = watched
    await desk.holding()
    await look_again(desk)
    await look.fires("AttestationOld")
    chain, positions = desk.stack.chain, (await desk.control.account()).positions
    vault = AgreeingVault(desk.vault, allow_single=True)
    attestor = Attestor(vault, chain.monitor, split_margin=1.0)
    await desk.rpc.call("evm_mine")
    for symbol, token in chain.shares.items():

        async def held(symbol: str = symbol) -> int:
            return positions.get(symbol, 0)

        asset = Asset(symbol=symbol, token=token, feed=chain.feeds[symbol])
        draft = await attestor.draft(asset, held)
        signed = attestor.signed(draft, account_of(dev_key(ADMIN)))
        await desk.staff(ADMIN).transact("attest", chain.monitor, signed)
    await look_again(desk)
    await look.is_quiet("AttestationOld")


async def look_again(desk: Desk) -> None:
    """Two runs of reconcile, which is what a finding takes."""
    for _ in range(3):
        await reconcile(desk)


@asynccontextmanager
async def approving(desk: Desk) -> AsyncIterator[None]:
    """Nothing above 100 dollars goes back without two of three approvals."""
    from tests.approving import ascending

    await _configure(desk, 100 * DOLLAR)
    admin = desk.staff(ADMIN)
    await admin.send(VAULT, admin.vault, "configureApprovers", list(ascending()), 2)
    yield
    await _configure(desk, DevChainPlan().return_limit)


async def approve(desk: Desk, request_id: str) -> None:
    """Two signatures."""
    async with httpx.AsyncClient(
        base_url=desk.stack.api_url, headers={"X-API-Key": desk.stack.api_key}, timeout=30
    ) as http:
        for who in (ALICE, BOB):
            seen = (await http.get(f"/orders/{request_id}/approval")).json()
            await _post(http, request_id, _sign(seen["typed_data"], who))


async def passed(seconds: float) -> None:
    """What waits in a queue of Temporal's ages by real time alone."""
    until = time.monotonic() + seconds
    await eventually(lambda: time.monotonic() > until, timeout=seconds + 5, interval=0.5)
