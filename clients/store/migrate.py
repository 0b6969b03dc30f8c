"""Bring a database to today's tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from clients.store.engine import SOURCE, create_database_engine, write_engine
from models.errors import SourceUnavailable

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = "bronco-migrations"
_LOCK_SECONDS = 60


def upgrade(url: str) -> None:
    """Apply every missing migration; blocking. Several processes may call it at once.

    Raises:
        ConfigurationError: the URL is of no kind we know.
        SourceUnavailable: the database could not be asked, or another process kept the lock.
    """
    engine = create_database_engine(url)
    try:
        with write_engine(engine).begin() as connection, _one_at_a_time(connection):
            command.upgrade(config(connection), "head")
    except DBAPIError as error:
        raise SourceUnavailable(SOURCE, "migrating", str(error.orig)) from error
    finally:
        engine.dispose()


def config(connection: Connection) -> Config:
    """Alembic's configuration for our scripts on this connection."""
    made = Config()
    made.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


@contextmanager
def _one_at_a_time(connection: Connection) -> Iterator[None]:
    """Keep other migrators out: on SQLite the transaction does, elsewhere DDL commits by itself."""
    if connection.dialect.name == "sqlite":
        yield
        return
    taken = text("SELECT GET_LOCK(:name, :seconds)")
    if connection.scalar(taken, {"name": _LOCK, "seconds": _LOCK_SECONDS}) != 1:
        raise SourceUnavailable(SOURCE, "migrating", "another process is migrating it")
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": _LOCK})
