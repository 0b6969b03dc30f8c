"""A JSON text with one thing in it that is another: a digit, a letter, a field, an element."""

import copy
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from models.receipt import text_of

_NEXT = {**{str(digit): str((digit + 1) % 10) for digit in range(10)}}
_NEXT |= {letter: "a" if letter != "a" else "b" for letter in "abcdef"}


class Spoilt(NamedTuple):
    """What was done, and the text after it."""

    what: str
    text: bytes


def each_digit(text: str, *, longest: int = 10**9) -> Iterator[Spoilt]:
    """Every digit, one at a time; not those of words longer than `longest`."""
    at = 0
    while at < len(text):
        end = at
        while end < len(text) and text[end].isalnum():
            end += 1
        if end - at <= longest:
            yield from _digits(text, at, end)
        at = end + 1


def _digits(text: str, start: int, end: int) -> Iterator[Spoilt]:
    for at in range(start, end):
        if text[at].isdigit():
            spoilt = text[:at] + _NEXT[text[at]] + text[at + 1 :]
            yield Spoilt(f"digit {at}: ...{text[max(0, at - 30) : at + 10]}", spoilt.encode())


def each_field(text: str) -> Iterator[Spoilt]:
    """Every value another one, every field and element removed, one at a time."""
    body = json.loads(text)
    for path in _paths(body):
        where = ".".join(map(str, path))
        changed = copy.deepcopy(body)
        holder, key = _holder(changed, path), path[-1]
        if not isinstance(holder[key], dict | list):
            holder[key] = _other(holder[key])
            yield Spoilt(f"{where} changed", text_of(changed).encode())
        del holder[key]
        yield Spoilt(f"{where} removed", text_of(changed).encode())


def _paths(value: Any, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inner: Iterator[tuple[str | int, Any]] = iter(())
    if isinstance(value, dict):
        inner = iter(value.items())
    elif isinstance(value, list):
        inner = iter(enumerate(value))
    for key, one in inner:
        yield (*before, key)
        yield from _paths(one, (*before, key))


def _holder(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path[:-1]:
        value = value[key]
    return value


def _other(value: Any) -> Any:
    if value is None:
        return "0" * 64
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    last = value[-1:] or "x"
    return value[:-1] + _NEXT.get(last, "0" if last != "0" else "1")
