"""Wake-ups: they come, they come back, and nothing an endpoint sends ends them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve

from bronco.services.anvil import Anvil
from clients.heads import HeadWatch, Wake
from clients.vault import VAULT
from tests.integration.vault.desk import DOLLAR, Desk
from tests.waiting import eventually

VAULT_ADDRESS = "0x" + "11" * 20
Behave = Callable[[ServerConnection, int], Awaitable[None]]
HEADS, LOGS = "0xaa", "0xbb"


def note(subscription: str, result: object) -> str:
    params = {"subscription": subscription, "result": result}
    return json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})


def log(n: int) -> dict[str, object]:
    return {
        "address": VAULT_ADDRESS,
        "topics": [
            VAULT.topic("CancelRequested"),
            f"0x{n:064x}",
            "0x" + "22" * 32,
            "0x" + "00" * 12 + "33" * 20,
        ],
        "data": "0x",
        "transactionHash": "0x" + "44" * 32,
        "blockNumber": "0x5",
        "blockHash": "0x" + "55" * 32,
    }


async def subscribed(socket: ServerConnection) -> None:
    """Answer the two subscriptions as a good endpoint does."""
    for subscription in (HEADS, LOGS):
        call = json.loads(await socket.recv())
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": subscription}))


@asynccontextmanager
async def endpoint(behave: Behave) -> AsyncIterator[str]:
    """A WebSocket endpoint; `behave` gets each connection and its number."""
    met = 0

    async def handle(socket: ServerConnection) -> None:
        nonlocal met
        met += 1
        await behave(socket, met)

    async with serve(handle, "127.0.0.1", 0, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}"


def watch(url: str, *, silence_seconds: float = 30, ping_seconds: float = 0.2) -> HeadWatch:
    return HeadWatch(
        [url], VAULT_ADDRESS, ping_seconds=ping_seconds, silence_seconds=silence_seconds
    )


async def until_event(heads: HeadWatch) -> Wake:
    async def told() -> list[Wake]:
        wake = await heads.wait(timeout_seconds=1)
        return [wake] if wake.events else []

    return (await eventually(told))[0]


async def test_wait__deposit_on_anvil__wakes_with_the_head_and_its_event(
    desk: Desk, vault_anvil: Anvil
) -> None:
    async with HeadWatch([vault_anvil.ws_url], desk.address) as heads:
        first = await heads.wait(timeout_seconds=5)
        assert first.resumed
        request = await desk.deposit(desk.alice, 1000 * DOLLAR)

        wake = await until_event(heads)

    (event,) = wake.events
    assert (event.name, event.n, event.request_id) == ("DepositRequested", 1, request.request_id)
    assert event.tx_hash == await desk.sender.request_tx_hash(request)


async def test_wait__nothing_happens__ends_idle_after_its_time(vault_anvil: Anvil) -> None:
    async with HeadWatch([vault_anvil.ws_url], VAULT_ADDRESS) as heads:
        await heads.wait(timeout_seconds=5)

        assert (await heads.wait(timeout_seconds=0.05)).idle


Spoil = Callable[[ServerConnection, asyncio.Event], Awaitable[None]]
"""What a connection does wrong; the event tells that the watch has come back."""


async def closes(socket: ServerConnection, _: asyncio.Event) -> None:
    await subscribed(socket)
    await socket.close(1001)


async def aborts(socket: ServerConnection, _: asyncio.Event) -> None:
    await subscribed(socket)
    socket.transport.abort()


async def refuses(socket: ServerConnection, _: asyncio.Event) -> None:
    call = json.loads(await socket.recv())
    error = {"code": -32601, "message": "no subscriptions here"}
    await socket.send(json.dumps({"jsonrpc": "2.0", "id": call["id"], "error": error}))
    await socket.wait_closed()


async def is_silent(socket: ServerConnection, _: asyncio.Event) -> None:
    await subscribed(socket)
    await socket.wait_closed()


async def stops_answering_pings(socket: ServerConnection, back: asyncio.Event) -> None:
    await subscribed(socket)
    socket.transport.pause_reading()
    await asyncio.wait_for(back.wait(), 10)
    socket.transport.abort()


@pytest.mark.parametrize("spoil", [closes, aborts, refuses, is_silent, stops_answering_pings])
async def test_watch__connection_goes_bad__is_made_anew_and_says_so(spoil: Spoil) -> None:
    back = asyncio.Event()

    async def behave(socket: ServerConnection, number: int) -> None:
        if number == 1:
            await spoil(socket, back)
            return
        back.set()
        await subscribed(socket)
        await socket.send(note(LOGS, log(number)))
        await socket.wait_closed()

    silence = 0.5 if spoil is is_silent else 30
    async with endpoint(behave) as url, watch(url, silence_seconds=silence) as heads:
        wake = await until_event(heads)

        assert wake.events[0].n == 2
        assert heads.connected
        assert heads.last_problem


NOISE = [
    "not json",
    "[]",
    '"text"',
    '{"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "oops"}}',
    '{"jsonrpc": "2.0", "id": 999, "error": {"code": -32000, "message": "oops"}}',
    '{"jsonrpc": "2.0", "id": 999, "result": 5}',
    note("0xcc", {"number": "0x1"}),
    note(LOGS, None),
    note(LOGS, {"address": 5}),
    note(LOGS, {**log(9), "topics": []}),
    note(LOGS, {**log(9), "blockNumber": None}),
    note(LOGS, {**log(9), "address": "0x" + "66" * 20}),
    note(LOGS, {**log(9), "removed": True}),
    note(HEADS, None),
]


async def test_watch__noise_on_the_line__is_passed_over(  # no reconnect, no invented event
) -> None:
    async def behave(socket: ServerConnection, number: int) -> None:
        await subscribed(socket)
        for frame in NOISE:
            await socket.send(frame)
        await socket.send(note(LOGS, log(number)))
        await socket.wait_closed()

    async with endpoint(behave) as url, watch(url) as heads:
        wake = await until_event(heads)

        assert [event.n for event in wake.events] == [1]
        assert heads.connections == 1


async def test_watch__logs_before_the_answer_to_subscribe__wake_all_the_same() -> None:
    async def behave(socket: ServerConnection, _: int) -> None:
        calls = [json.loads(await socket.recv()) for _ in range(2)]
        for n in range(3):
            await socket.send(note(LOGS, log(n + 1)))
        for call, subscription in zip(calls, (HEADS, LOGS), strict=True):
            await socket.send(
                json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": subscription})
            )
        await socket.wait_closed()

    async with endpoint(behave) as url, watch(url) as heads:
        # The hints are lost; that a look is due is not.
        assert (await heads.wait(timeout_seconds=5)).resumed


async def test_watch__twenty_thousand_logs__keeps_a_bounded_number_and_goes_on() -> None:
    async def behave(socket: ServerConnection, _: int) -> None:
        await subscribed(socket)
        frame = note(LOGS, log(7))
        for _ in range(20_000):
            await socket.send(frame)
        await socket.send(note(HEADS, {"number": "0x1"}))
        await socket.wait_closed()

    # A ping stands in line behind the burst: with production's 10 s it is still answered.
    async with endpoint(behave) as url, watch(url, ping_seconds=10) as heads:

        async def drained() -> bool:
            return heads._heads == 1

        await eventually(drained, timeout=20)
        wake = await heads.wait(timeout_seconds=1)

        assert len(wake.events) == 10_000
        assert heads.connections == 1


async def test_watch__nobody_there__keeps_trying_and_closes_at_once() -> None:
    async def unused(_: ServerConnection, __: int) -> None:
        raise AssertionError("nobody can connect to a closed endpoint")

    async with endpoint(unused) as url:
        pass
    async with watch(url) as heads:

        async def tried() -> str:
            return heads.last_problem

        assert await eventually(tried)
        assert not heads.connected


async def test_watch__line_cut_while_nobody_takes_its_hints__comes_back() -> None:
    async def behave(socket: ServerConnection, number: int) -> None:
        await subscribed(socket)
        if number == 1:
            for n in range(50):
                await socket.send(note(LOGS, log(n)))
            socket.transport.abort()
            return
        await socket.send(note(LOGS, log(99)))
        await socket.send(note(HEADS, {"number": "0x1"}))
        await socket.wait_closed()

    async with endpoint(behave) as url, HeadWatch([url], VAULT_ADDRESS, max_hints=10) as heads:

        async def came_back() -> bool:
            return heads._heads == 1

        await eventually(came_back)
        wake = await heads.wait(timeout_seconds=1)

        assert wake.resumed
        assert len(wake.events) <= 10
        assert wake.events[-1].n == 99


async def test_watch__cut_at_once_every_time__waits_before_it_tries_again() -> None:
    met: list[int] = []

    async def behave(socket: ServerConnection, number: int) -> None:
        met.append(number)
        socket.transport.abort()

    patient = [3600.0]
    async with (
        endpoint(behave) as url,
        HeadWatch([url], VAULT_ADDRESS, backoff_seconds=patient) as heads,
    ):

        async def tried() -> str:
            return heads.last_problem

        await eventually(tried)
        assert (await heads.wait(timeout_seconds=0.2)).idle
        assert met == [1]


async def test_watch__endpoint_without_heads__is_tried_anew_then_left_for_the_other() -> None:
    met: list[str] = []

    async def mute(socket: ServerConnection, _: int) -> None:
        met.append("mute")
        await subscribed(socket)
        await socket.wait_closed()

    async def good(socket: ServerConnection, number: int) -> None:
        met.append("good")
        await subscribed(socket)
        await socket.send(note(LOGS, log(number)))
        await socket.wait_closed()

    # Three to five, as production's 36 s and 60 s.
    async with endpoint(mute) as first, endpoint(good) as second:
        heads = HeadWatch([first, second], VAULT_ADDRESS, silence_seconds=0.6, other_seconds=1.0)
        async with heads:
            wake = await until_event(heads)

            assert wake.events[0].n == 1
            assert met == ["mute", "mute", "good"]


async def test_watch__nobody_at_the_first_endpoint__takes_the_other_after_two_tries() -> None:
    async def good(socket: ServerConnection, number: int) -> None:
        await subscribed(socket)
        await socket.send(note(LOGS, log(number)))
        await socket.wait_closed()

    async with endpoint(good) as gone:
        pass
    async with endpoint(good) as there, HeadWatch([gone, there], VAULT_ADDRESS) as heads:
        assert (await until_event(heads)).events
        assert heads.endpoint == 1


async def test_watch__the_other_endpoint_mute_too__comes_back_to_the_first() -> None:
    met: list[str] = []

    def mute(name: str) -> Behave:
        async def behave(socket: ServerConnection, _: int) -> None:
            met.append(name)
            await subscribed(socket)
            await socket.wait_closed()

        return behave

    async with endpoint(mute("a")) as first, endpoint(mute("b")) as second:
        urls = [first, second]
        async with HeadWatch(urls, VAULT_ADDRESS, silence_seconds=0.3, other_seconds=0.5):

            async def round_trip() -> bool:
                return "".join(met).startswith("aabba")

            await eventually(round_trip)
