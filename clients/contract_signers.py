"""Whether an approver signed, as the vault finds it: who has code is asked, also by EIP-7702."""

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes

from clients.dialects import call_failed
from clients.rpc import Rpc, RpcRefused
from models.approvals import plainly_by
from models.requests import BlockRef

_MAGIC = "0x1626ba7e"
"""Selector of isValidSignature(bytes32,bytes), and what it answers for yes.
https://eips.ethereum.org/EIPS/eip-1271"""


async def vouches(rpc: Rpc, signer: str, digest: str, signature: str, at: BlockRef) -> bool:
    """Whether the vault, at a block, would take this signature of a digest.

    An account with code is asked by ERC-1271, whatever its key signed; false where it fails then.

    Raises:
        SourceUnavailable: the endpoint could not be asked.
    """
    # https://eips.ethereum.org/EIPS/eip-1898
    where = {"blockHash": at.hash, "requireCanonical": True}
    code = await rpc.call("eth_getCode", to_checksum_address(signer), where)
    if code in ("0x", "", None):
        return plainly_by(signer, digest, signature)
    arguments = encode(["bytes32", "bytes"], [HexBytes(digest), HexBytes(signature)])
    call = {"to": to_checksum_address(signer), "data": _MAGIC + arguments.hex()}
    try:
        answer = await rpc.call("eth_call", call, where)
    except RpcRefused as refused:
        if call_failed(refused.code, refused.text):
            return False
        raise
    # As the vault reads it: one word, the selector with zeros behind it.
    return bool(answer == _MAGIC + "0" * 56)
