"""JSON of strangers, decoded without letting its nesting end our process.

py_ecc, which web3 brings along, raises Python's recursion limit to 100,000: from there on a few
kilobytes of "[[[[" overflow the C stack of json.loads, which is a crash, not an exception.
https://github.com/ethereum/py_ecc/blob/v8.0.0/py_ecc/__init__.py
"""

import json
import re
from typing import Any

_DEEPEST = 100
_BRACKET = re.compile(r"[\[\]{}]")


def decoded(text: str | bytes) -> Any:
    """The value in a JSON text.

    Raises:
        ValueError: it is none, no UTF-8, or nested deeper than any answer is.
    """
    if isinstance(text, bytes):
        text = text.decode()
    depth = 0
    # Brackets inside of strings count as well: such a text is none of ours either.
    for bracket in _BRACKET.finditer(text):
        depth += 1 if bracket.group() in "[{" else -1
        if depth > _DEEPEST:
            raise ValueError(f"JSON nested deeper than {_DEEPEST}")
    return json.loads(text)
