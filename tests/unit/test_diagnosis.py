"""A stuck order of each kind is explained by its right cause, and nobody may do what is wrong."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.broker import BrokerStatus
from models.columns import naive_utc
from models.control import Hold, HoldKind
from models.diagnosis import RECONCILED, diagnose
from models.facts import Cause, Facts, Run, Step, Verb
from models.order import Order, OrderStatus, Stage
from models.outlook import UnknownOutlook
from models.records import ClaimState, ItemKind, ItemState, SettlementItem
from models.requests import VaultStatus
from tests.builders import broker_order, ended, filled, placement, vault_request
from tests.contracts.builders import house_position, settlement_item

NOW = datetime(2026, 1, 5, 15, tzinfo=UTC)
SINCE = NOW - timedelta(minutes=10)
RUNNING = Run(running=True)
HOLD = Hold(
    key="manual", kind=HoldKind.MANUAL, reason="lunch", who="ann", at="2026-01-05T14:00:00+00:00"
)
OUTLOOK = UnknownOutlook(attempt=1, cause="the answer was lost", decided_by=NOW)


def row(stage: Stage, status: OrderStatus = OrderStatus.PENDING, **changes: Any) -> Order:
    terms = vault_request()
    fields: dict[str, Any] = {
        "chain_id": terms.chain_id,
        "vault": terms.vault,
        "request_number": terms.n,
        "request_id": terms.request_id,
        "workflow_id": "w",
        "user_addr": terms.owner,
        "symbol": "AAPL",
        "order_type": terms.side,
        "deadline": terms.deadline,
        "reclaim_at": terms.reclaim_at,
        "status": status,
        "stage": stage,
        "waiting_for": "what it says",
        "created_at": naive_utc(SINCE),
        "updated_at": naive_utc(SINCE),
    }
    return Order(**(fields | changes))


def facts(stage: Stage = Stage.HELD, **changes: Any) -> Facts:
    fields: dict[str, Any] = {
        "now": NOW,
        "row": row(stage),
        "status": VaultStatus.OPEN,
        "terms": vault_request(),
        "run": RUNNING,
    }
    return Facts(**(fields | changes))


def item(state: ItemState, **changes: Any) -> SettlementItem:
    return settlement_item(state=state, **changes)


def step(**changes: Any) -> Run:
    fields: dict[str, Any] = {"name": "admit", "attempt": 1, "started": True, "since": SINCE}
    return Run(running=True, steps=(Step(**(fields | changes)),))


def at_broker(**changes: Any) -> dict[str, Any]:
    return {"claims": (placement(),), "orders": (broker_order(**changes),)}


EXECUTED = row(Stage.SETTLED, OrderStatus.EXECUTED)
CASES: list[tuple[str, Facts, Cause, str]] = [
    ("chain down", facts(status=None, terms=None), Cause.NOT_ASKED, "cannot be asked"),
    (
        "done",
        facts(row=EXECUTED, status=VaultStatus.SETTLED, run=Run(running=False)),
        Cause.ENDED,
        "SETTLED",
    ),
    (
        "reorganised away",
        facts(status=VaultStatus.NONE, terms=None),
        Cause.NOT_IN_VAULT,
        "reorganisation",
    ),
    (
        "settled, its row is stale",
        facts(Stage.SETTLING, status=VaultStatus.SETTLED),
        Cause.ROW_STALE,
        "the vault has SETTLED it",
    ),
    ("nobody took it up", facts(row=None, run=Run(running=False)), Cause.NOT_SEEN, "taken it up"),
    (
        "workflow terminated",
        facts(run=Run(running=False, ended="TERMINATED")),
        Cause.NO_WORKFLOW,
        "TERMINATED",
    ),
    (
        "past its reclaim time",
        facts(terms=vault_request(reclaim_at=int(NOW.timestamp()))),
        Cause.RECLAIMABLE,
        "alone",
    ),
    (
        "a step fails",
        facts(run=step(attempt=7, failure="database could not be asked")),
        Cause.STEP_FAILS,
        "try 7: database could not",
    ),
    ("no worker", facts(run=step(started=False)), Cause.NO_WORKER, "no worker takes"),
    (
        "owed",
        facts(
            Stage.OWED,
            status=VaultStatus.SETTLED,
            terms=vault_request(owed=7, status=VaultStatus.SETTLED),
        ),
        Cause.OWED,
        "owes 7 USDT units",
    ),
    (
        "settlement refused for good",
        facts(Stage.SETTLING, item=item(ItemState.REJECTED, rejection="AMOUNT")),
        Cause.ITEM_REFUSED,
        "AMOUNT",
    ),
    (
        "settlement refused for a while",
        facts(Stage.SETTLING, item=item(ItemState.REJECTED, rejection="BAND")),
        Cause.ITEM_REFUSED,
        "BAND",
    ),
    (
        "needs approvals",
        facts(Stage.AWAITING_APPROVAL, item=item(ItemState.REJECTED, rejection="CAP")),
        Cause.APPROVAL,
        "what it says",
    ),
    (
        "settlement on its way",
        facts(Stage.SETTLING, item=item(ItemState.SENT, tx_hash="0xabc")),
        Cause.SETTLING,
        "SENT in 0xabc",
    ),
    (
        "answer lost",
        facts(Stage.UNKNOWN, claims=(placement(state=ClaimState.CLAIMED),), outlook=OUTLOOK),
        Cause.UNKNOWN_OUTCOME,
        "the answer was lost",
    ),
    (
        "cancel not confirmed",
        facts(Stage.CANCELLING, **at_broker()),
        Cause.CANCELLING,
        "was asked to cancel",
    ),
    ("works", facts(Stage.PLACED, **at_broker()), Cause.WORKING, "0 of 4 filled"),
    ("not deep enough", facts(Stage.CONFIRMING), Cause.CONFIRMING, "what it says"),
    ("halted", facts(closed="the break-glass halt is set"), Cause.CLOSED, "break-glass"),
    ("paused", facts(holds=(HOLD,), closed="paused"), Cause.HELD, "manual by ann: lunch"),
    ("market closed", facts(Stage.WAITING_SESSION), Cause.SESSION, "closed: what it says"),
    ("in line", facts(Stage.QUEUED), Cause.QUEUED, "in line for the broker: what it says"),
    ("a guard", facts(Stage.HELD), Cause.GUARD, "what it says"),
    ("nothing special", facts(Stage.SETTLING), Cause.RUNS, "what it says"),
]


@pytest.mark.parametrize(
    ("known", "cause", "says"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_diagnosis__stuck_order__is_explained(known: Facts, cause: Cause, says: str) -> None:
    found = diagnose(known)
    assert found.cause == cause
    assert says in found.words
    assert found.by_itself


def test_cases__every_cause__has_one() -> None:
    assert {case[2] for case in CASES} == set(Cause)


def test_since__of_a_hold__is_the_holds_and_else_the_rows() -> None:
    assert diagnose(facts(holds=(HOLD,))).since == datetime.fromisoformat(HOLD.at)
    assert diagnose(facts()).since == SINCE


def test_by_when__nobody_works_on_it__two_runs_of_reconcile() -> None:
    assert diagnose(facts(run=Run(running=False))).by_when == NOW + RECONCILED


@pytest.mark.parametrize(
    ("known", "says"),
    [
        (facts(), ""),
        (facts(Stage.PLACED, **at_broker()), "works at the broker: cancel it"),
        (facts(claims=(placement(state=ClaimState.REJECTED),)), ""),
        (facts(claims=(placement(),), orders=(filled(broker_order(), 1),)), "only way is forward"),
        (
            facts(orders=(ended(filled(broker_order(), 1)),), claims=(placement(),)),
            "only way is forward",
        ),
        (facts(claims=(placement(state=ClaimState.CLAIMED),)), "unknown"),
        (facts(item=item(ItemState.PENDING)), "settle is decided"),
        (facts(item=item(ItemState.MINED, kind=ItemKind.REFUND)), "refund is decided"),
        (facts(run=Run(running=False)), "resume it first"),
        (facts(run=None), "resume it first"),
        (facts(status=VaultStatus.SETTLED), "not open"),
        (facts(status=None), "could not be asked"),
    ],
)
def test_refund__after_a_fill_or_not_known__is_refused(known: Facts, says: str) -> None:
    """Before a fill back, after a fill forward; and never while an outcome is unknown."""
    refused = known.why_not(Verb.REFUND)
    assert says in refused
    assert bool(refused) == bool(says)
    assert (Verb.REFUND in diagnose(known).may) == (not says)


def test_notes__what_the_house_holds_and_what_was_not_asked__are_named() -> None:
    order = broker_order(status=BrokerStatus.CANCELLED)
    known = facts(
        orders=(order,),
        house=(house_position(order.order_id),),
        unread=("Redis could not be asked",),
        terms=vault_request(cancel_requested=True),
    )
    house, wants, unread = diagnose(known).notes
    assert order.order_id in house
    assert (wants, unread) == ("its owner wants out", "not asked: Redis could not be asked")
