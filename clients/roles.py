"""Roles that a vault has given."""

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from clients.rpc import Reader
from clients.vault import SETTLER_ROLE, VAULT
from models.errors import SourceUnavailable
from models.requests import BlockRef

ATTESTOR_ROLE = "0x" + keccak(text="ATTESTOR_ROLE").hex()
REFERENCE_ROLE = "0x" + keccak(text="REFERENCE_ROLE").hex()


async def has_role(rpc: Reader, vault: str, role: str, who: str, at: BlockRef) -> bool:
    """Whether an address holds a role at a block. Raises SourceUnavailable when nobody can say."""
    data = VAULT.calldata("hasRole", bytes.fromhex(role[2:]), to_checksum_address(who))
    # https://eips.ethereum.org/EIPS/eip-1898
    block = {"blockHash": at.hash, "requireCanonical": True}
    answer = await rpc.call("eth_call", {"to": vault, "data": data}, block)
    try:
        return bool(VAULT.decode_result("hasRole", answer)[0])
    except (ValueError, TypeError) as error:
        raise SourceUnavailable("chain", "reading hasRole", str(error)) from error


async def only_has_role(rpc: Reader, vault: str, role: str, who: str, at: BlockRef) -> bool:
    """Whether it holds that role and is no settler, which none of the other keys may be.

    Raises as `has_role`.
    """
    if not await has_role(rpc, vault, role, who, at):
        return False
    return not await has_role(rpc, vault, SETTLER_ROLE, who, at)
