"""Several endpoints: taken by one is sent, refused by all is not, anything else is unknown."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web

from bronco.processes import free_port
from clients.dialects import BroadcastUnknown
from clients.rpc import Rpc, RpcUnreachable
from clients.sender import ChainSender
from models.chain import BroadcastOutcome
from tests.integration.settlement.rig import SIGNER, Rig, filled
from tests.integration.vault.desk import Desk
from tests.integration.vault.proxy import answering, served

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
