"""Several endpoints: taken by one is sent, refused by all is not, anything else is unknown."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web

from bronco.devchain import ADMIN, dev_address
from bronco.processes import free_port
from clients.agreeing import AgreeingVault
from clients.dialects import BroadcastUnknown
from clients.rpc import Rpc, RpcUnreachable
from clients.sender import ChainSender
from clients.vault import VaultClient
from models.chain import BroadcastOutcome
from models.watch import Fault
from tests.integration.settlement.rig import SIGNER, Rig, filled, settled_once
from tests.integration.vault.desk import Desk
from tests.integration.vault.proxy import answering, served
from tests.waiting import eventually

VAULT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
RAW = "0x02c0"


def says(text: str) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": text}})


@asynccontextmanager
async def sender(*texts: str, real: Rpc | None = None) -> AsyncIterator[ChainSender]:
    """Endpoints that answer so, "" = nobody there; the real one, if any, comes last."""
    async with AsyncExitStack() as stack:
        urls = [
            await stack.enter_async_context(answering(200, says(text)))
            if text
            else f"http://127.0.0.1:{free_port()}"
            for text in texts
        ]
        rpcs = [Rpc(url, timeout_seconds=3) for url in urls]
        for rpc in rpcs:
            stack.push_async_callback(rpc.close)
        everyone = [*rpcs, *([real] if real is not None else [])]
        yield ChainSender(everyone[0], vault=VAULT, others=everyone[1:])


@pytest.mark.parametrize(
    ("texts", "outcome"),
    [
        (("invalid sender", "nonce too low"), BroadcastOutcome.NONCE_USED),
        (("already known", "moon phase wrong"), BroadcastOutcome.ALREADY_KNOWN),
        (("invalid sender", "transaction underpriced"), BroadcastOutcome.UNDERPRICED),
        (("insufficient funds", "txpool is full"), BroadcastOutcome.NOT_NOW),
        (("exceeds block gas limit", "invalid sender"), BroadcastOutcome.TOO_BIG),
        (("invalid sender", "intrinsic gas too low"), BroadcastOutcome.REFUSED),
        (("insufficient funds", ""), BroadcastOutcome.NO_FUNDS),
    ],
)
async def test_broadcast__two_endpoints_answer__the_mildest_counts(
    texts: tuple[str, ...], outcome: BroadcastOutcome
) -> None:
    async with sender(*texts) as chain:
        assert (await chain.broadcast(RAW)).outcome is outcome


@pytest.mark.parametrize("texts", [("invalid sender", "moon phase wrong"), ("gateway", "")])
async def test_broadcast__refused_by_some_and_unclear_at_others__is_unknown(
    texts: tuple[str, ...],
) -> None:
    async with sender(*texts) as chain:
        with pytest.raises(BroadcastUnknown):
            await chain.broadcast(RAW)


async def test_broadcast__nobody_reached__certainly_not_sent() -> None:
    async with sender("", "") as chain:
        with pytest.raises(RpcUnreachable):
            await chain.broadcast(RAW)


@pytest.mark.parametrize("other", ["invalid sender", "moon phase wrong", ""])
async def test_batch__one_endpoint_does_not_take_it__is_settled_through_the_other(
    rig: Rig, other: str
) -> None:
    requests = await filled(rig, 1)
    prepared = await rig.prepare("two")
    signed = await rig.sign(prepared)
    async with sender(other, real=rig.desk.rpc) as chain:
        sent = await chain.broadcast(signed.raw)
        assert sent.outcome is BroadcastOutcome.ACCEPTED
        await rig.desk.mined(signed.tx_hash)
        assert (await chain.receipts([signed.tx_hash]))[0] is not None
        assert await chain.known(signed.tx_hash)
        assert await chain.latest_nonce(SIGNER) == prepared.nonce + 1
    rig.sender = rig.desk.sender
    assert (await rig.send(prepared, signed)).settled == len(requests)


async def test_broadcast__one_endpoint_hangs__does_not_wait_for_it(desk: Desk) -> None:
    hangs = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await hangs.wait()
        return web.Response()

    async with served(hang) as url:
        slow = Rpc(url, timeout_seconds=60)
        chain = ChainSender(slow, vault=desk.address, others=(desk.rpc,))
        async with asyncio.timeout(20):
            assert await chain.latest_nonce(SIGNER) == await desk.sender.latest_nonce(SIGNER)
        hangs.set()
        await slow.close()


async def test_nonce__one_endpoint_is_ahead_or_lies__the_lower_one_counts(desk: Desk) -> None:
    async with answering(200, '{"jsonrpc": "2.0", "id": 1, "result": "0xffff"}') as url:
        ahead = Rpc(url)
        chain = ChainSender(ahead, vault=desk.address, others=(desk.rpc,))
        assert await chain.latest_nonce(SIGNER) == await desk.sender.latest_nonce(SIGNER)
        await ahead.close()


@pytest.mark.parametrize("first", [True, False])
async def test_liar__set_aside__its_word_counts_nowhere_and_it_gets_no_bytes(
    desk: Desk, first: bool
) -> None:
    asked: list[str] = []

    async def lie(request: web.Request) -> web.Response:
        call = await request.json()
        asked.append(str(call))
        if "eth_sendRawTransaction" in str(call):
            return web.json_response(json.loads(says("already known")))
        return web.json_response({"jsonrpc": "2.0", "id": 1, "result": "0x0"})

    async with served(lie) as url:
        liar = Rpc(url, timeout_seconds=3)
        rpcs = [liar, desk.rpc] if first else [desk.rpc, liar]
        readers = [VaultClient(rpc, chain_id=31337, address=desk.address) for rpc in rpcs]
        vault = AgreeingVault(*readers, allow_single=True)
        chain = ChainSender(rpcs[0], vault=desk.address, heard=vault.heard)
        assert await chain.latest_nonce(SIGNER) == 0, "it is asked as long as it is trusted"
        assert asked
        asked.clear()
        vault._quorum.endpoints[0 if first else 1].set_aside(Fault.LIED, "planted", 0.0)
        nonce = await desk.sender.latest_nonce(dev_address(ADMIN))
        assert nonce > 0
        assert await chain.latest_nonce(dev_address(ADMIN)) == nonce
        assert await chain.receipts(["0x" + "12" * 32]) == [None]
        with contextlib.suppress(BroadcastUnknown):
            assert (await chain.broadcast(RAW)).outcome is not BroadcastOutcome.ALREADY_KNOWN
        assert not asked
        await liar.close()


async def test_nobody_heard__all_lied__certainly_not_sent(desk: Desk) -> None:
    chain = ChainSender(desk.rpc, vault=desk.address, heard=tuple)
    with pytest.raises(RpcUnreachable):
        await chain.broadcast(RAW)


async def test_nobody_heard__for_a_while_after_the_send__settles_once(rig: Rig) -> None:
    """Whether its bytes were mined meanwhile nobody can say: that is no "never sent"."""
    heard: list[Rpc] = []
    rig.sender = ChainSender(rig.desk.rpc, vault=rig.desk.address, heard=lambda: tuple(heard))
    requests = await filled(rig)
    nonce = await rig.nonce()
    await rig.automine(False)
    async with rig.another_worker():
        await rig.start(wait_seconds=0.3)
        heard.append(rig.desk.rpc)
        await eventually(rig.waiting)
        heard.clear()
        await rig.mine()
        await eventually(lambda: _refused(rig))
        heard.append(rig.desk.rpc)
        await rig.automine(True)
        await settled_once(rig, requests)
    assert await rig.desk.sender.latest_nonce(SIGNER) == nonce + 1
    assert rig.alarms == []


async def _refused(rig: Rig) -> bool:
    """Whether a send failed because nobody could be asked, as the server sees it."""
    assert rig.handle is not None
    described = await rig.handle.describe()
    pending = described.raw_description.pending_activities
    return any("can be trusted" in str(each.last_failure) for each in pending)
