"""`bronco broker new-unlock`: the trading password is typed, sealed, and nowhere in clear."""

import hashlib
import json
import stat
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bronco.cli import broker
from clients.sealed import NotOpened, seal, unseal
from clients.unlocking import Unlock
from models.errors import ConfigurationError

APP = typer.Typer()
broker.register(APP)
SECRET = "a trading password"
DIGEST = hashlib.md5(SECRET.encode(), usedforsecurity=False).hexdigest()


def test_new_unlock__password_file_absent__both_files_are_private_and_hold_no_secret(
    tmp_path: Path,
) -> None:
    file, password_file = tmp_path / "unlock.json", tmp_path / "unlock.password"
    words = ["broker", "new-unlock", str(file), "--password-file", str(password_file)]
    ran = CliRunner().invoke(APP, words, input=f"{SECRET}\n{SECRET}\n")
    assert ran.exit_code == 0, ran.output
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, password_file)] == [0o600, 0o600]
    shown = ran.output + file.read_text() + password_file.read_text()
    assert SECRET not in shown
    assert DIGEST not in shown
    assert unseal(file.read_text(), password_file.read_text().strip(), "broker-unlock") == DIGEST
    assert DIGEST not in repr(Unlock.read(file, password_file))


def test_new_unlock__file_is_there__is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "unlock.json"
    file.write_text("the only copy")
    ran = CliRunner().invoke(APP, ["broker", "new-unlock", str(file)], input="a\na\nb\nb\n")
    assert isinstance(ran.exception, ConfigurationError)
    assert file.read_text() == "the only copy"


@pytest.mark.parametrize("field", ["what", "n", "salt", "nonce", "sealed", "tag", "version"])
def test_unseal__one_field_changed__does_not_open(field: str) -> None:
    found = json.loads(seal(SECRET, "password", "test"))
    value = found[field]
    found[field] = value // 2 if isinstance(value, int) else value[::-1]
    with pytest.raises(NotOpened):
        unseal(json.dumps(found), "password", "test")


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"version": 1}', "no json"])
def test_unseal__no_file_of_ours__does_not_open(text: str) -> None:
    with pytest.raises(NotOpened):
        unseal(text, "password", "test")


def test_unseal__other_password_or_use__does_not_open() -> None:
    text = seal(SECRET, "password", "test")
    assert unseal(text, "password", "test") == SECRET
    for password, what in (("passwort", "test"), ("password", "other")):
        with pytest.raises(NotOpened):
            unseal(text, password, what)


def test_seal__twice__gives_nothing_to_compare() -> None:
    first, second = (json.loads(seal(SECRET, "password", "test")) for _ in range(2))
    assert first["sealed"] != second["sealed"]
    assert first["salt"] != second["salt"]
