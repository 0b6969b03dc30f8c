"""Why an order is stuck, in words: rules from the most to the least certain. Pure.

vault says more than the row ▶ nobody works on it ▶ its settlement ▶ the broker ▶ the gate
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from models.chain import RejectionKind
from models.facts import Cause, Diagnosis, Facts, Step, Verb, made
from models.order import Stage
from models.records import ItemState
from models.requests import VaultStatus
from models.verdict import rejection_kind

RECONCILED = timedelta(minutes=2)
"""Two runs of reconcile: what is seen twice is done about."""
_SLOW_STEP = timedelta(seconds=30)


def diagnose(facts: Facts) -> Diagnosis:
    """The first rule that fits; there always is one."""
    found = next(one for rule in _RULES if (one := rule(facts)) is not None)
    may = tuple(verb for verb in Verb if not facts.why_not(verb))
    return found.model_copy(update={"may": may, "notes": (*found.notes, *_notes(facts))})


def _soon(facts: Facts) -> datetime:
    return facts.now + RECONCILED


# --- the vault says more than the row -------------------------------------------------------------


def _not_asked(facts: Facts) -> Diagnosis | None:
    if facts.status is not None:
        return None
    words = "the chain cannot be asked, so nobody may say how it stands"
    return made(facts, Cause.NOT_ASKED, words, "it goes on when two endpoints answer and agree")


def _ended(facts: Facts) -> Diagnosis | None:
    if not facts.vault_ended or not facts.row_ended or facts.row is None:
        return None
    if facts.stage is Stage.OWED or (facts.terms is not None and facts.terms.owed):
        return None
    return made(facts, Cause.ENDED, f"it has ended: {facts.row.stage}", "nothing, it is done")


def _not_in_vault(facts: Facts) -> Diagnosis | None:
    if facts.status is not VaultStatus.NONE:
        return None
    words = "the vault has no such request: a reorganisation of the chain took it"
    after = "what was sent for it is cancelled; it begins anew when the request comes back"
    return made(facts, Cause.NOT_IN_VAULT, words, after)


def _row_stale(facts: Facts) -> Diagnosis | None:
    """The vault has an end, the row has none."""
    if not facts.vault_ended or facts.row_ended or _owed(facts) is not None:
        return None
    said = facts.status.name if facts.status is not None else ""
    words = f"the vault has {said} it, the row does not say so yet"
    if facts.row is None:
        words = f"the vault has {said} it, and there is no row"
    after = "its workflow writes it" if facts.runs else "reconcile starts its workflow, which does"
    return made(facts, Cause.ROW_STALE, words, after, by_when=_soon(facts))


def _not_seen(facts: Facts) -> Diagnosis | None:
    if facts.row is not None or facts.runs:
        return None
    words = "the vault has it, and nobody here has taken it up"
    after = "the watcher of the chain, or reconcile, starts its workflow"
    return made(facts, Cause.NOT_SEEN, words, after, by_when=_soon(facts))


def _reclaimable(facts: Facts) -> Diagnosis | None:
    at = facts.reclaim_at
    if at is None or facts.now < at or facts.status is not VaultStatus.OPEN:
        return None
    words = "its owner may take it back out of the vault alone by now"
    after = "it can still be settled or refunded until they do"
    return made(facts, Cause.RECLAIMABLE, words, after, person="find out why it took so long")


# --- nobody works on it ---------------------------------------------------------------------------


def _no_workflow(facts: Facts) -> Diagnosis | None:
    if facts.run is None or facts.runs:
        return None
    ended = f" (the last one: {facts.run.ended})" if facts.run.ended else ""
    words = f"it is open, and no workflow runs for it{ended}"
    after = "reconcile starts one when two runs have seen it"
    return made(facts, Cause.NO_WORKFLOW, words, after, by_when=_soon(facts))


def _failing(facts: Facts) -> Diagnosis | None:
    step = next((step for step in _steps(facts) if step.failure), None)
    if step is None:
        return None
    words = f"its step {step.name} fails, try {step.attempt}: {step.failure}"
    after = "it is tried again, less and less often, until it works"
    person = "mend what it names: see the runbook"
    return made(facts, Cause.STEP_FAILS, words, after, person=person, since=step.since)


def _no_worker(facts: Facts) -> Diagnosis | None:
    step = next((step for step in _steps(facts) if _untaken(facts, step)), None)
    if step is None:
        return None
    words = f"no worker takes its step {step.name}"
    after = "it begins as soon as a worker of that role runs"
    person = "start `bronco worker`"
    return made(facts, Cause.NO_WORKER, words, after, person=person, since=step.since)


def _steps(facts: Facts) -> tuple[Step, ...]:
    return facts.run.steps if facts.run is not None else ()


def _untaken(facts: Facts, step: Step) -> bool:
    late = step.since is not None and facts.now - step.since > _SLOW_STEP
    return not step.started and late


# --- its settlement -------------------------------------------------------------------------------


def _owed(facts: Facts) -> Diagnosis | None:
    owed = facts.terms.owed if facts.terms is not None else 0
    if not owed:
        return None
    words = f"it is settled, and the vault owes {owed} USDT units: it had too little"
    after = "it is paid as soon as the vault has the money"
    return made(facts, Cause.OWED, words, after, person="fund the vault")


def _settling(facts: Facts) -> Diagnosis | None:
    item = facts.item
    if item is None:
        return None
    doing = f"its {item.kind.lower()}"
    if facts.stage is Stage.AWAITING_APPROVAL:
        words = facts.row.waiting_for if facts.row is not None else ""
        after = "it is sent when enough approvers have signed"
        return made(facts, Cause.APPROVAL, words, after, person="approvers sign: bronco approve")
    if item.state is ItemState.REJECTED:
        return _refused(facts, doing)
    words = f"{doing} is {item.state}" + (f" in {item.tx_hash}" if item.tx_hash else "")
    after = "the settlement sends it with the next batch, and again whenever it is lost"
    return made(facts, Cause.SETTLING, words, after, by_when=_soon(facts))


def _refused(facts: Facts, doing: str) -> Diagnosis:
    code = facts.item.rejection if facts.item is not None else ""
    words = f"the vault or the signer refuses {doing}: {code}"
    if rejection_kind(code) is RejectionKind.RETRY:
        return made(facts, Cause.ITEM_REFUSED, words, "it is sent again by itself until it passes")
    after = "nothing: it waits for a person"
    person = f"see ITEM_REFUSED in the runbook for {code}"
    return made(facts, Cause.ITEM_REFUSED, words, after, person=person)


# --- the broker -----------------------------------------------------------------------------------


def _unknown(facts: Facts) -> Diagnosis | None:
    claim = facts.unknown
    if claim is None:
        return None
    cause = facts.outlook.cause if facts.outlook else "the broker's answer was lost"
    words = f"nobody knows yet whether the broker has attempt {claim.attempt}: {cause}"
    after = (
        "it is looked for in two reads of the broker's book; found it is followed, else refunded"
    )
    by_when = facts.outlook.decided_by if facts.outlook else None
    return made(facts, Cause.UNKNOWN_OUTCOME, words, after, by_when=by_when)


def _cancelling(facts: Facts) -> Diagnosis | None:
    if facts.stage is not Stage.CANCELLING or facts.working is None:
        return None
    words = f"the broker was asked to cancel order {facts.working.order_id} and has not said more"
    after = "it is asked again; what filled is settled, the rest goes back"
    return made(facts, Cause.CANCELLING, words, after)


def _working(facts: Facts) -> Diagnosis | None:
    order = facts.working
    if order is None:
        return None
    words = (
        f"order {order.order_id} works at the broker: {order.filled} of {order.quantity} filled "
        f"at a limit of {order.price} USD"
    )
    after = "it fills, or is cancelled and what is left goes back"
    return made(facts, Cause.WORKING, words, after, by_when=facts.deadline)


# --- the gate -------------------------------------------------------------------------------------


def _confirming(facts: Facts) -> Diagnosis | None:
    if facts.stage is not Stage.CONFIRMING:
        return None
    words = _waits(facts) or "its request is not deep enough in the chain yet"
    return made(facts, Cause.CONFIRMING, words, "it goes on with the blocks to come")


def _closed(facts: Facts) -> Diagnosis | None:
    if facts.stage not in _GATE or facts.holds or not facts.closed:
        return None
    words = f"nothing may be placed: {facts.closed}"
    after = "it goes on by itself once trading is open; at its deadline it is refunded"
    person = "bronco status, then bronco resume"
    return made(facts, Cause.CLOSED, words, after, by_when=facts.deadline, person=person)


def _held(facts: Facts) -> Diagnosis | None:
    if facts.stage not in _GATE or not facts.holds:
        return None
    said = "; ".join(f"{hold.key} by {hold.who or '?'}: {hold.reason}" for hold in facts.holds)
    words = f"{len(facts.holds)} hold(s) cover it: {said}"
    after = "it goes on when the last is lifted; at its deadline it is refunded"
    person = "bronco resume, for holds of persons; breakers lift themselves"
    since = min(datetime.fromisoformat(hold.at) for hold in facts.holds)
    return made(facts, Cause.HELD, words, after, by_when=facts.deadline, person=person, since=since)


def _session(facts: Facts) -> Diagnosis | None:
    if facts.stage is not Stage.WAITING_SESSION:
        return None
    words = f"the market is closed: {_waits(facts)}"
    after = "it is placed after the open; at its deadline it is refunded"
    return made(facts, Cause.SESSION, words, after, by_when=facts.deadline)


def _queued(facts: Facts) -> Diagnosis | None:
    if facts.stage is not Stage.QUEUED:
        return None
    words = f"it stands in line for the broker: {_waits(facts)}"
    return made(facts, Cause.QUEUED, words, "its turn comes", by_when=facts.deadline)


def _guard(facts: Facts) -> Diagnosis | None:
    if facts.stage is not Stage.HELD:
        return None
    words = f"a check before sending does not pass: {_waits(facts)}"
    after = "it is checked again every few seconds; at its deadline it is refunded"
    return made(facts, Cause.GUARD, words, after, by_when=facts.deadline)


def _otherwise(facts: Facts) -> Diagnosis:
    words = _waits(facts) or f"its workflow is at {facts.stage or 'its first look'}"
    return made(facts, Cause.RUNS, words, "its workflow goes on", by_when=facts.deadline)


def _waits(facts: Facts) -> str:
    return facts.row.waiting_for if facts.row is not None else ""


def _notes(facts: Facts) -> Iterator[str]:
    for position in facts.house:
        yield (
            f"the house holds {position.quantity} {position.symbol} of its order "
            f"{position.broker_order_id} ({position.cause}): bronco house"
        )
    if facts.terms is not None and facts.terms.cancel_requested:
        yield "its owner wants out"
    if facts.row is not None and facts.row.error_msg:
        yield f"it said: {facts.row.error_msg}"
    yield from (f"not asked: {problem}" for problem in facts.unread)


_GATE = frozenset({Stage.HELD, Stage.WAITING_SESSION, Stage.QUEUED})
_Rule = Callable[[Facts], Diagnosis | None]
_RULES: tuple[_Rule, ...] = (
    _not_asked, _ended, _not_in_vault, _row_stale, _not_seen, _no_workflow, _owed,
    _reclaimable, _failing, _no_worker, _settling, _unknown, _cancelling, _working, _confirming,
    _closed, _held, _session, _queued, _guard, _otherwise,
)  # fmt: skip
