"""Connections, threads and retries: how a transaction is carried out."""

import asyncio
import itertools
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from ipaddress import ip_address
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session, col, select

from models.errors import ConfigurationError, Conflict, InvalidInput, SourceUnavailable
from models.records import LockRow

T = TypeVar("T")
Work = Callable[[Session], T]

SOURCE = "database"
_WRITING = "bronco_writing"
_TRIES = 6
_TRIES_FOR_A_KEY = 3
_RETRY_SECONDS = 10.0
_BUSY_SECONDS = 5
_AGAIN_SECONDS = 0.02

# https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference
_DEADLOCKS = frozenset({1205, 1213})
_LOST = frozenset({0, 1040, 1053, 1927, 2002, 2003, 2006, 2013, 2055, 4031})
# https://www.sqlite.org/rescode.html: BUSY and LOCKED, extended codes in the upper bytes
_SQLITE_WAIT = frozenset({5, 6})


class _TryAgainError(Exception):
    """The transaction did not commit, or it is unknown whether it did; it may be repeated."""

    def __init__(self, cause: DBAPIError) -> None:
        super().__init__(str(cause.orig))
        self.cause = cause
        # Whoever took the key has committed, so that the second try sees its row.
        self.tries = _TRIES_FOR_A_KEY if isinstance(cause, IntegrityError) else _TRIES


class Database:
    """Runs short transactions in its own threads, as many at a time as it has connections.

    A transaction is repeated after a deadlock, a lost connection (also one lost in COMMIT, when
    nobody knows) or a unique key that another worker took first. So each is written to be harmless
    when it has already happened: it looks first, or its condition no longer holds.
    """

    def __init__(self, url: str, *, pool_size: int) -> None:
        self._engine = create_database_engine(url, pool_size=pool_size)
        self._counter = itertools.count(1)
        self._statements = 0
        event.listen(self._engine, "before_cursor_execute", self._count)
        self._writing = self._engine.execution_options(**{_WRITING: True})
        # SQLite has one writer; within the process a fair lock beats its polling.
        sqlite = self._engine.dialect.name == "sqlite"
        self._writer: AbstractContextManager[Any] = threading.Lock() if sqlite else nullcontext()
        self._threads = ThreadPoolExecutor(pool_size, thread_name_prefix="store")

    @property
    def statements(self) -> int:
        """SQL statements sent so far."""
        return self._statements

    async def read(self, doing: str, work: Work[T]) -> T:
        """Run `work` in a transaction that changes nothing.

        Raises:
            SourceUnavailable: the database could not be asked.
        """
        return await self._repeat(doing, lambda: self._attempt(doing, self._engine, work))

    async def write(self, doing: str, work: Work[T]) -> T:
        """Run `work` in a transaction, several times over if need be, and commit it.

        Raises:
            SourceUnavailable: nothing was decided, or it is unknown; ask again.
            Conflict: a unique key stands in the way for good.
            InvalidInput: a value does not fit its column.
        """

        def attempt() -> T:
            with self._writer:
                return self._attempt(doing, self._writing, work)

        return await self._repeat(doing, attempt)

    async def ping(self) -> None:
        """Prove that the database answers and has Bronco's tables."""
        await self.read("asking whether it answers", lambda session: lock_row(session, "audit"))

    def close(self) -> None:
        """Wait for running statements, then close every connection."""
        self._threads.shutdown(wait=True)
        self._engine.dispose()

    async def _repeat(self, doing: str, attempt: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + _RETRY_SECONDS
        for tries in itertools.count(1):
            try:
                return await loop.run_in_executor(self._threads, attempt)
            except _TryAgainError as again:
                if tries >= again.tries or loop.time() > give_up:
                    raise _final(doing, again.cause) from again.cause
            await asyncio.sleep(random.uniform(0.5, 1.0) * 0.02 * 2**tries)
        raise AssertionError("unreachable")

    def _attempt(self, doing: str, engine: Engine, work: Work[T]) -> T:
        try:
            with Session(engine, expire_on_commit=False) as session:
                answer = work(session)
                if engine is self._writing:
                    _commit(session)
                return answer
        except DBAPIError as error:
            if _repeatable(error):
                raise _TryAgainError(error) from error
            raise _final(doing, error) from error
        except PoolTimeout as error:
            raise SourceUnavailable(SOURCE, doing, "no free connection") from error

    def _count(self, _c: Connection, _k: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            self._statements = next(self._counter)


def create_database_engine(url: str, *, pool_size: int = 1) -> Engine:
    """An engine for mysql+pymysql:// or a SQLite file; connects at first use.

    Raises:
        ConfigurationError: another kind of URL.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed, pool_size)
    return create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        pool_recycle=1800,
        isolation_level="READ COMMITTED",
        connect_args=connect_args(parsed),
    )


def connect_args(url: URL) -> dict[str, Any]:
    """What PyMySQL is told beside the URL.

    It offers TLS wherever the URL says nothing of it, and reads every certificate of the system for
    each connection: 60 ms of work. Within one machine there is nothing to protect.
    """
    found: dict[str, Any] = {
        "connect_timeout": 5,
        "read_timeout": 10,
        "write_timeout": 10,
        "init_command": "SET SESSION sql_mode='TRADITIONAL', time_zone='+00:00', "
        f"innodb_lock_wait_timeout={_BUSY_SECONDS}",
    }
    if _is_loopback(url.host) and not any(name.startswith("ssl") for name in url.query):
        found["ssl_disabled"] = True
    return found


def write_engine(engine: Engine) -> Engine:
    """The same connections, but transactions that take SQLite's write lock when they begin."""
    return engine.execution_options(**{_WRITING: True})


def lock_row(session: Session, name: str) -> LockRow:
    """The named lock's row, held until the transaction ends when it is one that writes."""
    chosen = select(LockRow).where(col(LockRow.name) == name)
    if session.get_bind().get_execution_options().get(_WRITING):
        chosen = chosen.with_for_update()
    row = session.exec(chosen).first()
    if row is None:
        raise SourceUnavailable(SOURCE, "reading its locks", "run `bronco migrate` first")
    return row


def _commit(session: Session) -> None:
    try:
        session.commit()
    except DBAPIError:
        # SQLAlchemy takes the transaction for ended; the pool must not hand it to the next one.
        session.invalidate()
        raise


def _is_loopback(host: str | None) -> bool:
    try:
        return host in (None, "", "localhost") or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError("database_url", "not a URL") from error
    if parsed.drivername not in ("mysql+pymysql", "mariadb+pymysql", "sqlite", "sqlite+pysqlite"):
        raise ConfigurationError(
            "database_url", f"{parsed.drivername} is neither mysql+pymysql nor sqlite"
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigurationError("database_url", "SQLite needs a file: sqlite:///bronco.db")
    return parsed


def _sqlite_engine(url: URL, pool_size: int) -> Engine:
    engine = create_engine(
        url, pool_size=pool_size, max_overflow=0, connect_args={"timeout": _BUSY_SECONDS}
    )
    event.listen(engine, "connect", _open_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _open_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # Python's own transaction control begins too late for a read that a write relies on.
    connection.isolation_level = None
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch a new file to its write-ahead log; that wants it alone and does not stand in line.

    SQLite's own timeout is not asked there: https://www.sqlite.org/c3ref/busy_handler.html
    """
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _SQLITE_WAIT or time.monotonic() > until:
                raise
            time.sleep(_AGAIN_SECONDS)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get(_WRITING)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _repeatable(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed when it is begun again."""
    if isinstance(error, IntegrityError) or error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _SQLITE_WAIT
    code = next(iter(getattr(error.orig, "args", ())), None)
    return code in _DEADLOCKS or code in _LOST


def _final(doing: str, error: DBAPIError) -> Exception:
    """Our word for what the database said; never the statement, which holds its values."""
    said = str(error.orig)
    if isinstance(error, IntegrityError):
        return Conflict("row", doing, said)
    if isinstance(error, DataError):
        return InvalidInput("row", said, f"give a value its column can hold ({doing})")
    return SourceUnavailable(SOURCE, doing, said)
