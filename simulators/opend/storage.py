"""The broker's memory on disk: what was acknowledged is there after kill -9."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from simulators.opend.errors import OpenDError

Row = tuple[str, str, dict[str, Any]]  # kind, id, document


class StateFile:
    """A table of JSON documents in SQLite, written in transactions.

    WAL with synchronous=NORMAL: a commit survives the death of the process (not of the machine).
    https://www.sqlite.org/pragma.html#pragma_synchronous
    """

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=1)
            # Exclusive: a second simulator on one file would sell the same shares twice.
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS state (kind TEXT, id TEXT, document TEXT, "
                "PRIMARY KEY (kind, id)) WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            raise OpenDError(f"State file {path} cannot be used: {error}.") from error

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
