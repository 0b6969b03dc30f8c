"""When the demo may say that all went as it should."""

from dataclasses import replace

import pytest

from bronco.demo import DemoReport
from bronco.proof import NAMES, Verdict
from bronco.scenes import SCENES, SceneResult


def report() -> DemoReport:
    scenes = [SceneResult(scene.name, scene.title, True, "", 0.1) for scene in SCENES]
    return DemoReport(scenes=scenes, invariants=dict.fromkeys(NAMES.values(), Verdict(True)))


def failed_scene() -> DemoReport:
    found = report()
    found.scenes[3] = replace(found.scenes[3], ok=False, detail="money is missing")
    return found


def broken_invariant() -> DemoReport:
    found = report()
    found.invariants[NAMES[2]] = Verdict(False, "one share too many")
    return found


def missing_scene() -> DemoReport:
    found = report()
    found.scenes.pop()
    return found


FAILURES = {
    "scene failed": failed_scene(),
    "invariant broken": broken_invariant(),
    "scene not played": missing_scene(),
    "nothing proven": replace(report(), invariants={}),
    "could not start": replace(report(), error="anvil is not installed"),
    "nothing happened": DemoReport(),
}


def test_report__all_played_and_proven__is_ok_and_json_says_so() -> None:
    found = report().as_json()
    assert found["ok"] is True
    assert [scene["name"] for scene in found["scenes"]] == [
        *("deposit", "redeem", "pause", "rejected"),
        *("answer_lost", "worker_killed", "too_small"),
    ]
    assert found["invariants"] == dict.fromkeys(NAMES.values(), True)


@pytest.mark.parametrize("failure", FAILURES)
def test_report__anything_amiss__is_not_ok(failure: str) -> None:
    assert not FAILURES[failure].ok
    assert FAILURES[failure].as_json()["ok"] is False


def test_report__broken_invariant__json_names_it_and_why() -> None:
    found = broken_invariant().as_json()
    assert found["invariants"][NAMES[2]] is False
    assert found["invariant_details"] == {NAMES[2]: "one share too many"}
