"""Approvers with keys, and cases for them to sign."""

from typing import Any

from eth_account import Account

from bronco.devchain import dev_address, dev_key
from clients.approvals import digest, sign_case, terms_data
from models.approvals import ApprovalCase, ApprovalGiven
from models.records import ItemKind
from models.requests import OrderRequest
from tests.builders import request_id_of

APPROVERS = (31, 32, 33)
"""Dev accounts that approve."""
STRANGER = 34
_DEADLINE = 4_000_000_000


def ascending(indexes: tuple[int, ...] = APPROVERS) -> tuple[str, ...]:
    """Addresses of dev accounts, as the vault keeps approvers."""
    return tuple(sorted((dev_address(index) for index in indexes), key=lambda a: int(a, 16)))


def approval_case(request: OrderRequest | None = None, **changes: Any) -> ApprovalCase:
    """A refund above the return limit, which two of three must sign."""
    fields: dict[str, Any] = {
        "chain_id": request.chain_id if request else 31337,
        "vault": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
        "n": request.n if request else 7,
        "request_id": request.request_id if request else request_id_of(7),
        "kind": ItemKind.REFUND,
        "code": "RETURN_LIMIT",
        "reason_code": 3,
        "epoch": 1,
        "threshold": 2,
        "approvers": ascending(),
        "deadline": _DEADLINE,
        "digest": "",
    }
    case = ApprovalCase(**(fields | changes))
    return case.model_copy(update={"digest": case.digest or digest(terms_data(case))})


def signature(case: ApprovalCase, index: int, who: str = "") -> ApprovalGiven:
    """A dev account's approval of a case."""
    return ApprovalGiven(signature=sign_case(case, Account.from_key(dev_key(index))), who=who)
