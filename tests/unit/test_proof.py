"""What the proof says about what it read: each planted break under its own name."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bronco.proof import NAMES, SeenPause, Truth, judge
from models.drafts import AuditFault
from models.invariants import Begun
from tests.unit.test_invariants import FAULTS, NOW, sound
from tests.unit.trail import trail_of

SECOND = timedelta(seconds=1)


def truth(**changes: Any) -> Truth:
    """Sound, and with a log that tells of all that there is, unless it is said otherwise."""
    world = changes.get("world", sound())
    fields: dict[str, Any] = {
        "world": world,
        "arrived": [Begun("r1", NOW)],
        "trail": trail_of(world.cases),
    }
    return Truth(**(fields | changes))


def broken(subject: Truth) -> set[str]:
    return {name for name, verdict in judge(subject).items() if not verdict.ok}


def test_judge__sound__all_hold_and_say_nothing() -> None:
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


def test_judge__log_that_was_tampered_with__breaks_the_sixth() -> None:
    fault = AuditFault(seq=1, entry_id=1, problem="was changed after it was sealed")
    tampered = replace(truth().trail, fault=fault)
    assert broken(truth(trail=tampered)) == {NAMES[6]}
    assert broken(truth(trail=replace(tampered, entries=[], fault=None))) == {NAMES[6]}
