"""What a process does over and over beside its workers: a bug in one neither ends nor hides it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog

Loop = Callable[[], Awaitable[None]]
"""Begins a loop that ends by being cancelled."""
_AGAIN_SECONDS = 5.0
_log = structlog.get_logger(__name__)


@contextmanager
def beside(loops: Mapping[str, Loop], again_seconds: float = _AGAIN_SECONDS) -> Iterator[None]:
    """Run loops until the block ends, by their names; one that ends is told, and begun again."""
    tasks = [asyncio.create_task(_kept_up(name, loops[name], again_seconds)) for name in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def _kept_up(name: str, begin: Loop, again_seconds: float) -> None:
    while True:
        try:
            await begin()
            _log.error("loop_ended", loop=name)
        except Exception as error:
            _log.error("loop_broke", loop=name, problem=repr(error), exc_info=error)
        await asyncio.sleep(again_seconds)
