"""The broker's memory on disk: what was acknowledged is there after kill -9."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from simulators.opend.errors import OpenDError

# "OPND": marks a file as ours, for `file` and for ourselves.
# https://www.sqlite.org/pragma.html#pragma_application_id
APPLICATION_ID = 0x4F504E44
COLUMNS = ["kind", "id", "document"]

Row = tuple[str, str, dict[str, Any]]  # kind, id, document


class StateFile:
    """A table of JSON documents in SQLite, written in transactions.

    WAL with synchronous=NORMAL: a commit survives the death of the process (not of the machine).
    https://www.sqlite.org/pragma.html#pragma_synchronous
    """

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=1)
            self._check_kind(path)
            # Exclusive: a second simulator on one file would sell the same shares twice.
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS state (kind TEXT, id TEXT, document TEXT, "
                "PRIMARY KEY (kind, id)) WITHOUT ROWID"
            )
            self._db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        except sqlite3.Error as error:
            raise OpenDError(_sentence(path, error)) from error

    def _check_kind(self, path: Path) -> None:
        """Looks before anything is written: the file may be somebody else's."""
        (mark,) = self._db.execute("PRAGMA application_id").fetchone()
        names = self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = {name for (name,) in names}
        columns = [row[1] for row in self._db.execute("PRAGMA table_info(state)")]
        # Files of before the mark have 0.
        ours = mark in (0, APPLICATION_ID) and tables <= {"state"} and columns in ([], COLUMNS)
        if not ours:
            raise OpenDError(
                f"State file {path} is a database of another kind: give --state a new name."
            )

    def write(self, rows: Iterable[Row]) -> None:
        """Inserts or replaces all rows, or none."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT OR REPLACE INTO state VALUES (?, ?, ?)",
                [(kind, key, json.dumps(document)) for kind, key, document in rows],
            )

    def read(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """All documents of a kind with their ids."""
        found = self._db.execute("SELECT id, document FROM state WHERE kind = ?", (kind,))
        for key, document in found.fetchall():
            yield key, json.loads(document)

    def close(self) -> None:
        """Releases the file."""
        self._db.close()


def _sentence(path: Path, error: sqlite3.Error) -> str:
    if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
        return f"State file {path} is no state file of this simulator: give --state a new name."
    if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
        return f"State file {path} cannot be used: another simulator has it open."
    if not path.parent.is_dir():
        return f"State file {path} cannot be used: the folder {path.parent} does not exist."
    return f"State file {path} cannot be used: {error}."
