"""Every verb that changes control leaves its entry in the audit log, with who and why."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from temporalio.workflow import _Definition

from models.control import HoldCommand, HoldKind
from tests.integration.control.rig import ControlRig
from tests.waiting import eventually
from workflows.control import TradingControlWorkflow

WHO = {"who": "ada", "reason": "a drill"}
BREAKER = HoldCommand(key="feed", kind=HoldKind.BREAKER, who="watch", reason="a drill")
CHANGES_NOTHING = {"lease_is_back"}


class Said(NamedTuple):
    """What is sent, after what, and the entries that must be there then."""

    sent: Any
    entries: tuple[tuple[str, str], ...]
    after: tuple[str, Any] | None = None


SET, LIFTED = "hold_set", "hold_lifted"
VERBS: Mapping[str, Said] = {
    "pause": Said(WHO | {"cancel_working": True}, ((SET, "ada"), ("orders.recalled", "ada"))),
    "resume": Said(WHO, ((LIFTED, "ada"),), after=("pause", WHO)),
    "drain": Said(WHO, ((SET, "ada"),)),
    "end_drain": Said(WHO, ((LIFTED, "ada"),), after=("drain", WHO)),
    "set_hold": Said(BREAKER, ((SET, "watch"),)),
    "lift_hold": Said(BREAKER, ((LIFTED, "watch"),), after=("set_hold", BREAKER)),
}


def _signals() -> set[str]:
    found = _Definition.must_from_class(TradingControlWorkflow)
    return {name for name in found.signals if name is not None}


def _updates() -> set[str]:
    found = _Definition.must_from_class(TradingControlWorkflow)
    return {name for name in found.updates if name is not None}


def test_verbs__of_control__are_all_known_here() -> None:
    assert _signals() | _updates() == set(VERBS) | CHANGES_NOTHING


@pytest.mark.parametrize("verb", sorted(VERBS))
@pytest.mark.parametrize("way", ["signal", "update"])
async def test_audit__each_verb__has_its_entries(rig: ControlRig, verb: str, way: str) -> None:
    said = VERBS[verb]
    if way == "update" and verb not in _updates():
        way = "signal"
    if said.after is not None:
        await rig.control.signal(*said.after)
    before = {entry.event_key for entry in await rig.store.audit.latest(500)}
    if way == "update":
        await rig.control.execute_update(verb, said.sent)
    else:
        await rig.control.signal(verb, said.sent)

    async def recorded() -> bool:
        entries = await rig.store.audit.latest(500)
        new = [entry for entry in entries if entry.event_key not in before]
        assert all("a drill" in entry.data for entry in new if "drain" not in entry.event_key)
        assert all(json.loads(entry.data) for entry in new)
        return set(said.entries) <= {(entry.action, entry.actor) for entry in new}

    await eventually(recorded)
