"""Encrypted keystore files: made once, opened by the signer alone."""

import json
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from clients.keys import LocalKey, account_of
from clients.private import read_private, read_secret_line
from models.errors import ConfigurationError


def keystore_key(keyfile: Path, password_file: Path) -> LocalKey:
    """A key from an encrypted keystore file; raises as `keystore_account`."""
    return LocalKey(keystore_account(keyfile, password_file))


def keystore_account(keyfile: Path, password_file: Path) -> LocalAccount:
    """The account of an encrypted keystore file and a file that holds its password.

    Raises:
        ConfigurationError: a file cannot be read or others may read it, or they do not fit.
    """
    encrypted = read_private(keyfile, "keystore file")
    password = read_secret_line(password_file, "keystore password file")
    try:
        key = Account.decrypt(json.loads(encrypted), password)
    except (ValueError, TypeError, KeyError, AttributeError):
        # `from None`: the vendor's error may quote what it was given.
        problem = f"{keyfile} is no keystore, or the password in {password_file} does not fit"
        raise ConfigurationError("keystore file", problem) from None
    account: LocalAccount = Account.from_key(key)
    return account


def create_keystore(private_key: str, password: str, *, work: int | None = None) -> str:
    """Keystore JSON (scrypt) of a key. work: scrypt N; None = the library's, which is slow."""
    return json.dumps(Account.encrypt(account_of(private_key).key, password, "scrypt", work))
