"""What people sign for the vault, as EIP-712 typed data: the one place where it is spelled.

Approvers sign Settlement or Refund, an owner signs Cancel. The vault rebuilds the same digest from
the call's own arguments (contracts/src/Approvals.sol), so a field that differs is another digest.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from clients.contract_signers import approval_gas
from clients.sender import ONE_ITEM_GAS
from clients.vault import VAULT
from models.approvals import ApprovalCase
from models.chain import RefundItem, SettleItem
from models.errors import InvalidInput
from models.records import ApprovalRow, ItemKind, SettlementItem
from models.verdict import refund_item, settle_item

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


def item_data(item: SettlementItem, signing: Signing) -> dict[str, Any]:
    """Typed data of whatever an item is to do."""
    if item.kind is ItemKind.SETTLE:
        return settlement_data(settle_item(item), signing)
    return refund_data(refund_item(item), signing)


def digest_of(chain_id: int, vault: str) -> Callable[[SettlementItem, int, int], str]:
    """What approvers of this vault sign: of an item, an epoch and a deadline (Unix seconds)."""

    def of(item: SettlementItem, epoch: int, deadline: int) -> str:
        return digest(item_data(item, Signing(chain_id, vault, epoch, deadline)))

    return of


def case_data(case: ApprovalCase) -> dict[str, Any]:
    """Typed data that the approvers of a case sign.

    Raises:
        InvalidInput: the case's digest is not that of its own terms.
    """
    data = terms_data(case)
    if digest(data) != case.digest:
        raise InvalidInput("approval", case.digest, "its terms give another digest: sign nothing")
    return data


def sign_case(case: ApprovalCase, account: LocalAccount) -> str:
    """An approver's signature of a case, 0x hex. Raises InvalidInput as `case_data`."""
    return "0x" + bytes(account.sign_message(signable(case_data(case))).signature).hex()


def terms_data(case: ApprovalCase) -> dict[str, Any]:
    """Typed data of a case's terms, whatever digest it names."""
    signing = Signing(case.chain_id, case.vault, case.epoch, case.deadline)
    number, request_id = case.n, case.request_id
    if case.kind is ItemKind.REFUND:
        refund = RefundItem(n=number, request_id=request_id, reason=case.reason_code)
        return refund_data(refund, signing)
    money = {"taken": case.taken, "out": case.out, "fee": case.fee}
    settle = SettleItem(n=number, request_id=request_id, fill_hash=case.fill_hash, **money)
    return settlement_data(settle, signing)


def approved_call(item: SettlementItem, rows: Sequence[ApprovalRow]) -> tuple[str, int]:
    """Calldata of an item with its approvals (all of one digest), and its gas limit."""
    deadline = rows[0].deadline if rows else 0
    given = [
        Approval(to_checksum_address(row.signer), bytes.fromhex(row.signature[2:])) for row in rows
    ]
    gas = ONE_ITEM_GAS + sum(approval_gas(row.signature) for row in rows)
    if item.kind is ItemKind.SETTLE:
        return approved_settlement(settle_item(item), deadline, given), gas
    return approved_refund(refund_item(item), deadline, given), gas


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
