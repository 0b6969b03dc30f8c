"""Secret files: read only when nobody else can, never replaced."""

import os
from pathlib import Path

import pytest

from clients.private import new_secret, read_private, read_secret_line, read_token, write_private
from models.errors import ConfigurationError


def secret(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_read_private__ours_alone__is_read(tmp_path: Path, mode: int) -> None:
    assert read_private(secret(tmp_path, "hunter2", mode), "password") == "hunter2"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666])
def test_read_private__others_may_use_it__is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigurationError, match="chmod 600") as refused:
        read_private(secret(tmp_path, "hunter2", mode), "password")
    assert "hunter2" not in str(refused.value)


def test_read_private__a_link_to_an_open_file__is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(secret(tmp_path, "hunter2", 0o644))
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_private(link, "password")


def test_read_private__somebody_elses__is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = secret(tmp_path, "hunter2")
    owner = 4242 if os.geteuid() == 0 else os.geteuid()
    if os.geteuid() == 0:
        os.chown(path, owner, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(ConfigurationError, match=f"belongs to user {owner}"):
        read_private(path, "password")


def test_read_private__a_folder_or_a_pipe__is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("", "pipe"):
        with pytest.raises(ConfigurationError):
            read_private(tmp_path / name, "password")


def test_read_private__not_text_or_endless__is_refused(tmp_path: Path) -> None:
    path = secret(tmp_path, "")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="not text"):
        read_private(path, "password")
    path.write_text("a" * (64 * 1024 + 1))
    with pytest.raises(ConfigurationError, match="larger"):
        read_private(path, "password")


@pytest.mark.parametrize("text", ["", "\n", "one\ntwo\n"])
def test_read_secret_line__none_or_two__is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="one line"):
        read_secret_line(secret(tmp_path, text), "password")


@pytest.mark.parametrize("token", ["short", "a" * 31, "ä" * 40, "tab\t" + "a" * 40])
def test_read_token__too_weak_for_one__is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(ConfigurationError, match="new-token") as refused:
        read_token(secret(tmp_path, token), "token")
    assert token not in str(refused.value)


def test_write_private__new__is_ours_alone_and_is_never_replaced(tmp_path: Path) -> None:
    path, token = tmp_path / "token", new_secret()
    write_private(path, token + "\n", "token")
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_token(path, "token") == token
    with pytest.raises(ConfigurationError, match="not replaced"):
        write_private(path, "other", "token")
    assert read_token(path, "token") == token
