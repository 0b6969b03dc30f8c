"""`bronco signer new-keystore` and `new-token`: secrets come from nowhere but files and prompts."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bronco.cli.signer import register
from clients.keystore import keystore_key
from clients.private import read_token, write_private
from models.errors import ConfigurationError
from tests.signing import ADDRESS, KEY

APP = typer.Typer()
register(APP)


def run(*words: str, typed: str = "") -> str:
    ran = CliRunner().invoke(APP, ["signer", *words], input=typed)
    if ran.exception is not None:
        raise ran.exception
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def test_new_keystore__password_file_absent__makes_both_and_prints_the_address(
    tmp_path: Path,
) -> None:
    file, password = tmp_path / "key.json", tmp_path / "password"
    said = run("new-keystore", str(file), "--password-file", str(password))
    assert said.strip() == keystore_key(file, password).address
    for path in (file, password):
        assert path.stat().st_mode & 0o777 == 0o600
    assert password.read_text().strip() not in said
    # As slow to try passwords on as the format's own example:
    # https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage
    assert json.loads(file.read_text())["crypto"]["kdfparams"]["n"] >= 2**18


def test_new_keystore__key_and_password_typed__are_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    said = run("new-keystore", str(file), "--import", typed=f"{KEY}\nhunter2\nhunter2\n")
    assert said.split()[-1] == ADDRESS
    assert "hunter2" not in said
    assert KEY[2:] not in said
    write_private(tmp_path / "password", "hunter2", "password")
    assert keystore_key(file, tmp_path / "password").address == ADDRESS


def test_new_keystore__there_already__is_left_alone(tmp_path: Path) -> None:
    file, password = tmp_path / "key.json", tmp_path / "password"
    write_private(file, "the only copy", "keystore")
    write_private(password, "hunter2", "password")
    with pytest.raises(ConfigurationError, match="not replaced"):
        run("new-keystore", str(file), "--password-file", str(password))
    assert file.read_text() == "the only copy"


def test_new_token__made__is_one_that_the_signer_takes(tmp_path: Path) -> None:
    said = run("new-token", str(tmp_path / "token"))
    assert len(read_token(tmp_path / "token", "token")) >= 40
    assert said == ""


def test_help__asked__teaches_a_first_start() -> None:
    said = run("--help")
    for word in ("new-keystore", "BRONCO_SIGNER_ADDRESS", "BRONCO_KEY_KEYSTORE_FILE", "SETTLER"):
        assert word in said
