"""Six ways to tamper with an audit log, as somebody with the database and our code would."""

import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from models.audit import GENESIS, Sealed, digest
from models.drafts import AuditHead

_INSERT = f"INSERT INTO audit_log ({', '.join(Sealed._fields)}) VALUES (?{',?' * 9})"
_TEXTS = ("event_key", "request_id", "actor", "action", "data", "previous_hash", "hash")


class Log(NamedTuple):
    """All rows in the chain's order, and the head that the database names."""

    rows: Sequence[Sealed]
    head: AuditHead


class Tampered(NamedTuple):
    """first, last: the places among which the first bad row must be named."""

    log: Log
    first: int
    last: int


Tamper = Callable[[Log, Sequence[int], int, random.Random], Tampered]
"""log, places of signed heads, place to tamper with, randomness."""


def change_field(log: Log, _: Sequence[int], place: int, chance: random.Random) -> Tampered:
    """One character of one column is another."""
    row = log.rows[place - 1]
    name = chance.choice((*_TEXTS, "id", "at"))
    values = row._asdict()
    if name == "id":
        values["id"] += 10_000
    elif name == "at":
        values["at"] = row.at.replace(microsecond=(row.at.microsecond + 1) % 10**6)
    else:
        values[name] = _other_text(values[name], chance)
    rows = [*log.rows]
    rows[place - 1] = Sealed(**values)
    return Tampered(Log(rows, log.head), place, place)


def delete_row(log: Log, _: Sequence[int], place: int, __: random.Random) -> Tampered:
    """A row is gone."""
    rows = [row for row in log.rows if row.seq != place]
    return Tampered(Log(rows, log.head), place, place)


def insert_row(log: Log, heads: Sequence[int], place: int, chance: random.Random) -> Tampered:
    """A row that fits what is before it; all later ones move on by one place."""
    before = log.rows[place - 1].previous_hash
    made = log.rows[place - 1]._replace(id=99_999, event_key="forged", action="hold_lifted")
    made = made._replace(hash=digest(made, place, before))
    later = [row._replace(seq=row.seq + 1) for row in log.rows[place - 1 :]]
    head = log.head if chance.random() < 0.5 else AuditHead(log.head.seq + 1, log.head.hash)
    rows = [*log.rows[: place - 1], made, *later]
    return Tampered(Log(rows, head), _after_head(heads, place), place + 1)


def swap_rows(log: Log, _: Sequence[int], place: int, chance: random.Random) -> Tampered:
    """Two rows have each other's places."""
    other = chance.choice([n for n in range(1, len(log.rows) + 1) if n != place])
    rows = {row.seq: row for row in log.rows}
    rows[place], rows[other] = rows[other]._replace(seq=place), rows[place]._replace(seq=other)
    first = min(place, other)
    return Tampered(Log([rows[n] for n in sorted(rows)], log.head), first, first)


def cut_tail(log: Log, _: Sequence[int], place: int, __: random.Random) -> Tampered:
    """Everything from a place on is gone, and the head is where it was then."""
    rows = log.rows[: place - 1]
    head = AuditHead(place - 1, rows[-1].hash if rows else GENESIS)
    return Tampered(Log(rows, head), place, place)


def rewrite(log: Log, heads: Sequence[int], place: int, _: random.Random) -> Tampered:
    """One row says something else, and every hash from there on is made anew."""
    rows, previous = [*log.rows[: place - 1]], log.rows[place - 1].previous_hash
    for row in log.rows[place - 1 :]:
        said = row._replace(actor="nobody" if row.seq == place else row.actor)
        said = said._replace(previous_hash=previous, hash=digest(said, row.seq, previous))
        previous = said.hash
        rows.append(said)
    return Tampered(Log(rows, AuditHead(log.head.seq, previous)), _after_head(heads, place), place)


KINDS: Mapping[str, Tamper] = {
    "changed field": change_field,
    "deleted row": delete_row,
    "inserted row": insert_row,
    "swapped rows": swap_rows,
    "truncated tail": cut_tail,
    "recomputed hashes": rewrite,
}


class Vandal:
    """Writes logs into a SQLite file past all our code."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("PRAGMA synchronous = OFF")

    def put(self, log: Log) -> None:
        """Have the database hold exactly this."""
        rows = [row._replace(at=row.at.isoformat(" ", "microseconds")) for row in log.rows]  # type: ignore[arg-type]
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("DELETE FROM audit_log")
        self._db.executemany(_INSERT, rows)
        changed = (log.head.seq, log.head.hash)
        self._db.execute("UPDATE locks SET version = ?, note = ? WHERE name = 'audit'", changed)
        self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()


def _other_text(text: str, chance: random.Random) -> str:
    if not text:
        return "x"
    at = chance.randrange(len(text))
    # Letters alone, so that two keys never become one.
    other = chance.choice([letter for letter in "ghijk" if letter != text[at]])
    return text[:at] + other + text[at + 1 :]


def _after_head(heads: Sequence[int], place: int) -> int:
    """The first place that the last signed head before this one does not cover."""
    return max((head + 1 for head in heads if head < place), default=1)
