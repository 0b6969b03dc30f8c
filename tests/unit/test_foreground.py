"""Being told to end: told once is enough, whatever swallows it on the way."""

import asyncio
import contextlib
import os
import signal
from typing import Any

import pytest

from bronco.foreground import go_on, stay, until_told
from clients.rpc import Rpc


async def swallows_the_first(end: Any) -> str:
    with contextlib.suppress(asyncio.CancelledError):
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)
    await end()
    return "went on as if nobody had said a word"


async def passes() -> None:
    go_on()


@pytest.mark.parametrize("end", [passes, stay])
async def test_until_told__a_library_swallows_it__ends_at_the_next_place(end: Any) -> None:
    async with asyncio.timeout(10):
        assert await until_told(swallows_the_first(end)) is None


async def test_go_on__nobody_told_to_end__goes_on() -> None:
    await passes()


@pytest.mark.parametrize("steps", range(4))
async def test_rpc__cancelled_as_the_answer_comes__is_cancelled(steps: int) -> None:
    answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    class Provider:
        async def make_request(self, _method: str, _params: Any) -> Any:
            return await answer

    rpc = Rpc("http://127.0.0.1:1")
    rpc._provider = Provider()  # type: ignore[assignment]
    task = asyncio.create_task(rpc.call("eth_chainId"))
    for _ in range(4):
        await asyncio.sleep(0)
    answer.set_result({"jsonrpc": "2.0", "id": 1, "result": "0x1"})
    for _ in range(steps):
        await asyncio.sleep(0)
    ended = task.done()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled() is not ended
