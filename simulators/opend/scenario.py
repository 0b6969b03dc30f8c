"""A scenario: a file of control commands, each at its moment. JSON lines; `#` begins a comment.

{"scenario": 1, "options": ["--price-interval", "0"], "ordered": false}
{"at": 2.5, "verb": "set_price", "code": "AAPL", "price": "185"}
{"when": "PlaceOrder", "nth": 1, "verb": "fault", "name": "answer_lost"}
{"when": "FILLED_PART", "nth": 1, "after": 0.1, "verb": "set_halt", "code": "AAPL"}

The first line is the header. `options` are words of the command line, which itself comes after
them. `at`: seconds after the simulator listens. `when`: as the nth request of that protocol
arrives, before it is executed, or after the nth order update to that status; `after` so many
seconds later. Verb and parameters are those of the control port.

`ordered` (recordings are): lines run one after the other, and whatever stands above the first line
of a request has run before that request is executed, late or early. A line without a verb only
marks such a place.
"""

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulators.opend import faults
from simulators.opend.errors import OpenDError
from simulators.opend.orders import Status
from simulators.opend.schema import NUMBERS, short

VERSION = 1
FOLDER = Path(__file__).parent / "scenarios"
SUFFIX = ".jsonl"
WORDS = frozenset({"at", "when", "nth", "after", "verb"})


@dataclass(frozen=True, slots=True)
class Line:
    """One command and its moment; `number` is its place in the file. Seconds are the scenario's."""

    number: int
    at: float | None
    when: str
    nth: int
    after: float
    verb: str
    params: dict[str, Any]

    @property
    def event(self) -> tuple[str, int]:
        """What it waits for, if it does not go by the clock."""
        return self.when, self.nth


@dataclass(frozen=True, slots=True)
class Scenario:
    """A file as read."""

    options: tuple[str, ...] = ()
    ordered: bool = False
    lines: tuple[Line, ...] = field(default=())


def names() -> list[str]:
    """The scenarios that come with the simulator."""
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def locate(text: str) -> Path:
    """A file, or one of our own by its name.

    Raises:
        OpenDError: neither.
    """
    for path in (Path(text), FOLDER / f"{text}{SUFFIX}"):
        if path.is_file():
            return path
    raise OpenDError(f"scenario {text!r} is no file and none of {', '.join(names())}")


def load(path: Path) -> Scenario:
    """Reads a scenario; commands are checked when they are known, by `check`.

    Raises:
        OpenDError: it cannot be read, or a line is none; the sentence names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OpenDError(f"scenario {path} cannot be read: {error}") from error
    header: dict[str, Any] | None = None
    lines = []
    for number, document in _documents(path, text):
        try:
            if header is None:
                header = _header(document)
            else:
                lines.append(_line(number, document))
        except ValueError as error:
            raise OpenDError(f"{path}, line {number}: {error}") from None
    if header is None:
        raise OpenDError(f'{path} is no scenario: it has no header {{"scenario": {VERSION}}}')
    return Scenario(header["options"], header["ordered"], tuple(lines))


def check(scenario: Scenario, path: Path, commands: dict[str, Any]) -> None:
    """Whether every command exists and takes what it is given; before anything is run.

    Raises:
        OpenDError: one does not; the sentence names file and line.
    """
    for line in scenario.lines:
        if not line.verb:
            continue
        try:
            _check_command(line, commands)
        except (TypeError, ValueError) as error:
            raise OpenDError(f"{path}, line {line.number}: {error}") from None


def _documents(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            document = json.loads(line)
        except ValueError as error:
            raise OpenDError(f"{path}, line {number}: no JSON: {error}") from None
        if not isinstance(document, dict):
            raise OpenDError(f"{path}, line {number}: a line is a JSON object")
        yield number, document


def _header(document: dict[str, Any]) -> dict[str, Any]:
    version, options = document.get("scenario"), document.get("options", [])
    if version != VERSION:
        raise ValueError(f'the first line must be the header, {{"scenario": {VERSION}, ...}}')
    if not isinstance(options, list) or not all(isinstance(word, str) for word in options):
        raise ValueError('"options" are words of the command line, a list of strings')
    if unknown := sorted(set(document) - {"scenario", "options", "ordered"}):
        raise ValueError(f"the header has unknown {', '.join(unknown)}")
    return {"options": tuple(options), "ordered": bool(document.get("ordered", False))}


def _line(number: int, document: dict[str, Any]) -> Line:
    at, when = document.get("at"), document.get("when", "")
    if (at is None) == (not when):
        raise ValueError('a line has either "at" (seconds) or "when" (an event)')
    verb = document.get("verb", "")
    if at is not None and not verb:
        raise ValueError('a line with "at" needs a "verb"')
    if when:
        when = _event_name(when)
    nth = document.get("nth", 1)
    if type(nth) is not int or nth < 1:
        raise ValueError(f'"nth" is {nth!r}, not a number from 1')
    params = {name: value for name, value in document.items() if name not in WORDS}
    after = _seconds("after", document.get("after", 0))
    return Line(number, None if at is None else _seconds("at", at), when, nth, after, verb, params)


def _event_name(text: Any) -> str:
    name = short(str(text)) if str(text).startswith(("Trd_", "Qot_")) else str(text)
    statuses = [status.name for status in Status]
    if name not in NUMBERS and name not in statuses:
        events = ", ".join([*sorted(NUMBERS), *statuses])
        raise ValueError(f'"when" is {text!r}, which is no event; these are: {events}')
    return name


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ValueError(f'"{name}" is {value!r}, not seconds from 0')
    return float(value)


def _check_command(line: Line, commands: dict[str, Any]) -> None:
    if line.verb not in commands:
        raise ValueError(
            f"verb {line.verb!r} changes nothing here; these do: {', '.join(sorted(commands))}"
        )
    try:
        inspect.signature(commands[line.verb]).bind(None, **line.params)
    except TypeError as error:
        raise ValueError(f"{line.verb}: {error}") from None
    if line.verb == "fault" and line.params["name"] not in faults.ALL:
        raise ValueError(f"no fault is named {line.params['name']!r}")
