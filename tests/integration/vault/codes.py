"""Hostile and odd contracts, a few bytes each, written by hand: no compiler, nothing shipped."""

from eth_utils.crypto import keccak

_RETURN_WORD = "5f5260205ff3"  # PUSH0 MSTORE PUSH1 32 PUSH0 RETURN
_MAGIC = "1626ba7e"
"""https://eips.ethereum.org/EIPS/eip-1271"""


def answering(word: int) -> bytes:
    """Answers every call with this word."""
    return bytes.fromhex(f"7f{word:064x}{_RETURN_WORD}")


def token_of(vault: str, decimals: int) -> bytes:
    """Answers vault() with the address and every other call with the decimals."""
    selector = keccak(text="vault()")[:4].hex()
    # PUSH0 CALLDATALOAD PUSH1 224 SHR PUSH4 .. EQ PUSH1 22 JUMPI; the other answer; JUMPDEST
    asks = f"5f3560e01c63{selector}14601657"
    other = f"60{decimals:02x}{_RETURN_WORD}"
    return bytes.fromhex(f"{asks}{other}5b73{vault[2:]}{_RETURN_WORD}")


def calling_back(target: str, data: str) -> bytes:
    """Whatever it is asked, calls the target and fails with the words the target failed with."""
    called, size = bytes.fromhex(data[2:]), f"61{len(data) // 2 - 1:04x}"
    # CODECOPY of the data that follows the code; CALL; REVERT with what came back.
    head = f"{size}61{{at:04x}}5f39" + f"5f5f{size}5f5f73{target[2:]}5af1" + "503d5f5f3e3d5ffd"
    at = len(bytes.fromhex(head.format(at=0)))
    return bytes.fromhex(head.format(at=at)) + called


def wallet_that_signed(digest: str) -> bytes:
    """Says by ERC-1271 that it signed this digest, whatever the signature, and nothing else."""
    # PUSH32 digest PUSH1 4 CALLDATALOAD EQ PUSH1 43 JUMPI PUSH0 PUSH0 REVERT JUMPDEST magic
    asks = f"7f{digest[2:]}60043514602b575f5ffd"
    return bytes.fromhex(f"{asks}5b63{_MAGIC}60e01b{_RETURN_WORD}")
