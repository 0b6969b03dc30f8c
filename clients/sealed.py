"""A short secret in a file, under a password: scrypt, then AES-256-GCM.

Not the keystore of clients/keystore.py: that form holds 32-byte keys and shows their address, from
which a secret that people choose could be guessed without its password.
"""

import hashlib
import json
import secrets
from typing import Any

from Crypto.Cipher import AES

_VERSION = 1
# 32 MiB and a tenth of a second: https://www.rfc-editor.org/rfc/rfc7914#section-2
_WORK, _BLOCK, _LANES = 2**15, 8, 1
_MOST_WORK = 2**20
_KEY_BYTES, _SALT_BYTES, _NONCE_BYTES = 32, 16, 12


class NotOpened(ValueError):
    """No file of ours, or not its password; never says which byte of what."""


def seal(secret: str, password: str, what: str) -> str:
    """The text of a file that `unseal` opens with the same password and the same `what`."""
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    head = {"version": _VERSION, "what": what, "kdf": "scrypt", "n": _WORK, "salt": salt.hex()}
    cipher = AES.new(_key(password, salt, _WORK), AES.MODE_GCM, nonce=nonce)
    cipher.update(_written(head))
    sealed, tag = cipher.encrypt_and_digest(secret.encode())
    body = {"nonce": nonce.hex(), "sealed": sealed.hex(), "tag": tag.hex()}
    return json.dumps({**head, **body}) + "\n"


def unseal(text: str, password: str, what: str) -> str:
    """The secret.

    Raises:
        NotOpened: it is no such file, it was changed, or the password does not fit.
    """
    try:
        return _opened(json.loads(text), password, what)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotOpened from None


def _opened(found: dict[str, Any], password: str, what: str) -> str:
    head = {name: found[name] for name in ("version", "what", "kdf", "n", "salt")}
    work = int(head["n"])
    if head["version"] != _VERSION or head["what"] != what or work > _MOST_WORK:
        raise NotOpened
    key = _key(password, bytes.fromhex(head["salt"]), work)
    cipher = AES.new(key, AES.MODE_GCM, nonce=bytes.fromhex(found["nonce"]))
    cipher.update(_written(head))
    sealed, tag = bytes.fromhex(found["sealed"]), bytes.fromhex(found["tag"])
    return cipher.decrypt_and_verify(sealed, tag).decode()


def _key(password: str, salt: bytes, work: int) -> bytes:
    return hashlib.scrypt(
        password.encode(),
        salt=salt,
        n=work,
        r=_BLOCK,
        p=_LANES,
        maxmem=2 * 128 * work * _BLOCK,
        dklen=_KEY_BYTES,
    )


def _written(head: dict[str, Any]) -> bytes:
    return json.dumps(head, sort_keys=True).encode()
