"""Writes what was done to a simulator as a scenario that does it again."""

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from simulators.opend.errors import OpenDError
from simulators.opend.scenario import VERSION

# Requests that change orders: a replay keeps commands on the side of them where they were.
MARKED = frozenset({"PlaceOrder", "ModifyOrder"})
# A command is never recorded as of the very moment of its event: it came after it.
LEAST_SECONDS = 0.001


@dataclasses.dataclass(slots=True)
class _Anchor:
    fields: dict[str, Any]
    at: float


class Recorder:
    """Appends a line at once for each command, with the event it came after.

    Raises:
        OpenDError: the file exists, or cannot be made.
    """

    def __init__(
        self,
        path: Path,
        options: Sequence[str],
        order_number: Callable[[str], str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now, self._order_number = now, order_number
        self._counts: Counter[str] = Counter()
        self._anchor = _Anchor({}, now())
        try:
            self._file = path.open("x", encoding="utf-8", buffering=1)
        except FileExistsError:
            raise OpenDError(f"Recording {path} exists: give --record a new name.") from None
        except OSError as error:
            raise OpenDError(f"Recording {path} cannot be made: {error.strerror}.") from error
        self._write({"scenario": VERSION, "ordered": True, "options": list(options)})

    def start(self) -> None:
        """What comes before the first event is timed from here."""
        self._anchor = _Anchor({}, self._now())

    async def arrived(self, protocol: str) -> None:
        """A request is about to be executed."""
        if protocol in MARKED:
            self._move(protocol)
            self._write(self._anchor.fields)

    def changed(self, status: str) -> None:
        """An order was updated."""
        self._move(status)

    def moment(self) -> dict[str, Any]:
        """When something is about to be done: the last event, and how long ago it was."""
        seconds = round(max(LEAST_SECONDS, self._now() - self._anchor.at), 3)
        return {**self._anchor.fields, "after" if self._anchor.fields else "at": seconds}

    def did(self, moment: dict[str, Any], verb: str, params: dict[str, Any]) -> None:
        """A command was done; `moment` was taken before, since it may have caused events itself."""
        params = {name: value for name, value in params.items() if value is not None}
        if "order_id" in params:  # ids are of the clock: another run has others
            params["order_id"] = self._order_number(str(params["order_id"]))
        self._write({**moment, "verb": verb, **params})

    def close(self) -> None:
        """Ends the file."""
        self._file.close()

    def _move(self, name: str) -> None:
        self._counts[name] += 1
        self._anchor = _Anchor({"when": name, "nth": self._counts[name]}, self._now())

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
