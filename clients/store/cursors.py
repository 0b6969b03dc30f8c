"""Cursors of paged lists: where the next page begins, and of which list."""

import base64
import binascii
import hashlib
from dataclasses import asdict

from models.canonical import canonical_json
from models.drafts import OrderFilter
from models.errors import InvalidInput

_DIGEST_BYTES = 6
_ID_BYTES = 8
_REMEDY = "use next_cursor of the page before with the same filter, or leave it out"


def encode_cursor(internal_id: int, chosen: OrderFilter) -> str:
    """The cursor of the page after this row; opaque to whoever carries it."""
    raw = internal_id.to_bytes(_ID_BYTES, "big") + _digest(chosen)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_cursor(cursor: str, chosen: OrderFilter) -> int:
    """The row the page goes on after.

    Raises:
        InvalidInput: not a cursor, or one of another filter.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        raw = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InvalidInput("cursor", cursor, _REMEDY) from error
    internal_id = int.from_bytes(raw[:_ID_BYTES], "big", signed=True)
    whole = len(raw) == _ID_BYTES + _DIGEST_BYTES and raw[_ID_BYTES:] == _digest(chosen)
    if not whole or internal_id < 0:
        raise InvalidInput("cursor", cursor, _REMEDY)
    return internal_id


def _digest(chosen: OrderFilter) -> bytes:
    return hashlib.sha256(canonical_json(asdict(chosen)).encode()).digest()[:_DIGEST_BYTES]
