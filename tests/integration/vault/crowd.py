"""Many requests at once: anvil signs for the dev accounts, so only the chain's own work is left."""

from clients.rpc import Call
from clients.vault import VAULT
from clients.wallet import USDT
from models.money import MARKET_BUY_LIMIT
from tests.integration.vault.desk import DOLLAR, Desk

_GAS = hex(500_000)
_PER_BLOCK = 50
"""25 million gas, below anvil's 30 million a block."""


async def allow(desk: Desk) -> None:
    """Let the vault take all of alice's USDT."""
    data = USDT.calldata("approve", desk.address, 10**30)
    await _send(desk, [_call(desk, desk.usdt, data)])


async def requests(desk: Desk, count: int = 1, *, dollars: int = 20) -> None:
    """Mine that many deposits of alice's, some blocks full of them."""
    terms = (desk.share, dollars * DOLLAR, MARKET_BUY_LIMIT, await desk.deadline())
    data = VAULT.calldata("deposit", *terms, desk.alice.address)
    await _send(desk, [_call(desk, desk.address, data)] * count)


async def _send(desk: Desk, calls: list[Call]) -> None:
    await desk.rpc.call("evm_setAutomine", False)
    try:
        for i in range(0, len(calls), _PER_BLOCK):
            await desk.rpc.batch(calls[i : i + _PER_BLOCK])
            await desk.rpc.call("evm_mine")
    finally:
        await desk.rpc.call("evm_setAutomine", True)


def _call(desk: Desk, to: str, data: str) -> Call:
    tx = {"from": desk.alice.address, "to": to, "data": data, "gas": _GAS}
    return "eth_sendTransaction", (tx,)
