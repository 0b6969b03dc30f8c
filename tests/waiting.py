"""Waiting for something to become true, instead of sleeping and hoping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")


# ruff: noqa: ASYNC109 - with a timeout of its own, the last answer gets into the message
@overload
async def eventually(
    predicate: Callable[[], Awaitable[T]], timeout: float = ..., interval: float = ...
) -> T: ...
@overload
async def eventually(
    predicate: Callable[[], T], timeout: float = ..., interval: float = ...
) -> T: ...
async def eventually(
    predicate: Callable[[], T | Awaitable[T]],
    timeout: float = 30,
    interval: float = 0.02,
) -> T:
    """Ask until the answer is truthy, and return it; what the predicate raises is raised."""
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() > deadline:
            what = getattr(predicate, "__qualname__", repr(predicate))
            raise AssertionError(f"{what} was still {value!r} after {timeout:g} s")
        await asyncio.sleep(interval)
