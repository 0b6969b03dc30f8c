"""How long a request may live, and when its owner may take it back: fixed by the vault's making."""

from clients.rpc import Call, RpcGarbled
from clients.vault import VAULT, VaultClient
from models.chain import Lifetimes
from models.requests import BlockRef

_FUNCTIONS = ("settleGrace", "minLifetime", "maxLifetime")


async def lifetimes(vault: VaultClient, at: BlockRef) -> Lifetimes:
    """The three of them, by one endpoint, at a block.

    Raises:
        SourceUnavailable: it did not answer, or not in the vault's language.
    """
    block = {"blockHash": at.hash, "requireCanonical": True}
    calls: list[Call] = [
        ("eth_call", ({"to": vault.address, "data": VAULT.calldata(name)}, block))
        for name in _FUNCTIONS
    ]
    answers = await vault.rpc.batch(calls)
    try:
        grace, shortest, longest = (
            int(VAULT.decode_result(name, answer)[0])
            for name, answer in zip(_FUNCTIONS, answers, strict=True)
        )
    except (ValueError, TypeError) as error:
        raise RpcGarbled(vault.rpc.name, "reading lifetimes", str(error)) from error
    return Lifetimes(grace=grace, shortest=shortest, longest=longest)
