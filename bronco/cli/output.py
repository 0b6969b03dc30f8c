"""How commands speak: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from models.control import Hold, InFlight

NOT_CONFIRMED = 3
"""Exit code: something could not be asked, or has not been confirmed."""


def write(text: str) -> None:
    """One line on standard output."""
    sys.stdout.write(f"{text}\n")


def hand_out(text: str, file: Path | None) -> None:
    """To a file that only its owner can read (it holds keys), or to standard output."""
    if file is None:
        write(text.rstrip())
        sys.stdout.flush()
        return
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text, "utf-8")


def quoted(value: str) -> str:
    """A value of a .env file that a shell reads the same way."""
    return "'" + value.replace("'", "'\\''") + "'"


def warn(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"bronco: {text}\n")


def write_json(value: "BaseModel | dict[str, Any]") -> None:
    """One JSON document."""
    plain = value if isinstance(value, dict) else value.model_dump(mode="json")
    write(json.dumps(plain, indent=2, ensure_ascii=False))


def write_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; what is printed never depends on colour, and markup in values is text."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    Console(file=sys.stdout).print(table)


def write_chain(chain: "dict[str, Any] | None") -> None:
    """How far the watcher of the chain is, and which endpoints it asks."""
    if chain is None:
        write("nobody watches the chain")
        return
    said = f", last look failed: {chain['problem']}" if chain["problem"] else ""
    write(f"chain: block {chain['head']}, request {chain['next'] - 1} of {chain['count']}{said}")
    rows = [
        (one["label"], one["head"], one["fault"] or "asked", one["detail"])
        for one in chain["endpoints"]
    ]
    if rows:
        write_table("Chain endpoints", ("endpoint", "block", "state", "why"), rows)


def write_holds(holds: "Sequence[Hold]") -> None:
    """The holds, if there are any."""
    if not holds:
        return
    rows = [
        (
            hold.key,
            " ".join(part for part in (hold.symbol, hold.side or "") if part) or "all trading",
            hold.reason,
            hold.who,
            f"{hold.at[:19]}Z",
        )
        for hold in holds
    ]
    write_table("Holds", ("key", "what", "why", "who", "since"), rows)


def write_in_flight(in_flight: "Sequence[InFlight]") -> None:
    """Placements whose end is not known, if there are any."""
    if in_flight:
        rows = [(flight.remark, flight.since) for flight in in_flight]
        write_table("In flight: begun, end not known", ("remark", "since"), rows)
