"""What the proof says about what it read: each planted break under its own name."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bronco.proof import NAMES, SeenPause, Truth, judge, recorded_pauses
from models.invariants import Begun, Pause
from models.records import AuditEntry
from tests.unit.test_invariants import FAULTS, NOW, sound

SECOND = timedelta(seconds=1)


def truth(**changes: Any) -> Truth:
    fields: dict[str, Any] = {"world": sound(), "arrived": [Begun("r1", NOW)]}
    return Truth(**(fields | changes))


def broken(subject: Truth) -> set[str]:
    return {name for name, verdict in judge(subject).items() if not verdict.ok}


def test_judge__sound__all_five_hold_and_say_nothing() -> None:
    verdicts = judge(truth())
    assert set(verdicts) == set(NAMES.values())
    assert all(verdict == (True, "") for verdict in verdicts.values())


@pytest.mark.parametrize("fault", FAULTS)
def test_judge__planted_fault__breaks_the_invariant_of_that_name(fault: str) -> None:
    numbers, world = FAULTS[fault]
    subject = truth(world=world)
    assert broken(subject) == {NAMES[number] for number in numbers}
    assert all(judge(subject)[NAMES[number]].detail for number in numbers)


@pytest.mark.parametrize(
    ("pause", "breaks"),
    [
        (SeenPause(NOW - SECOND), True),
        (SeenPause(NOW - SECOND, NOW + SECOND), True),
        (SeenPause(NOW - SECOND, NOW + SECOND, in_flight={"r1"}), False),
        (SeenPause(NOW - 2 * SECOND, NOW - SECOND), False),
        (SeenPause(NOW + SECOND), False),
    ],
    ids=["for ever", "inside", "named in flight", "before", "after"],
)
def test_judge__order_reached_the_broker_while_paused__breaks_unless_it_was_in_flight(
    pause: SeenPause, breaks: bool
) -> None:
    assert broken(truth(pauses=[pause])) == ({NAMES[5]} if breaks else set())


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
    assert broken(truth(world=replace(sound(), pauses=pauses))) == {NAMES[5]}
