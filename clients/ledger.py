"""What the signer signed in the last hour, on its own disk, so that a restart forgets nothing.

A request counts once an hour, at the most that was ever signed for it: the vault ends each request
at most once, however often and under whatever nonce it is signed. So a bump, a batch sent again and
a smaller batch under the same nonce add only what is new in them. Gas counts once a nonce, at the
dearest offer, because a nonce is mined at most once.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from clients.policy import Signing
from models.errors import ConfigurationError, SigningRefused, SourceUnavailable

HOUR_SECONDS = 3600
_CLOCK_TOLERANCE_SECONDS = 120
_LOCK_SECONDS = 2.0
_FOLDER = "state folder of the signer"
_TABLES = """
CREATE TABLE IF NOT EXISTS requests(
    id TEXT PRIMARY KEY, usdt TEXT NOT NULL, shares TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS nonces(nonce TEXT PRIMARY KEY, cost TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS batches(
    nonce TEXT, content TEXT, at INTEGER NOT NULL, PRIMARY KEY(nonce, content));
CREATE TABLE IF NOT EXISTS clock(one INTEGER PRIMARY KEY CHECK(one = 1), at INTEGER NOT NULL);
"""
Clock = Callable[[], int]


@dataclass(frozen=True)
class HourLimits:
    """Most that is signed in any hour. usdt, shares: units. batches: of different content."""

    usdt: int
    shares: int
    batches: int
    cost: int


class HourSums(NamedTuple):
    """What counts in the hour that ends now; as HourLimits."""

    usdt: int
    shares: int
    batches: int
    cost: int


def steady_clock() -> Clock:
    """Seconds since 1970, as the machine says now and steady from now on.

    Setting the machine's clock does not move the window of a running signer.
    """
    start, since = int(time.time()), time.monotonic()
    return lambda: start + int(time.monotonic() - since)


class SigningLedger:
    """One SQLite file of one signer. Each entry is on disk before its signature leaves."""

    def __init__(self, path: Path, limits: HourLimits, clock: Clock | None = None) -> None:
        self._limits = limits
        self._clock = clock or steady_clock()
        self._db = _opened(path)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def reserve(self, signing: Signing) -> None:
        """Count a signature, for good. Idempotent for the same nonce, calldata and fees.

        Raises:
            SigningRefused: the hour has no room for it, or nobody knows what hour it is.
            SourceUnavailable: it cannot be written down.
        """
        try:
            now = self._now()
            self._db.execute("BEGIN IMMEDIATE")
            self._forget_before(now - HOUR_SECONDS)
            self._add(signing, now)
            self._fits(self._sums())
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise SourceUnavailable("the signer's ledger", "writing", str(error)) from error
        except SigningRefused:
            self._roll_back()
            raise

    def sums(self) -> HourSums:
        """What counts now."""
        since = self._clock() - HOUR_SECONDS
        return self._sums(since)

    def _now(self) -> int:
        now = self._clock()
        (last,) = self._db.execute("SELECT coalesce(max(at), 0) FROM clock").fetchone()
        if now < last - _CLOCK_TOLERANCE_SECONDS:
            problem = f"the clock is {last - now} s before the last signature"
            raise SigningRefused(f"{problem}: the last hour is not known")
        return int(max(now, last))

    def _forget_before(self, moment: int) -> None:
        for table in ("requests", "nonces", "batches"):
            self._db.execute(f"DELETE FROM {table} WHERE at <= ?", (moment,))

    def _add(self, signing: Signing, now: int) -> None:
        for use in signing.uses:
            usdt, shares = self._counted("requests", "usdt, shares", "id", use.request_id) or (0, 0)
            most = (str(max(usdt, use.usdt)), str(max(shares, use.shares)))
            self._db.execute(
                "INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?)", (use.request_id, *most, now)
            )
        nonce = str(signing.nonce)
        (cost,) = self._counted("nonces", "cost", "nonce", nonce) or (0,)
        dearest = str(max(cost, signing.cost))
        self._db.execute("INSERT OR REPLACE INTO nonces VALUES (?, ?, ?)", (nonce, dearest, now))
        self._db.execute(
            "INSERT OR REPLACE INTO batches VALUES (?, ?, ?)", (nonce, signing.content, now)
        )
        self._db.execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", (now,))

    def _counted(self, table: str, columns: str, key: str, value: str) -> tuple[int, ...] | None:
        found = self._db.execute(f"SELECT {columns} FROM {table} WHERE {key} = ?", (value,))
        row = found.fetchone()
        return None if row is None else tuple(int(text) for text in row)

    def _sums(self, since: int = 0) -> HourSums:
        """Added up here: the amounts are larger than SQLite's integers."""
        requests = self._db.execute("SELECT usdt, shares FROM requests WHERE at > ?", (since,))
        pairs = [(int(usdt), int(shares)) for usdt, shares in requests]
        nonces = self._db.execute("SELECT cost FROM nonces WHERE at > ?", (since,))
        batches = self._db.execute("SELECT count(*) FROM batches WHERE at > ?", (since,))
        return HourSums(
            usdt=sum(usdt for usdt, _ in pairs),
            shares=sum(shares for _, shares in pairs),
            batches=int(batches.fetchone()[0]),
            cost=sum(int(cost) for (cost,) in nonces),
        )

    def _fits(self, sums: HourSums) -> None:
        limits = self._limits
        for what, value, most in (
            ("USDT units", sums.usdt, limits.usdt),
            ("share units", sums.shares, limits.shares),
            ("batches", sums.batches, limits.batches),
            ("wei for gas", sums.cost, limits.cost),
        ):
            if value > most:
                raise SigningRefused(f"the hour would have {value} {what}, allowed are {most}")

    def _roll_back(self) -> None:
        # What failed may have ended the transaction, or the connection.
        with suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")


def _opened(path: Path) -> sqlite3.Connection:
    """The file, ours alone until closed: two signers that count apart would both say yes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # https://sqlite.org/pragma.html#pragma_synchronous
        db.executescript(_TABLES)
        # The first write takes the lock, which is then kept.
        db.execute("DELETE FROM clock WHERE at < 0")
    except (OSError, sqlite3.Error) as error:
        problem = f"{path} cannot be used ({error}); does another signer use it?"
        raise ConfigurationError(_FOLDER, problem) from error
    return db
