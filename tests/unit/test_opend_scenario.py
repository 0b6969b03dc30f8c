"""Scenario files: what they may say, and when a replay does it."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from simulators.opend.arguments import parse, words
from simulators.opend.control_port import CHANGES, VERBS
from simulators.opend.errors import ControlError, OpenDError
from simulators.opend.options import AccountOptions, OpenDOptions
from simulators.opend.orders import Env, Market
from simulators.opend.recording import Recorder
from simulators.opend.replay import Replay
from simulators.opend.scenario import FOLDER, WORDS, check, load, locate, names
from tests.waiting import eventually

HEADER: dict[str, Any] = {"scenario": 1}


def write(folder: Path, *documents: Any) -> Path:
    path = folder / "scenario.jsonl"
    path.write_text("\n".join(d if isinstance(d, str) else json.dumps(d) for d in documents))
    return path


def test_words__any_options__are_parsed_into_them_again() -> None:
    options = OpenDOptions(
        accounts=(AccountOptions(7, Env.REAL, (Market.HK, Market.US)),),
        cash=Decimal("12.5"),
        positions={"AAPL": 3, "MSFT": -2},
        prices={**OpenDOptions().prices, "ABC": Decimal("0.0123")},
        price_interval_seconds=0.25,
        ack_seconds=0.0,
        session="closed",
        limits=False,
        shorting=False,
        depth_shares=50,
    )
    assert parse(words(options)) == options


def test_parse__scenario__its_options_hold_unless_typed(tmp_path: Path) -> None:
    path = write(tmp_path, {**HEADER, "options": ["--seed", "5", "--price", "A=2", "--ack", "1"]})
    options = parse(["--ack", "3", "--scenario", str(path), "--price", "B=4"])
    assert (options.seed, options.ack_seconds, options.scenario) == (5, 3.0, path)
    assert (options.prices["A"], options.prices["B"]) == (Decimal(2), Decimal(4))


@pytest.mark.parametrize(
    ("documents", "sentence"),
    [
        (["# nothing"], "no header"),
        ([{"scenario": 2}], "line 1: the first line must be the header"),
        ([{**HEADER, "options": "--seed 1"}], 'line 1: "options" are words'),
        ([{**HEADER, "option": []}], "line 1: the header has unknown option"),
        ([HEADER, "no json"], "line 2: no JSON"),
        ([HEADER, "# comment", "", [1]], "line 4: a line is a JSON object"),
        ([HEADER, {"verb": "step"}], "line 2: a line has either"),
        ([HEADER, {"at": 1, "when": "SUBMITTED", "verb": "step"}], "line 2: a line has either"),
        ([HEADER, {"at": 1}], 'line 2: a line with "at" needs'),
        ([HEADER, {"at": -1, "verb": "step"}], 'line 2: "at" is -1'),
        ([HEADER, {"at": "1", "verb": "step"}], "line 2: \"at\" is '1'"),
        ([HEADER, {"when": "Lunch", "verb": "step"}], "line 2: \"when\" is 'Lunch'"),
        ([HEADER, {"when": ["SUBMITTED"], "verb": "step"}], "is no event"),
        ([HEADER, {"when": "SUBMITTED", "nth": 0}], 'line 2: "nth" is 0'),
        ([HEADER, {"at": 1, "verb": "fly"}], "line 2: verb 'fly' changes nothing"),
        ([HEADER, {"at": 1, "verb": "orders"}], "line 2: verb 'orders' changes nothing"),
        ([HEADER, {"at": 1, "verb": "set_price", "code": "A"}], "line 2: set_price: missing"),
        ([HEADER, {"at": 1, "verb": "step", "n": 1}], "line 2: step: got an unexpected"),
        ([HEADER, {"at": 1, "verb": "fault", "name": "x"}], "line 2: no fault is named 'x'"),
    ],
)
def test_load__line_that_is_none__named_with_its_number(
    tmp_path: Path, documents: list[Any], sentence: str
) -> None:
    path = write(tmp_path, *documents)
    with pytest.raises(OpenDError) as refused:
        check(load(path), path, CHANGES)
    assert sentence in str(refused.value)
    assert str(refused.value).startswith(str(path))


def test_locate__neither_file_nor_name__tells_our_own() -> None:
    with pytest.raises(OpenDError, match="none of ambiguous-placement, halt-in-mid-order"):
        locate("no-such")


@pytest.mark.parametrize("name", names())
def test_own_scenario__is_one(name: str) -> None:
    path = locate(name)
    assert path.parent == FOLDER
    check(load(path), path, CHANGES)
    assert parse(["--scenario", name]).scenario == path


def test_commands__no_parameter__is_a_word_of_the_format() -> None:
    for method in VERBS.values():
        assert not WORDS & set(method.__code__.co_varnames[: method.__code__.co_argcount])


class Play:
    """A replay whose commands are only noted."""

    def __init__(self, folder: Path, *lines: dict[str, Any], ordered: bool = False) -> None:
        path = write(folder, {**HEADER, "ordered": ordered}, *lines)
        self.did: list[str] = []
        self.replay = Replay(load(path), self.perform)

    async def perform(self, verb: str, **params: Any) -> None:
        self.did.append(params.get("code", verb))
        if params.get("code") == "refused":
            raise ControlError("no")


async def turns() -> None:
    """Lets everything run that waits for nothing."""
    for _ in range(20):
        await asyncio.sleep(0)


def halt(code: str, **moment: Any) -> dict[str, Any]:
    return {"verb": "set_halt", "code": code, **moment}


async def test_replay__request__meets_what_is_due_before_it_is_executed(tmp_path: Path) -> None:
    second = {"when": "PlaceOrder", "nth": 2}
    play = Play(tmp_path, halt("late", **second, after=0.01), halt("now", **second))
    play.replay.start()
    await play.replay.arrived("PlaceOrder")
    await play.replay.arrived("ModifyOrder")
    assert play.did == []
    await play.replay.arrived("PlaceOrder")
    assert play.did == ["now"]
    await eventually(lambda: play.did == ["now", "late"])
    assert (play.replay.done, play.replay.left) == (2, 0)


async def test_replay__by_the_clock__in_order_of_time_and_refusals_are_kept(
    tmp_path: Path,
) -> None:
    play = Play(tmp_path, halt("c", at=0.05), halt("refused", at=0.03), halt("a", at=0))
    play.replay.start()
    await eventually(lambda: play.replay.left == 0)
    assert play.did == ["a", "refused", "c"]
    assert play.replay.refused == ["line 3: set_halt: no"]


async def test_replay__order_update__starts_what_follows_it(tmp_path: Path) -> None:
    play = Play(tmp_path, halt("a", when="FILLED_PART", nth=2))
    play.replay.start()
    play.replay.changed("FILLED_PART")
    play.replay.changed("SUBMITTED")
    await turns()
    assert play.did == []
    play.replay.changed("FILLED_PART")
    await eventually(lambda: play.did == ["a"])


async def test_replay__closed__does_nothing_more(tmp_path: Path) -> None:
    play = Play(tmp_path, halt("a", at=0))
    play.replay.start()
    await play.replay.close()
    assert play.did == []


async def test_replay__ordered__request_that_is_early_waits_for_what_was_before_it(
    tmp_path: Path,
) -> None:
    play = Play(
        tmp_path,
        halt("a", at=3600),
        {"when": "PlaceOrder", "nth": 1},
        halt("b", when="PlaceOrder", nth=1, after=3600),
        halt("c", when="SUBMITTED", nth=1, after=3600),
        {"when": "PlaceOrder", "nth": 2},
        halt("d", when="PlaceOrder", nth=2, after=0.001),
        ordered=True,
    )
    play.replay.start()
    await play.replay.arrived("PlaceOrder")
    assert play.did == ["a"]
    play.replay.changed("SUBMITTED")
    await play.replay.arrived("PlaceOrder")
    assert play.did == ["a", "b", "c"]
    await eventually(lambda: play.did == ["a", "b", "c", "d"])


async def test_replay__ordered__what_is_not_due__does_not_run_before_its_event(
    tmp_path: Path,
) -> None:
    play = Play(
        tmp_path,
        halt("a", when="FILLED_ALL", nth=1, after=0.001),
        halt("b", at=0),
        ordered=True,
    )
    play.replay.start()
    await turns()
    assert play.did == []
    play.replay.changed("FILLED_ALL")
    await eventually(lambda: play.did == ["a", "b"])


async def test_recorder__commands__stand_after_the_event_they_followed(tmp_path: Path) -> None:
    clock = [100.0]
    path = tmp_path / "recorded.jsonl"
    recorder = Recorder(path, ["--seed", "1"], lambda text: f"#{text}", now=lambda: clock[0])
    recorder.start()
    clock[0] += 1.5
    recorder.did(recorder.moment(), "step", {})
    await recorder.arrived("GetFunds")
    await recorder.arrived("PlaceOrder")
    clock[0] += 0.25
    moment = recorder.moment()
    recorder.changed("CANCELLED_ALL")  # as a command itself may cause
    recorder.did(moment, "day_roll", {})
    recorder.did(recorder.moment(), "fault", {"name": "late_fill", "order_id": "7", "remark": None})
    recorder.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"scenario": 1, "ordered": True, "options": ["--seed", "1"]},
        {"at": 1.5, "verb": "step"},
        {"when": "PlaceOrder", "nth": 1},
        {"when": "PlaceOrder", "nth": 1, "after": 0.25, "verb": "day_roll"},
        {
            **{"when": "CANCELLED_ALL", "nth": 1, "after": 0.001, "verb": "fault"},
            **{"name": "late_fill", "order_id": "#7"},
        },
    ]
    check(load(path), path, CHANGES)


def test_recorder__file_exists__is_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "mine")
    with pytest.raises(OpenDError, match="give --record a new name"):
        Recorder(path, [], str)
    assert path.read_text() == "mine"
