"""How claims, items and ends look on the row and in messages. Pure."""

from collections.abc import Mapping

from models.drafts import AuditDraft
from models.messages import ClaimView, CloseInput, EnqueueInput, ItemView
from models.order import REFUND_CODES, OrderStatus, Reason, Stage
from models.records import ItemKind, Placement, SettlementItem
from models.requests import VaultStatus

_REFUND_STAGES: Mapping[Reason, Stage] = {
    Reason.USER_CANCELLED: Stage.CANCELLED,
    Reason.DEADLINE: Stage.EXPIRED,
    Reason.QUEUE_FULL: Stage.EXPIRED,
}
_NOTHING_MOVED: Mapping[str, object] = {
    **dict.fromkeys(("spent", "received", "fee"), 0),
    **dict.fromkeys(("settle_tx_hash", "refund_tx_hash"), ""),
}
"""A reorganisation that takes a request also takes what it was settled with."""
_REASONS: Mapping[int, Reason] = {code: reason for reason, code in REFUND_CODES.items()}


def claim_view(claim: Placement) -> ClaimView:
    """A claim as a message."""
    return ClaimView(
        attempt=claim.attempt,
        state=claim.state,
        remark=claim.remark,
        broker_order_id=claim.broker_order_id,
    )


def item_view(item: SettlementItem | None) -> ItemView | None:
    """An item as a message."""
    if item is None:
        return None
    return ItemView(
        kind=item.kind,
        state=item.state,
        taken=item.taken,
        out=item.out,
        fee=item.fee,
        tx_hash=item.tx_hash,
        rejection=item.rejection,
    )


def settling(item: SettlementItem, message: EnqueueInput) -> dict[str, object]:
    """Columns of a row whose item is written."""
    changes: dict[str, object] = {
        "status": OrderStatus.EXECUTING,
        "stage": Stage.SETTLING,
        "waiting_for": "its settlement transaction",
    }
    if item.kind is ItemKind.SETTLE:
        return changes | {"filled_quantity": item.filled, "average_price": item.average_price}
    changes["reason"] = _refund_reason(item, message.reason)
    # A later run knows the reason from the item, but not its words: those stay.
    return changes | ({"error_msg": message.detail} if message.detail else {})


def enqueued(item: SettlementItem, message: EnqueueInput) -> AuditDraft:
    """The audit entry of an item; written once per request."""
    return AuditDraft(
        event_key=f"item:{item.chain_id}:{item.vault}:{item.request_id}",
        action=f"settlement.{item.kind.value.lower()}",
        request_id=item.request_id,
        data={
            "taken": str(item.taken),
            "out": str(item.out),
            "fee": str(item.fee),
            "filled": item.filled,
            "average_price": str(item.average_price),
            "fill_hash": item.fill_hash,
            "reason": message.reason.value,
            "detail": message.detail,
        },
    )


def ending(
    status: VaultStatus, item: SettlementItem | None, message: CloseInput, owed: int = 0
) -> tuple[Stage, dict[str, object]]:
    """Stage and columns for the end that the vault has. owed: USDT units it still lacks."""
    changes: dict[str, object] = {"waiting_for": "", "reason": Reason.NONE}
    if status is VaultStatus.SETTLED:
        stage = Stage.OWED if owed else Stage.SETTLED
        return stage, changes | {"stage": stage} | _settled(item, owed)
    if message.detail:
        changes["error_msg"] = message.detail
    stage, reason = _unserved(status, item, message.reason)
    changes |= {"status": OrderStatus.FAILED, "stage": stage, "reason": reason}
    if status is VaultStatus.REFUNDED and item is not None:
        changes["refund_tx_hash"] = item.tx_hash
    if stage is Stage.ORPHANED:
        changes.update(_NOTHING_MOVED)
    return stage, changes


def _settled(item: SettlementItem | None, owed: int) -> dict[str, object]:
    changes: dict[str, object] = {"status": OrderStatus.EXECUTED, "error_msg": ""}
    if owed:
        changes["waiting_for"] = owed_words(owed)
    if item is None or item.kind is not ItemKind.SETTLE:
        return changes
    amounts = {"spent": item.taken, "received": item.out - owed, "fee": item.fee}
    return changes | amounts | {"settle_tx_hash": item.tx_hash}


def owed_words(owed: int) -> str:
    """What a user waits for whose redeem the vault could not pay in full."""
    return f"{owed} USDT units that the vault owes: paid in turn, once it has free money"


def _unserved(
    status: VaultStatus, item: SettlementItem | None, reason: Reason
) -> tuple[Stage, Reason]:
    if status is VaultStatus.REFUNDED:
        why = _refund_reason(item, reason)
        return _REFUND_STAGES.get(why, Stage.REFUNDED), why
    if status is VaultStatus.RECLAIMED:
        return Stage.RECLAIMED, Reason.RECLAIMED
    return Stage.ORPHANED, Reason.ORPHANED


def _refund_reason(item: SettlementItem | None, told: Reason) -> Reason:
    """The item's own reason: the first one stays, whatever a later run was told."""
    if item is None or item.kind is not ItemKind.REFUND:
        return told
    return _REASONS.get(item.reason_code, told)
