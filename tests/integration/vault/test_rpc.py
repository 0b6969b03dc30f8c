"""The HTTP endpoint as many callers use it."""

import asyncio

from clients.rpc import Rpc
from tests.integration.vault.desk import Desk

_ROUNDS, _CALLERS = 40, 20


async def test_call__others_gave_up_at_any_moment__is_answered(desk: Desk) -> None:
    """Activities are cancelled at all times; the other requests of the process must go on."""
    rpcs = [Rpc(desk.rpc.url, timeout_seconds=2) for _ in range(4)]
    for steps in range(_ROUNDS):
        calls = [
            asyncio.create_task(rpcs[caller % len(rpcs)].call("eth_chainId"))
            for caller in range(_CALLERS)
        ]
        for _ in range(steps):
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    assert [await rpc.call("eth_chainId") for rpc in rpcs] == ["0x7a69"] * len(rpcs)
    for rpc in rpcs:
        await rpc.close()


async def test_close__then_used_again__opens_a_session(desk: Desk) -> None:
    rpc = Rpc(desk.rpc.url)
    assert await rpc.call("eth_chainId") == "0x7a69"
    await rpc.close()
    assert await rpc.call("eth_chainId") == "0x7a69"
    await rpc.close()


def test_call__in_one_loop_and_then_in_another__is_answered(desk: Desk) -> None:
    """A command may run one loop after the other."""
    rpc = Rpc(desk.rpc.url)

    async def asked() -> str:
        return str(await rpc.call("eth_chainId"))

    assert [asyncio.run(asked()) for _ in range(2)] == ["0x7a69"] * 2
