"""What the audit log tells: when trading was paused, and what it does not tell of."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bronco.proof import NAMES, Truth, judge
from bronco.trail import AUDITED, Trail, recorded_pauses, untold
from models.cases import Case
from models.drafts import AuditFault
from models.invariants import Begun, Pause
from models.order import OrderStatus, Stage
from models.records import AuditEntry, ClaimState
from models.requests import VaultStatus
from tests.builders import placement
from tests.unit.test_invariants import NOW, case, house, sound
from tests.unit.trail import told, trail_of

SECOND = timedelta(seconds=1)


def entry(action: str, at: datetime, *, said: datetime | None = None, **scope: Any) -> AuditEntry:
    hold = {"key": "manual", "side": None, "symbol": ""} | scope
    data = {"at": (said or at).isoformat(), "hold": hold}
    return AuditEntry(
        event_key=f"{action}{at}",
        action=action,
        data=json.dumps(data),
        at=at.astimezone(UTC).replace(tzinfo=None),
    )


def test_recorded_pauses__set_and_lifted__lasts_until_the_lift_was_asked_for() -> None:
    later = NOW + timedelta(minutes=1)
    found = recorded_pauses(
        [entry("hold_set", NOW), entry("hold_lifted", later + SECOND, said=later)]
    )
    assert found == [Pause(NOW + 2 * SECOND, later)]


def test_recorded_pauses__still_set__has_no_end() -> None:
    assert recorded_pauses([entry("hold_set", NOW)]) == [Pause(NOW + 2 * SECOND)]


def test_recorded_pauses__scoped_or_shorter_than_the_lease__is_none() -> None:
    scoped = [entry("hold_set", NOW, symbol="AAPL"), entry("hold_set", NOW, side="BUY")]
    short = [entry("hold_set", NOW), entry("hold_lifted", NOW + SECOND)]
    assert recorded_pauses(scoped) == []
    assert recorded_pauses(short) == []


def test_recorded_pauses__placement_inside__breaks_the_fifth() -> None:
    pauses = recorded_pauses([entry("hold_set", NOW - timedelta(minutes=1))])
    world = replace(sound(), pauses=pauses)
    verdicts = judge(Truth(world=world, arrived=[Begun("r1", NOW)], trail=trail_of(world.cases)))
    assert [name for name, verdict in verdicts.items() if not verdict.ok] == [NAMES[5]]


SETTLED = case(1)
REFUNDED = case(3, status=VaultStatus.REFUNDED, shares=0, settled=0)
OPEN = case(4, status=VaultStatus.OPEN, settled=None)
BURNT = replace(OPEN, claims=(placement(OPEN.request_id, state=ClaimState.VOID),))


@pytest.mark.parametrize("subject", [SETTLED, REFUNDED, OPEN, BURNT])
def test_untold__all_is_on_record__nothing(subject: Case) -> None:
    assert untold(trail_of([subject]), [subject]) == []


@pytest.mark.parametrize(
    ("subject", "lost"),
    [
        (SETTLED, "order.admitted"),
        (SETTLED, "placement.placed"),
        (SETTLED, "settlement.settle"),
        (SETTLED, "order.settled"),
        (REFUNDED, "settlement.refund"),
        (OPEN, "order.admitted"),
        (OPEN, "placement.placed"),
        (BURNT, "placement.void"),
    ],
)
def test_untold__one_entry_missing__names_it(subject: Case, lost: str) -> None:
    trail = trail_of([subject])
    kept = [one for one in trail.entries if one.action != lost]
    assert len(kept) == len(trail.entries) - 1
    (found,) = untold(replace(trail, entries=kept), [subject])
    assert (found.invariant, found.key) == (AUDITED, subject.request_id)
    assert lost in found.detail


def test_untold__another_requests_entries__are_none_of_its_own() -> None:
    found = untold(trail_of([REFUNDED]), [SETTLED])
    assert len(found) == 4


def test_untold__end_that_the_row_does_not_show__is_missing() -> None:
    assert SETTLED.row is not None
    row = SETTLED.row.model_copy(
        update={"status": OrderStatus.EXECUTED, "stage": Stage.OWED, "request_id": "0x1"}
    )
    (found,) = untold(trail_of([SETTLED]), [replace(SETTLED, row=row)])
    assert "order.owed" in found.detail


def test_untold__no_request_yet__needs_no_entry() -> None:
    unknown = Case(request_id="0x1", status=VaultStatus.OPEN)
    assert untold(Trail([], NOW), [unknown]) == []


def test_untold__house_position__needs_its_booking() -> None:
    booked = told("", "house.booked", "house:F-1:LATE_FILL:4")
    assert untold(Trail([booked], NOW), [], [house("F-1", 4)]) == []
    (found,) = untold(Trail([booked], NOW), [], [house("F-1", 5)])
    assert (found.key, found.detail) == ("F-1", "no entry tells of 5 LATE_FILL")


def test_untold__broken_chain__says_where() -> None:
    fault = AuditFault(seq=3, entry_id=17, problem="was changed after it was sealed")
    (found,) = untold(Trail([], NOW, fault), [])
    assert found.detail == "the chain breaks at 3 (entry 17): was changed after it was sealed"


def test_untold__entry_that_the_sealer_forgot__is_found_once_it_is_old() -> None:
    fresh = told("", "hold_set", "k", sealed=False)
    assert untold(Trail([fresh], NOW + 10 * SECOND), []) == []
    (found,) = untold(Trail([fresh], NOW + 60 * SECOND), [])
    assert "1 entries are in no chain" in found.detail
