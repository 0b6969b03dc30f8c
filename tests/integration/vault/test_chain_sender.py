"""Sending: what an endpoint's answer proves, and what is found in the chain afterwards."""

import pytest

from bronco.devchain import SETTLER, dev_key
from bronco.processes import free_port
from clients.dialects import BroadcastUnknown
from clients.keys import SettlePolicy, UnsignedTx, plain_signer
from clients.rpc import Rpc, RpcRefused, RpcUnreachable
from clients.sender import ChainSender
from clients.vault import settle_calldata
from clients.wallet import USDT
from models.chain import BroadcastOutcome, Fees, Rejection
from models.errors import SourceUnavailable
from models.requests import VaultRequest, VaultStatus
from tests.integration.vault.desk import DOLLAR, Desk, bought, refund, rejections
from tests.integration.vault.proxy import Json, answering, endpoint

ACCEPTED, KNOWN = BroadcastOutcome.ACCEPTED, BroadcastOutcome.ALREADY_KNOWN
GWEI = 10**9


async def signed(
    desk: Desk, request: VaultRequest, *, nonce: int | None = None, fee: int = 20 * GWEI
) -> str:
    """A refund of the request, signed by the settler."""
    signer = plain_signer(dev_key(SETTLER), SettlePolicy(chain_id=31337, vault=desk.address))
    tx = UnsignedTx(
        chain_id=31337,
        to=desk.address,
        nonce=await desk.sender.latest_nonce(signer.address) if nonce is None else nonce,
        gas=700_000,
        max_fee=fee,
        max_priority_fee=GWEI if fee > GWEI else fee,
        data=settle_calldata([], [refund(request)]),
    )
    return (await signer.sign(tx)).raw


async def test_broadcast__same_bytes_again__says_so_and_has_one_effect(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    raw = await signed(desk, request)

    first = await desk.sender.broadcast(raw)
    receipt = await desk.mined(first.tx_hash)
    again = await desk.sender.broadcast(raw)

    assert first.outcome is ACCEPTED
    assert again.tx_hash == first.tx_hash
    assert again.outcome in (KNOWN, BroadcastOutcome.NONCE_USED)
    assert [event.name for event in receipt.events] == ["Refunded"]


async def test_broadcast__waiting_in_the_mempool__known_replaced_then_mined(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    nonce = await desk.sender.latest_nonce(desk.settler.address)
    await desk.rpc.call("evm_setAutomine", False)
    try:
        raw = await signed(desk, request)
        first = await desk.sender.broadcast(raw)
        again = await desk.sender.broadcast(raw)
        low = await desk.sender.broadcast(await signed(desk, request, nonce=nonce, fee=19 * GWEI))
        high = await desk.sender.broadcast(await signed(desk, request, nonce=nonce, fee=40 * GWEI))
        waiting = await desk.sender.receipts([first.tx_hash, high.tx_hash])
        known = await desk.sender.known(high.tx_hash)
        state = await desk.vault.settler(desk.settler.address, await desk.head())
    finally:
        await desk.rpc.call("evm_setAutomine", True)
    await desk.rpc.call("evm_mine")

    outcomes = [sent.outcome for sent in (first, again, low, high)]
    assert outcomes == [ACCEPTED, KNOWN, BroadcastOutcome.UNDERPRICED, ACCEPTED]
    assert waiting == [None, None]
    assert known
    assert (state.latest_nonce, state.pending_nonce) == (nonce, nonce + 1)
    assert (await desk.mined(high.tx_hash)).ok
    assert await desk.sender.receipt(first.tx_hash) is None


async def test_broadcast__no_gas_money__not_sent(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    await desk.rpc.call("anvil_setBalance", desk.settler.address, hex(1000))

    sent = await desk.sender.broadcast(await signed(desk, request))

    assert sent.outcome is BroadcastOutcome.NO_FUNDS
    assert not await desk.sender.known(sent.tx_hash)


async def test_broadcast__fee_below_the_base_fee__is_underpriced(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)

    sent = await desk.sender.broadcast(await signed(desk, request, fee=1))

    assert sent.outcome is BroadcastOutcome.UNDERPRICED


async def test_broadcast__nobody_there__certainly_not_sent(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    rpc = Rpc(f"http://127.0.0.1:{free_port()}", timeout_seconds=2)

    with pytest.raises(RpcUnreachable):
        await ChainSender(rpc, vault=desk.address).broadcast(await signed(desk, request))

    await rpc.close()


async def test_broadcast__answer_is_lost__unknown_though_it_was_sent(desk: Desk) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    raw = await signed(desk, request)

    def hang_up(call: Json, truth: Json) -> Json | None:
        return None if call["method"] == "eth_sendRawTransaction" else truth

    async with endpoint(desk.rpc.url, hang_up) as url:
        rpc = Rpc(url, timeout_seconds=2)
        with pytest.raises(BroadcastUnknown) as unknown:
            await ChainSender(rpc, vault=desk.address).broadcast(raw)
        await rpc.close()

    assert (await desk.mined(unknown.value.tx_hash)).ok


@pytest.mark.parametrize(
    "text",
    [
        '{"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "moon phase wrong"}}',
        '{"jsonrpc": "2.0", "id": 1, "result": "0x1234"}',
        "gateway time-out",
    ],
)
async def test_broadcast__answer_nobody_knows__unknown(desk: Desk, text: str) -> None:
    request = await desk.deposit(desk.alice, 1000 * DOLLAR)
    raw = await signed(desk, request)

    async with answering(200, text) as url:
        rpc = Rpc(url)
        with pytest.raises(BroadcastUnknown):
            await ChainSender(rpc, vault=desk.address).broadcast(raw)
        await rpc.close()


async def test_fees__suggested__cover_a_doubled_base_fee(desk: Desk) -> None:
    fees = await desk.sender.fee_suggestion()

    assert fees.base_fee > 0
    assert fees.max_fee == 2 * fees.base_fee + fees.max_priority_fee
    async with answering(200, '{"jsonrpc": "2.0", "id": 1, "result": {}}') as url:
        rpc = Rpc(url)
        with pytest.raises(SourceUnavailable):
            await ChainSender(rpc, vault=desk.address).fee_suggestion()
        await rpc.close()
    assert Fees.model_validate(fees.model_dump()) == fees


async def test_ending__each_way_a_request_ends__is_found_with_its_transaction(desk: Desk) -> None:
    first = await desk.deposit(desk.alice, 1000 * DOLLAR)
    second = await desk.deposit(desk.alice, 1000 * DOLLAR)
    third = await desk.deposit(desk.alice, 1000 * DOLLAR)
    assert await desk.sender.ending(first, await desk.head()) is None
    batch = await desk.settle([bought(first, 5)], [refund(second)])
    await desk.warp_to(third.reclaim_at)
    taken = await desk.alice.reclaim(third.n)

    head = await desk.head()
    found = [await desk.sender.ending(request, head) for request in (first, second, third)]

    assert [(event.name, event.tx_hash) for event in found if event] == [
        ("Settled", batch.tx_hash),
        ("Refunded", batch.tx_hash),
        ("Reclaimed", taken.tx_hash),
    ]


async def test_ending__endpoint_refuses_long_ranges__is_found_in_short_ones(desk: Desk) -> None:
    first = await desk.deposit(desk.alice, 1000 * DOLLAR)
    for _ in range(20):
        await desk.rpc.call("evm_mine")
    await desk.settle([], [refund(first)])
    for _ in range(10):
        await desk.rpc.call("evm_mine")
    open_one = await desk.deposit(desk.alice, 1000 * DOLLAR)

    def strict(call: Json, truth: Json) -> Json:
        if call["method"] != "eth_getLogs":
            return truth
        wanted = call["params"][0]
        if int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) < 4:
            return truth
        return {"jsonrpc": "2.0", "id": truth["id"], "error": {"code": -32005, "message": "range"}}

    async with endpoint(desk.rpc.url, strict) as url:
        rpc = Rpc(url)
        patient = ChainSender(rpc, vault=desk.address, log_range=4)
        found = await patient.ending(first, await desk.head())
        absent = await patient.ending(open_one, await desk.head())
        with pytest.raises(RpcRefused):
            await ChainSender(rpc, vault=desk.address).ending(first, await desk.head())
        await rpc.close()

    assert found is not None
    assert (found.name, found.n) == ("Refunded", first.n)
    assert absent is None


# --- reorganisations ---------------------------------------------------------------------------


async def test_reorg__number_used_again_with_other_terms__old_item_is_refused(desk: Desk) -> None:
    fork = await desk.rpc.call("evm_snapshot")
    orphan = await desk.deposit(desk.alice, 1000 * DOLLAR)
    orphaned_at = await desk.head()
    await desk.rpc.call("evm_revert", fork)
    await desk.rpc.call("evm_mine")
    assert await desk.vault.request(1, await desk.head()) is None

    reused = await desk.deposit(desk.bob, 900 * DOLLAR)

    assert (reused.n, orphan.n) == (1, 1)
    assert reused.request_id != orphan.request_id
    receipt = await desk.settle([bought(orphan, 4)], [refund(orphan)])
    assert rejections(receipt) == [(1, Rejection.ID_MISMATCH)] * 2
    assert await desk.status(1) is VaultStatus.OPEN
    with pytest.raises(SourceUnavailable):
        await desk.vault.request(1, orphaned_at)


async def test_reorg__same_transaction_mined_again__is_the_same_request(desk: Desk) -> None:
    await desk.alice.send(USDT, desk.usdt, "approve", desk.address, 5000 * DOLLAR)
    fork = await desk.rpc.call("evm_snapshot")
    made = await desk.deposit(desk.alice, 1000 * DOLLAR)
    tx_hash = await desk.sender.request_tx_hash(made)
    raw = await desk.rpc.call("eth_getRawTransactionByHash", tx_hash)
    await desk.rpc.call("evm_revert", fork)
    await desk.rpc.call("evm_mine")
    assert await desk.sender.request_tx_hash(made) == ""

    await desk.mined((await desk.sender.broadcast(raw)).tx_hash)

    again = await desk.request(made.n)
    assert again.request_id == made.request_id
    assert again.created_block == made.created_block + 1
    assert await desk.sender.request_tx_hash(again) == tx_hash
