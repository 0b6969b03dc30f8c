"""Answers of the control port for people: tables and lines of plain text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from simulators.opend.session import exchange_time

# Values that tell nothing: a column of nothing else is left out.
_EMPTY = (None, "", 0, "0", False)
_MONEY_DIGITS = 4


def printed(answer: Mapping[str, Any]) -> str:
    """All of an answer: single values a line each, lists of rows as tables."""
    if not answer:
        return "done\n"
    blocks = []
    single = {name: value for name, value in answer.items() if not isinstance(value, list | dict)}
    if single:
        blocks.append(_table([{"": name, " ": value} for name, value in single.items()], bare=True))
    for name, value in answer.items():
        if isinstance(value, list | dict):
            blocks.append(_block(name, value, title=len(answer) > 1))
    return "\n".join(blocks)


def _block(name: str, value: Any, title: bool) -> str:
    rows = _rows(value)
    if not rows:
        return f"{name}: none\n"
    return (f"{name}:\n" if title else "") + _table(rows)


def _rows(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [row if isinstance(row, dict) else {"name": row} for row in value]
    if any(isinstance(row, dict) for row in value.values()):
        return [{"name": name, **row} for name, row in value.items()]
    if any(isinstance(row, list) for row in value.values()):
        return [{"name": name, "of": row} for name, row in value.items()]
    return [{"name": name, "value": row} for name, row in value.items()]


def _table(rows: Sequence[Mapping[str, Any]], bare: bool = False) -> str:
    names = [n for n in rows[0] if bare or any(row.get(n) not in _EMPTY for row in rows)]
    body = [[_cell(name, row.get(name)) for name in names] for row in rows]
    lines = body if bare else [names, *body]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    return "".join(_line(line, widths) for line in lines)


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    padded = "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
    return padded.rstrip() + "\n"


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and (name == "at" or name.endswith("_at")):
        return exchange_time(value)[5:]
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    text = str(value)
    whole, dot, digits = text.partition(".")
    # An average price may have 28 digits; --json shows all of them.
    return f"{whole}.{digits[:_MONEY_DIGITS]}" if dot and digits.isdigit() else text
