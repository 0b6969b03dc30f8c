"""A private MariaDB."""

from __future__ import annotations

import asyncio
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import pymysql

from bronco.processes import ManagedProcess, Program, Ready, free_port, open_home, require_program

HOST = "127.0.0.1"
USER = "bronco"
REMEDY = "run `make setup`, or install MariaDB (Debian: apt-get install mariadb-server)"

FAST = (
    # A commit is written but not synced: it survives kill -9 of the server, not a power cut.
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-flush-method=fsync",
    "--innodb-doublewrite=0",
    "--innodb-log-file-size=16M",
    "--innodb-buffer-pool-size=64M",
)


@dataclass(frozen=True)
class Mariadb:
    """A MariaDB server with one user, who may create any database named `bronco…`."""

    process: ManagedProcess
    port: int
    password: str = field(repr=False)
    user: str = USER
    host: str = HOST
    database: str = "bronco"

    def url(self, database: str | None = None, driver: str = "mysql+pymysql") -> str:
        """Build the SQLAlchemy URL of a database; it carries the password."""
        account = f"{self.user}:{self.password}@{self.host}:{self.port}"
        return f"{driver}://{account}/{database or self.database}?charset=utf8mb4"

    async def create_database(self, name: str) -> None:
        """Create an empty database; its name begins with `bronco`."""
        await asyncio.to_thread(_execute, self.port, self.password, f"CREATE DATABASE `{name}`")

    async def drop_database(self, name: str) -> None:
        """Drop a database and all in it."""
        await asyncio.to_thread(_execute, self.port, self.password, f"DROP DATABASE `{name}`")


async def start_mariadb(directory: Path, port: int | None = None) -> Mariadb:
    """Start MariaDB on its data directory, which is made when absent.

    Raises:
        ConfigurationError: it is not installed.
        ProcessFailed: it did not come up.
    """
    server = require_program("mariadbd", REMEDY)
    home = open_home(directory)
    await _install(home)
    password = _password(home)
    port = port or free_port()
    argv = [
        str(server), "--no-defaults", f"--datadir={home / 'data'}", *FAST,
        f"--tmpdir={_scratch(home)}",
        f"--port={port}", f"--bind-address={HOST}", f"--init-file={_accounts(home, password)}",
        # Relative to the data directory: the name of a socket may have 107 bytes at most.
        "--socket=server.sock", f"--pid-file={home / 'server.pid'}", f"--user={os.geteuid()}",
        "--skip-name-resolve", "--skip-log-bin", "--max-connections=500",
        "--performance-schema=OFF", "--character-set-server=utf8mb4",
    ]  # fmt: skip
    program = Program("mariadb", tuple(argv), home / "mariadb.log", ready=_ready(port, password))
    mariadb = Mariadb(ManagedProcess(program), port, password)
    await mariadb.process.start()
    return mariadb


async def _install(home: Path) -> None:
    data = home / "data"
    if _installed(data):
        return
    argv = [
        str(require_program("mariadb-install-db", REMEDY)), "--no-defaults", *FAST,
        f"--datadir={data}", f"--tmpdir={_scratch(home)}", f"--user={os.geteuid()}",
        "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
    ]  # fmt: skip
    installing = ManagedProcess(Program("mariadb-install-db", tuple(argv), home / "install.log"))
    await installing.start()
    code = await installing.wait()
    if code != 0:
        installing.fail(f"ended with {code}")


def _scratch(home: Path) -> Path:
    """For temporary tables: where servers share one place, each that starts removes the others'."""
    scratch = home / "tmp"
    scratch.mkdir(exist_ok=True)
    return scratch


def _installed(data: Path) -> bool:
    return (data / "mysql").is_dir()


def _password(home: Path) -> str:
    kept = home / "password"
    if not kept.exists():
        kept.touch(mode=0o600)
        kept.write_text(secrets.token_hex(16))
    return kept.read_text()


def _accounts(home: Path, password: str) -> Path:
    # Read by the server at every start; a file, because everybody can read argv.
    script = home / "accounts.sql"
    script.touch(mode=0o600)
    script.write_text(
        f"CREATE DATABASE IF NOT EXISTS bronco;\n"
        f"CREATE USER IF NOT EXISTS '{USER}'@'{HOST}' IDENTIFIED BY '{password}';\n"
        f"GRANT ALL ON `bronco%`.* TO '{USER}'@'{HOST}';\n"
    )
    return script


def _ready(port: int, password: str) -> Ready:
    async def ready() -> bool:
        try:
            await asyncio.to_thread(_execute, port, password, "SELECT 1 FROM DUAL")
        except (pymysql.MySQLError, OSError):
            return False
        return True

    return ready


def _execute(port: int, password: str, statement: str) -> None:
    with (
        pymysql.connect(
            host=HOST, port=port, user=USER, password=password, database="bronco",
            connect_timeout=2, read_timeout=10, ssl_disabled=True,
        ) as connection,
        connection.cursor() as cursor,
    ):  # fmt: skip
        cursor.execute(statement)
