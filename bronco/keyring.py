"""The signer of a stack on this machine: its files, its settings, and what of them is whose."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from bronco.processes import open_home
from clients.keystore import create_keystore
from clients.private import new_secret, write_private

# sun_path holds 104 bytes on some systems, its end mark included:
# https://man7.org/linux/man-pages/man7/unix.7.html
_LONGEST_PATH = 100
# A key that everybody knows needs no slow password: this makes it cheap to open.
_CHEAP_WORK = 2
_SIGNER_ALONE = "BRONCO_KEY_"


def lay_out(folder: Path, private_key: str, audit_key: str) -> dict[str, str]:
    """Keystores, password and token in a folder of ours, and the settings that name them.

    Keys are encrypted as in production, so no process of a stack has them in its environment.
    audit_key: what vouches for the audit log, with the same password.
    """
    home = open_home(folder)
    home.chmod(0o700)
    password, token = new_secret(), new_secret()
    files = {
        "key.json": create_keystore(private_key, password, work=_CHEAP_WORK),
        "audit-key.json": create_keystore(audit_key, password, work=_CHEAP_WORK),
        "password": password + "\n",
        "token": token + "\n",
    }
    for name, text in files.items():
        path = home / name
        path.unlink(missing_ok=True)
        write_private(path, text, f"the stack's {name}")
    return {
        "BRONCO_SIGNER_URL": f"unix:{_socket(home)}",
        "BRONCO_SIGNER_TOKEN_FILE": str(home / "token"),
        "BRONCO_KEY_AUDIT_KEYSTORE_FILE": str(home / "audit-key.json"),
        "BRONCO_KEY_AUDIT_KEYSTORE_PASSWORD_FILE": str(home / "password"),
        "BRONCO_KEY_KEYSTORE_FILE": str(home / "key.json"),
        "BRONCO_KEY_KEYSTORE_PASSWORD_FILE": str(home / "password"),
    }


def without_key(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of every process but the signer."""
    return {k: v for k, v in environment.items() if not k.startswith(_SIGNER_ALONE)}


def _socket(home: Path) -> Path:
    path = home / "signer.sock"
    if len(str(path)) <= _LONGEST_PATH:
        return path
    return Path(tempfile.mkdtemp(prefix="bronco-")) / path.name
