"""Share tokens: how many there are."""

from clients.abi import load_contract
from clients.rpc import Reader
from models.errors import SourceUnavailable
from models.requests import BlockRef

TOKEN = load_contract("ShareToken")


class ShareReader:
    """Reads share tokens through one endpoint, at a block."""

    def __init__(self, rpc: Reader) -> None:
        self._rpc = rpc

    async def supply(self, token: str, at: BlockRef) -> int:
        """Token units in existence, escrowed ones included."""
        target = {"to": token, "data": TOKEN.calldata("totalSupply")}
        # https://eips.ethereum.org/EIPS/eip-1898
        block = {"blockHash": at.hash, "requireCanonical": True}
        result = await self._rpc.call("eth_call", target, block)
        try:
            return int(TOKEN.decode_result("totalSupply", result)[0])
        except ValueError as error:
            raise SourceUnavailable(self._rpc.name, "reading totalSupply", str(error)) from error
