"""Contracts that sign: only they can say whether they did (ERC-1271)."""

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes

from clients.dialects import call_failed
from clients.rpc import Rpc, RpcRefused
from models.requests import BlockRef

_MAGIC = "0x1626ba7e"
"""Selector of isValidSignature(bytes32,bytes), and what it answers for yes.
https://eips.ethereum.org/EIPS/eip-1271"""


async def vouches(rpc: Rpc, signer: str, digest: str, signature: str, at: BlockRef) -> bool:
    """Whether a contract says, at a block, that this is its signature of a digest.

    False also for an address without code, and for a contract that fails when it is asked.

    Raises:
        SourceUnavailable: the endpoint could not be asked.
    """
    arguments = encode(["bytes32", "bytes"], [HexBytes(digest), HexBytes(signature)])
    call = {"to": to_checksum_address(signer), "data": _MAGIC + arguments.hex()}
    # https://eips.ethereum.org/EIPS/eip-1898
    where = {"blockHash": at.hash, "requireCanonical": True}
    try:
        answer = await rpc.call("eth_call", call, where)
    except RpcRefused as refused:
        if call_failed(refused.code, refused.text):
            return False
        raise
    # As the vault reads it: one word, the selector with zeros behind it.
    return bool(answer == _MAGIC + "0" * 56)
