"""What nobody should send changes nothing.

Elsewhere: amounts, limits and unknown assets the vault refuses by name, in
integration/vault/test_vault_requests.py; API keys, unknown orders and cursors, in
integration/control/test_api.py; single settings, in unit/test_settings.py.
"""

import asyncio
import sys

import pytest
from eth_abi.abi import encode

from clients.vault import VAULT
from clients.wallet import CallReverted
from models.money import MARKET_BUY_LIMIT
from models.order import OrderStatus, Stage
from models.requests import QUEUE_MAIN, OrderRequest, Side, order_workflow_id
from tests.e2e.desk import DOLLAR, ONE_SHARE, Desk

_STRANGE_ID = bytes.fromhex("5f" * 32)


async def test_log__of_another_contract__starts_nothing(desk: Desk) -> None:
    """A deposit nobody paid for, announced by a contract of somebody's own."""
    head = await desk.vault.head()
    number = await desk.vault.count(head) + 1
    receipt = await desk.alice.transact("deploy", "", _emitting(desk, number))
    assert receipt.block_number > head.number
    made = await desk.deposit()  # the watcher has come past that block when this one ends
    assert made.n == number
    await desk.end(made, OrderStatus.EXECUTED)
    assert await desk.store.orders.by_id("0x" + _STRANGE_ID.hex()) == []
    strange = order_workflow_id(31337, desk.alice.vault, "0x" + _STRANGE_ID.hex())
    found = [each.id async for each in desk.client.list_workflows(f"WorkflowId = '{strange}'")]
    assert found == []


async def test_workflow__started_for_a_request_that_never_was__orders_nothing(desk: Desk) -> None:
    sent = await desk.placed()
    request = OrderRequest(
        chain_id=31337,
        vault=desk.alice.vault,
        n=10_000,
        request_id="0x" + _STRANGE_ID.hex(),
        side=Side.BUY,
    )
    outcome = await desk.client.execute_workflow(
        "DepositWorkflow",
        request,
        id=order_workflow_id(31337, request.vault, request.request_id),
        task_queue=QUEUE_MAIN,
    )
    assert outcome["stage"] == "ORPHANED"
    assert await desk.store.orders.by_id(request.request_id) == []
    assert await desk.placed() == sent


async def test_signals__repeated_and_nonsense__one_order(desk: Desk) -> None:
    await desk.control.fault("hold_fills", on=True)
    made = await desk.deposit()
    await desk.at(made, Stage.PLACED)
    handle = desk.workflow(made)
    for _ in range(10):
        await handle.signal("wake")
        await handle.signal("settled", "nonsense")
        await handle.signal("order_update", args=[{"order_id": 7}, "too", "many"])
        await handle.signal("nobody_listens", 1)
    await desk.control.fault("release_fills")
    await desk.end(made, OrderStatus.EXECUTED)
    await desk.one_order_each([made])


async def test_request__started_again_after_its_end__ends_once(desk: Desk) -> None:
    made = await desk.deposit()
    before = await desk.end(made, OrderStatus.EXECUTED)
    request = OrderRequest(
        chain_id=31337,
        vault=desk.alice.vault,
        n=made.n,
        request_id=made.request_id,
        side=Side.BUY,
    )
    await desk.workflow(made).result()
    await desk.client.execute_workflow(
        "DepositWorkflow", request, id=desk.workflow_id(made), task_queue=QUEUE_MAIN
    )
    after = await desk.end(made, OrderStatus.EXECUTED)
    assert (after.spent, after.settle_tx_hash) == (before.spent, before.settle_tx_hash)
    await desk.one_order_each([made])


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"asset": "0x" + "11" * 20}, "UnknownAsset"),
        ({"amount": 0}, "AmountTooSmall"),
        ({"amount": 1}, "AmountTooSmall"),
        ({"limit": 1}, "LimitOutOfReach"),
        ({"limit": 10**15}, "LimitOutOfReach"),
    ],
)
async def test_deposit__refused_by_the_vault__leaves_no_trace(
    desk: Desk, change: dict[str, object], error: str
) -> None:
    count = await desk.vault.count(await desk.vault.head())
    money = await desk.alice.balance(desk.alice.usdt)
    terms = {"asset": desk.token, "amount": ONE_SHARE, "limit": MARKET_BUY_LIMIT} | change
    deadline = await desk.deadline(3600)
    with pytest.raises(CallReverted) as refused:
        await desk.alice.send(
            VAULT, desk.alice.vault, "deposit", *terms.values(), deadline, desk.alice.address
        )
    assert refused.value.error == error
    assert await desk.vault.count(await desk.vault.head()) == count
    assert await desk.alice.balance(desk.alice.usdt) == money


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("worker", "BRONCO_CHAIN_VAULT"),
        ("worker", "BRONCO_DATABASE_URL"),
        ("api", "BRONCO_CHAIN_VAULT"),
    ],
)
async def test_process__setting_missing__names_it_and_ends(
    desk: Desk, command: str, missing: str
) -> None:
    environment = desk.stack.settings.environment()
    del environment[missing]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bronco", command),
        env=environment,
        cwd=desk.stack.options.directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode not in (0, None)
    assert missing in said.decode()
    assert "is missing" in said.decode()
    assert "Traceback" not in said.decode()


def _emitting(desk: Desk, number: int) -> str:
    """Creation code that emits DepositRequested and leaves no contract behind.

    PUSH2 size, PUSH1 offset, PUSH1 0, CODECOPY; the topics from the last to the first; LOG4; STOP.
    """
    owner = bytes.fromhex(desk.alice.address[2:]).rjust(32, b"\0")
    names = ["address", "address", "uint256", "uint128", "uint64", "uint16"]
    fields = (desk.alice.address, desk.token, 10**6 * DOLLAR, MARKET_BUY_LIMIT, 2**40, 20)
    data = encode(names, fields)
    topic = bytes.fromhex(VAULT.topic("DepositRequested")[2:])
    topics = [owner, _STRANGE_ID, number.to_bytes(32, "big"), topic]
    pushes = b"".join(b"\x7f" + each for each in topics)
    tail = b"\x61" + len(data).to_bytes(2, "big") + b"\x60\x00\xa4\x00"
    head = b"\x61" + len(data).to_bytes(2, "big") + b"\x60%c\x60\x00\x39"
    start = len(head) - 1 + len(pushes) + len(tail)
    code = head.replace(b"%c", start.to_bytes(1, "big")) + pushes + tail + data
    return "0x" + code.hex()
