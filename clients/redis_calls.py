"""One call to Redis, with our errors: whoever cannot ask gets SourceUnavailable."""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from models.errors import SourceUnavailable

SOURCE = "flags"


async def run(
    doing: str, script: AsyncScript, keys: Sequence[str], arguments: Sequence[str | int]
) -> Any:
    """Run one script.

    Raises:
        SourceUnavailable: Redis did not answer; whether it ran is not known.
    """
    return await asked(doing, script(keys=list(keys), args=list(arguments)))


async def asked(doing: str, answer: Any) -> Any:
    """Await one answer.

    Raises:
        SourceUnavailable: Redis did not answer; whether it was done is not known.
    """
    task = asyncio.current_task()
    cancels = task.cancelling() if task else 0
    try:
        return await answer
    except (RedisError, OSError) as error:
        raise SourceUnavailable(SOURCE, doing, f"{type(error).__name__}: {error}") from error
    finally:
        if task and task.cancelling() > cancels:
            # redis-py sends inside wait_for, which swallows a cancellation that comes as it ends.
            # https://github.com/python/cpython/issues/86296
            raise asyncio.CancelledError
