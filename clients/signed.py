"""Signed bytes, and the check that they are what was asked for, by the key that was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from pydantic import BaseModel, ConfigDict

from models.errors import SourceUnavailable

if TYPE_CHECKING:
    from eth_account.types import TransactionDictType

    from clients.keys import UnsignedTx

# The upper half is refused by every node: https://eips.ethereum.org/EIPS/eip-2
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class SignedTx(BaseModel):
    """Bytes ready to send, 0x hex, and their hash."""

    model_config = ConfigDict(frozen=True)

    raw: str
    tx_hash: str


def checked(raw: str, tx: UnsignedTx, address: str) -> SignedTx:
    """The signed transaction, if it is exactly `tx` signed by `address`, to the last byte.

    Raises:
        SourceUnavailable: it is anything else, so the question was not answered.
    """
    found, mark = _decoded(raw)
    if found != _encoded(tx, mark):
        raise _wrong("they are another transaction's")
    if mark["v"] not in (0, 1) or not 0 < mark["s"] <= _HALF_ORDER:
        raise _wrong("their signature is not in the one accepted form")
    if (who := _signer_of(found)) != to_checksum_address(address):
        raise _wrong(f"they are signed by {who}, not by {address}")
    return SignedTx(raw="0x" + found.hex(), tx_hash="0x" + keccak(found).hex())


def _decoded(raw: str) -> tuple[bytes, dict[str, int]]:
    """The bytes, and the signature in them."""
    try:
        found = bytes(HexBytes(raw))
        fields = TypedTransaction.from_bytes(HexBytes(found)).as_dict()
        return found, {name: int(fields[name]) for name in ("v", "r", "s")}
    # Four libraries decode this, each with errors of its own.
    except Exception as error:
        raise _wrong(f"they are no signed transaction ({type(error).__name__})") from None


def _signer_of(found: bytes) -> str:
    try:
        return str(Account.recover_transaction(HexBytes(found)))
    except Exception as error:
        raise _wrong(f"their signature is none ({type(error).__name__})") from None


def fields_of(tx: UnsignedTx) -> TransactionDictType:
    """The transaction as eth-account takes it, to sign it and to check what was signed."""
    return {
        "type": 2,
        "chainId": tx.chain_id,
        "to": to_checksum_address(tx.to) if tx.to else b"",
        "nonce": tx.nonce,
        "gas": tx.gas,
        "maxFeePerGas": tx.max_fee,
        "maxPriorityFeePerGas": tx.max_priority_fee,
        "value": 0,
        "data": bytes.fromhex(tx.data[2:]),
    }


def _encoded(tx: UnsignedTx, mark: dict[str, int]) -> bytes:
    """The only bytes that say this with this signature."""
    fields = {**fields_of(tx), "accessList": (), **mark}
    return bytes(TypedTransaction.from_dict(fields).encode())


def _wrong(what: str) -> SourceUnavailable:
    return SourceUnavailable("signer", "signing", f"its bytes are not what we asked: {what}")
