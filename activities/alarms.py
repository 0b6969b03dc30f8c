"""What settlement cannot put right by itself, said once per occurrence in a few fixed kinds."""

from collections.abc import Callable
from enum import StrEnum

from temporalio import activity


class SettlementAlarm(StrEnum):
    """What somebody has to look at; each has its line in the runbook.

    NO_ROLE, GAS_PRICE, GAS_MONEY: nothing can be sent. FEE_CEILING: sent, and may not offer more.
    NOT_TAKEN: no endpoint takes it. KEY_USED: the nonce went to a transaction that is not this
    batch's. REVERTED: a batch was mined and did nothing. POISON: an item that makes any batch
    revert was set aside. VAULT_REFUSES: it would revert even an empty batch. UNSIGNED: the signer
    refuses an item by itself, which is tried again later. UNAPPROVED: approvals that were given
    count no more, so they are collected anew.
    """

    NO_ROLE = "NO_ROLE"
    GAS_PRICE = "GAS_PRICE"
    GAS_MONEY = "GAS_MONEY"
    FEE_CEILING = "FEE_CEILING"
    NOT_TAKEN = "NOT_TAKEN"
    KEY_USED = "KEY_USED"
    REVERTED = "REVERTED"
    POISON = "POISON"
    VAULT_REFUSES = "VAULT_REFUSES"
    UNSIGNED = "UNSIGNED"
    UNAPPROVED = "UNAPPROVED"


RaiseAlarm = Callable[[SettlementAlarm, str, str], None]
"""Kind, what it is about (a nonce, a transaction, a request id), and in words."""


def log_alarm(kind: SettlementAlarm, key: str, detail: str) -> None:
    """An error in the log, nothing else."""
    extra = {"kind": kind.value, "key": key, "detail": detail}
    activity.logger.error("settlement_alarm", extra=extra)
