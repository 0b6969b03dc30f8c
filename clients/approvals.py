"""What people sign for the vault, as EIP-712 typed data: the one place where it is spelled.

Approvers sign Settlement or Refund, an owner signs Cancel. The vault rebuilds the same digest from
the call's own arguments (contracts/src/Approvals.sol), so a field that differs is another digest.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from eth_account.messages import SignableMessage, encode_typed_data
from eth_utils.crypto import keccak

from clients.vault import VAULT
from models.chain import RefundItem, SettleItem

_DOMAIN = (("name", "string"), ("version", "string"), ("chainId", "uint256"))
_REQUEST = (("n", "uint256"), ("id", "bytes32"))
_BOUNDS = (("epoch", "uint64"), ("deadline", "uint64"))
_MONEY = (("taken", "uint128"), ("out", "uint128"), ("fee", "uint128"), ("fillHash", "bytes32"))


class Approval(NamedTuple):
    """One signature. signer: checksummed; signature: 65 bytes, or as its contract wants."""

    signer: str
    signature: bytes


class Signing(NamedTuple):
    """What a signature is for. epoch: of the vault's approvers; deadline: Unix seconds."""

    chain_id: int
    vault: str
    epoch: int
    deadline: int


def settlement_data(item: SettleItem, signing: Signing) -> dict[str, Any]:
    """Typed data of a settlement that settlers may not make alone."""
    message = {"n": item.n, "id": item.request_id, "taken": item.taken, "out": item.out}
    message |= {"fee": item.fee, "fillHash": item.fill_hash}
    return _data("Settlement", (*_REQUEST, *_MONEY, *_BOUNDS), message, signing)


def refund_data(item: RefundItem, signing: Signing) -> dict[str, Any]:
    """Typed data of a refund above the vault's return limit."""
    message = {"n": item.n, "id": item.request_id, "reason": item.reason}
    return _data("Refund", (*_REQUEST, ("reason", "uint8"), *_BOUNDS), message, signing)


def cancel_data(n: int, request_id: str, signing: Signing) -> dict[str, Any]:
    """Typed data of an owner's wish to cancel; the epoch is no part of it."""
    fields = (*_REQUEST, ("deadline", "uint64"))
    return _data("Cancel", fields, {"n": n, "id": request_id}, signing)


def signable(data: dict[str, Any]) -> SignableMessage:
    """What eth-account signs and recovers."""
    return encode_typed_data(full_message=data)


def digest(data: dict[str, Any]) -> str:
    """The 32 bytes that are signed, 0x hex; the vault's ApprovalsUsed event names the same."""
    message = signable(data)
    return "0x" + keccak(b"\x19" + message.version + message.header + message.body).hex()


def approved_settlement(item: SettleItem, deadline: int, approvals: Sequence[Approval]) -> str:
    """Calldata of settleWithApprovals, 0x hex; the signers in the order the vault wants."""
    terms = (item.n, _bytes32(item.request_id), item.taken, item.out, item.fee)
    terms_and_hash = (*terms, _bytes32(item.fill_hash))
    return VAULT.calldata("settleWithApprovals", terms_and_hash, deadline, ascending(approvals))


def approved_refund(item: RefundItem, deadline: int, approvals: Sequence[Approval]) -> str:
    """Calldata of refundWithApprovals, 0x hex; the signers in the order the vault wants."""
    terms = (item.n, _bytes32(item.request_id), item.reason)
    return VAULT.calldata("refundWithApprovals", terms, deadline, ascending(approvals))


def ascending(approvals: Sequence[Approval]) -> list[Approval]:
    """By address, as a number: the vault refuses a signer that comes twice or out of order."""
    return sorted(approvals, key=lambda approval: int(approval.signer, 16))


def _data(
    kind: str, fields: Sequence[tuple[str, str]], message: dict[str, Any], signing: Signing
) -> dict[str, Any]:
    names = {name for name, _ in fields}
    bounds = {"epoch": signing.epoch, "deadline": signing.deadline}
    return {
        "types": {
            "EIP712Domain": _typed((*_DOMAIN, ("verifyingContract", "address"))),
            kind: _typed(fields),
        },
        "primaryType": kind,
        "domain": {
            "name": "BroncoVault",
            "version": "1",
            "chainId": signing.chain_id,
            "verifyingContract": signing.vault,
        },
        "message": message | {name: value for name, value in bounds.items() if name in names},
    }


def _typed(fields: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in fields]


def _bytes32(text: str) -> bytes:
    return bytes.fromhex(text[2:])
