"""The control command line, without a simulator: what it offers and what it prints."""

import shlex
from pathlib import Path

import pytest

from simulators.opend import ctl
from simulators.opend.arguments import parse
from simulators.opend.control_port import CHANGES, VERBS
from simulators.opend.faults import ALL
from simulators.opend.tables import printed


def test_help__every_command_and_every_fault__has_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        ctl.main(["--help"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    told = {words[0]: words[1:] for words in lines if words}
    for verb in VERBS:
        assert told[verb.replace("_", "-")], verb
    for name in ALL:
        assert told[name], name


def test_fault_lines__told_over_several_lines__are_one_sentence() -> None:
    lines = ctl.fault_lines()
    assert lines["answer_lost_disconnect"] == "executed; the link dies instead of answering"
    assert lines["lost_before"] == "link dies before the venue saw it"


@pytest.mark.parametrize(
    "line",
    ["", "nonsense", "set-price AAPL", "set-halt AAPL perhaps", "split AAPL two", "fault reject 2"],
)
def test_command__typed_wrongly__usage_and_code_2(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        ctl.main(line.split())
    assert ended.value.code == 2
    assert "bronco opend ctl" in capsys.readouterr().err


def documented() -> list[str]:
    """Every command line of the simulator's page, without its comment."""
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
    lines = [line.removeprefix("$ ") for line in page.splitlines()]
    starts = [line.split("#")[0] for line in lines if line.startswith("bronco opend")]
    cells = [part for line in lines if line.startswith("| ") for part in line.split("`")[1::2]]
    return starts + [f"bronco opend ctl {cell}" for cell in cells]


@pytest.mark.parametrize("line", documented())
def test_documentation__its_command_lines__are_understood(line: str) -> None:
    words = shlex.split(line)[2:]
    if words[:1] == ["ctl"]:
        assert ctl.parser().parse_args(words[1:]).verb
    else:
        assert parse(words)


def test_changes__are_what_is_not_a_question() -> None:
    assert {"fault", "set_price", "day_roll"} <= set(CHANGES)
    assert not {"orders", "counts", "quote", "faults"} & set(CHANGES)


def test_printed__rows__are_columns_without_the_empty_ones() -> None:
    rows = [{"id": "1", "error": "", "at": 1795751342.5}, {"id": "22", "error": "", "at": 0.0}]
    assert printed({"fills": rows}).splitlines() == [
        "id  at",
        "1   11-26 22:49:02.500",
        "22  12-31 19:00:00.000",
    ]


def test_printed__nothing__says_so() -> None:
    assert printed({}) == "done\n"
    assert printed({"orders": []}) == "orders: none\n"
    assert printed({"last": "190"}) == "last  190\n"
    assert printed({"counts": {"PlaceOrder": {"received": 2}}}).splitlines()[1].split() == [
        "PlaceOrder",
        "2",
    ]
