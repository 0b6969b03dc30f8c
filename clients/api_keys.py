"""Texts of API keys: how one is made, and how it is known again without being kept."""

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

_ID_BYTES = 6
_SECRET_BYTES = 32
_TEXT = re.compile(r"bronco_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


class NewKey(NamedTuple):
    """A key at its making, the only time its text is known. text: shown once, to its owner."""

    key_id: str
    text: str
    digest: str


def new_key() -> NewKey:
    """A key with 256 random bits.

    Its SHA-256 is kept, not a slow hash: that many bits cannot be guessed however fast one hashes,
    and a slow hash would let anybody keep the API busy.
    """
    key_id = secrets.token_hex(_ID_BYTES)
    text = f"bronco_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return NewKey(key_id, text, digest_of(text))


def key_id_of(text: str) -> str | None:
    """The public part of a key's text; None: it is not of our making."""
    found = _TEXT.fullmatch(text)
    return found[1] if found else None


def digest_of(text: str) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def fits(text: str, digests: tuple[str, ...]) -> str:
    """The one of these SHA-256s that the key has, or ''.

    All are compared in constant time, so that the time taken does not tell which was close.
    """
    told = digest_of(text).encode()
    return "".join([each for each in digests if hmac.compare_digest(told, each.encode())][:1])
