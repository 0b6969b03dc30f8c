"""What the vault's word means for an item, case by case."""

from typing import Any

import pytest

from models.chain import RejectionKind, RequestState, SettleItem
from models.records import ItemKind, SettlementItem
from models.requests import VaultStatus
from models.verdict import (
    POISON,
    UNSIGNED,
    Verdict,
    batch_of,
    judge,
    rejection_kind,
    well_formed,
)
from tests.builders import CHAIN_ID, VAULT, request_id_of


def item(n: int = 1, kind: ItemKind = ItemKind.SETTLE, **changes: Any) -> SettlementItem:
    fields: dict[str, Any] = {
        "chain_id": CHAIN_ID,
        "vault": VAULT,
        "request_number": n,
        "request_id": request_id_of(n),
        "workflow_id": "w",
        "kind": kind,
        "taken": 5,
        "out": 6,
        "fee": 1,
    }
    return SettlementItem(**(fields | changes))


def terms_of(settle: SettleItem) -> str:
    return f"0x{settle.taken}{settle.out}{settle.fee}"


@pytest.mark.parametrize(
    ("kind", "status", "terms", "request_id", "verdict"),
    [
        (ItemKind.SETTLE, VaultStatus.OPEN, "0x", request_id_of(1), Verdict.OPEN),
        (ItemKind.SETTLE, VaultStatus.SETTLED, "0X561", request_id_of(1), Verdict.ENDED),
        (ItemKind.SETTLE, VaultStatus.SETTLED, "0x562", request_id_of(1), Verdict.CONFLICT),
        (ItemKind.SETTLE, VaultStatus.REFUNDED, "0x", request_id_of(1), Verdict.CONFLICT),
        (ItemKind.REFUND, VaultStatus.REFUNDED, "0x", request_id_of(1), Verdict.ENDED),
        (ItemKind.REFUND, VaultStatus.SETTLED, "0x561", request_id_of(1), Verdict.CONFLICT),
        (ItemKind.SETTLE, VaultStatus.RECLAIMED, "0x", request_id_of(1), Verdict.LOST),
        (ItemKind.SETTLE, VaultStatus.NONE, "0x", "", Verdict.ABSENT),
        (ItemKind.SETTLE, VaultStatus.OPEN, "0x", request_id_of(7), Verdict.OTHER),
        (ItemKind.REFUND, VaultStatus.REFUNDED, "0x", request_id_of(7), Verdict.OTHER),
    ],
)
def test_judge__status_of_the_request__is_what_became_of_the_item(
    kind: ItemKind, status: VaultStatus, terms: str, request_id: str, verdict: Verdict
) -> None:
    state = RequestState(n=1, request_id=request_id, status=status, terms=terms, owed=0)
    assert judge(item(kind=kind), state, terms_of) is verdict


@pytest.mark.parametrize(
    "changes",
    [
        {"taken": 2**128},
        {"out": -1},
        {"fill_hash": "0x12"},
        {"fill_hash": "0x" + "zz" * 32},
        {"request_number": 0},
        {"reason_code": 256},
    ],
)
def test_item__does_not_fit_the_contract__is_not_well_formed(changes: dict[str, Any]) -> None:
    assert well_formed(item())
    assert not well_formed(item(**changes))


def test_refusal__of_the_signer__is_tried_again_and_of_a_batch_needs_somebody() -> None:
    assert rejection_kind(UNSIGNED) is RejectionKind.RETRY
    assert rejection_kind(POISON) is RejectionKind.OPERATOR


def test_batch__same_items_in_any_order__is_the_same_batch() -> None:
    items = [item(3), item(1), item(2, ItemKind.REFUND, reason_code=4)]
    settles, refunds = batch_of(items)
    assert (settles, refunds) == batch_of(items[::-1])
    assert [settle.n for settle in settles] == [1, 3]
    assert [(refund.n, refund.reason) for refund in refunds] == [(2, 4)]
