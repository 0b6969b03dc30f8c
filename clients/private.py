"""Files that only their owner may read: keystores, passwords, tokens."""

import os
import secrets
import stat
from pathlib import Path

from models.errors import ConfigurationError

_MOST_BYTES = 64 * 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
SHORTEST_TOKEN = 32
"""Characters of a bearer token: below it, guessing becomes thinkable."""


def read_private(path: Path, what: str) -> str:
    """The text of a secret file.

    Raises:
        ConfigurationError: it cannot be read, is no plain file, belongs to somebody else, or others
            may read it. The sentence names the file and never its content.
    """
    try:
        # Checked on what was opened: a name may point elsewhere a moment later.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            _owner_only(os.fstat(file.fileno()), path, what)
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(what, f"{path} cannot be read ({error.strerror})") from error
    if len(content) > _MOST_BYTES:
        raise ConfigurationError(what, f"{path} is larger than {_MOST_BYTES} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(what, f"{path} is not text") from None


def read_secret_line(path: Path, what: str) -> str:
    """The one line of a secret file, without its end. Raises as `read_private`, and if empty."""
    line = read_private(path, what).rstrip("\r\n")
    if not line or "\n" in line:
        raise ConfigurationError(what, f"{path} must hold one line")
    return line


def read_token(path: Path, what: str) -> str:
    """A bearer token. Raises as `read_secret_line`, and if it is too short or not plain text."""
    token = read_secret_line(path, what)
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        problem = f"{path} must hold at least {SHORTEST_TOKEN} plain characters"
        raise ConfigurationError(what, f"{problem}: bronco signer new-token makes one")
    return token


def write_private(path: Path, text: str, what: str) -> None:
    """A new file that only its owner can read. Never replaces one: it may be the only copy.

    Raises:
        ConfigurationError: it is there already, or cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise ConfigurationError(what, f"{path} is there already; it is not replaced") from None
    except OSError as error:
        raise ConfigurationError(what, f"{path} cannot be made ({error.strerror})") from error


def _owner_only(found: os.stat_result, path: Path, what: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigurationError(what, f"{path} is no file")
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigurationError(what, f"{path} belongs to user {found.st_uid}, not to us")
    if found.st_mode & _OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        raise ConfigurationError(what, f"{path} has mode {mode:04o}: others may use it, chmod 600")


def new_secret() -> str:
    """A password or token that nobody guesses, of letters, digits, - and _."""
    return secrets.token_urlsafe(32)
