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
_CALL_GAS = 21_000
_APPROVAL_GAS = 100_000
_BYTE_GAS = 150


def approval_gas(signature: str) -> int:
    """Gas that an approval is given in the vault's call; signature: 0x hex.

    Measured: about 8,000 for a plain one, its calldata included; a contract's costs more, and more
    the more owners have signed.
    """
    return _APPROVAL_GAS + _BYTE_GAS * (len(signature) // 2 - 1)


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
    call = {
        "to": to_checksum_address(signer),
        "data": _MAGIC + arguments.hex(),
        # What asks for more here would have the settlement run out of gas.
        "gas": hex(_CALL_GAS + approval_gas(signature)),
    }
    try:
        answer = await rpc.call("eth_call", call, where)
    except RpcRefused as refused:
        if call_failed(refused.code, refused.text):
            return False
        raise
    # As the vault reads it: the first word is the selector with zeros behind it.
    return isinstance(answer, str) and answer.startswith(_MAGIC + "0" * 56)
