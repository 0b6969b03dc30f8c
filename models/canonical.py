"""The one text of some data: what is hashed and signed must have no second spelling.

A subset of RFC 8785 (https://www.rfc-editor.org/rfc/rfc8785): keys sorted, no spaces, amounts as
text or as whole numbers, never a float.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from models.columns import naive_utc
from models.money import plain_decimal


def canonical_json(data: Mapping[str, Any], *, plain: bool = True) -> str:
    """Keys sorted, no spaces, Decimals and times as text. plain: beyond ASCII in escapes."""
    return json.dumps(
        data,
        sort_keys=True,
        separators=(",", ":"),
        default=_as_text,
        allow_nan=False,
        ensure_ascii=plain,
    )


def _as_text(value: object) -> str:
    if isinstance(value, Decimal):
        return str(plain_decimal(value))
    if isinstance(value, datetime):
        return naive_utc(value).isoformat(timespec="microseconds")
    raise TypeError(f"an audit entry cannot hold {type(value).__name__}: {value!r}")
