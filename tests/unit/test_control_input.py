from typing import Any

import pytest

from models.control import ControlState, HoldCommand, HoldKind
from models.requests import Side
from workflows.control_input import hold_command, pause_command, resume_command
from workflows.holds import Holds

AT = "2026-01-05T14:30:00+00:00"
OPEN = ControlState(paused=False, version=7)


@pytest.mark.parametrize(
    ("args", "reason", "key"),
    [
        ((), "", "manual"),
        (("lunch",), "lunch", "manual"),
        ((None,), "", "manual"),
        ((5,), "5", "manual"),
        ((["a"],), "['a']", "manual"),
        (("two", "inputs"), "two", "manual"),
        (({"reason": "split", "symbol": "aapl"},), "split", "manual:AAPL"),
        (({"side": "sell"},), "", "manual:SELL"),
        (({"side": None, "symbol": None},), "", "manual"),
    ],
)
def test_pause_command__any_input__is_a_manual_hold(
    args: tuple[Any, ...], reason: str, key: str
) -> None:
    command = pause_command(args)
    assert (command.reason, command.key, command.kind) == (reason, key, HoldKind.MANUAL)


@pytest.mark.parametrize(
    "fields",
    [
        {"side": "LONG"},
        {"symbol": 5},
        {"symbol": "A" * 25},
        {"symbol": "ß" * 13},
        {"scope": "AAPL"},
    ],
    ids=str,
)
def test_commands__scope_not_understood__pause_everything_and_resume_nothing(
    fields: dict[str, Any],
) -> None:
    command = pause_command((fields,))
    assert (command.side, command.symbol, command.key) == (None, "", "manual")
    assert str(next(iter(fields))) in command.reason
    assert resume_command((fields,)) is None


def test_commands__endless_text__fits_its_columns() -> None:
    command = pause_command(({"reason": "r" * 10_000, "who": "w" * 10_000},))
    assert len(command.reason) <= 255
    assert len(command.who) <= 64
    long = [hold_command(({"key": "k" * 90 + end, "kind": "BREAKER"},)) for end in "ab"]
    keys = {hold.key for hold in long if hold}
    assert len(keys) == 2, "two keys became one: lifting one hold would lift the other"
    assert all(len(f"breaker:{key}") <= 64 for key in keys)


def test_holds__said_in_words__name_scope_reason_and_who() -> None:
    holds = Holds(OPEN)
    assert holds.in_words() == "Trading is open."
    holds.set(HoldCommand(key="x", kind=HoldKind.BREAKER, symbol="AAPL", side=Side.BUY), AT)
    assert holds.in_words().startswith("Trading is open but")
    holds.set(pause_command(({"reason": "lunch", "who": "ada"},)), AT)
    assert holds.in_words().splitlines() == [
        "Paused: no order is placed.  ",
        "- AAPL BUY held since 2026-01-05T14:30:00Z (x)  ",
        "- all trading held since 2026-01-05T14:30:00Z (manual by ada): lunch",
    ]


def test_holds__set_again_alike__is_no_change() -> None:
    holds = Holds(OPEN)
    holds.set(pause_command(("lunch",)), AT)
    version = holds.version
    holds.set(pause_command(("lunch",)), "2026-01-05T15:00:00+00:00")
    assert holds.version == version
    assert holds.state.holds[0].at == AT
    holds.set(pause_command(("dinner",)), AT)
    assert holds.version == version + 1


def test_holds__narrowed__may_open_something_so_orders_are_woken() -> None:
    holds = Holds(OPEN)
    whole = HoldCommand(key="feed", kind=HoldKind.BREAKER)
    assert holds.set(whole, AT) is False
    assert holds.set(whole.model_copy(update={"symbol": "AAPL"}), AT) is True
    assert holds.lift(HoldCommand(key="other", kind=HoldKind.BREAKER), AT) is False
    assert holds.lift(whole, AT) is True
    assert not holds.state.holds
