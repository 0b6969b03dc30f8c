"""A cancellation that comes during a Redis call is never lost."""

import asyncio
import random

from clients.flags import Flags
from tests.integration.test_flags_embedded import flags, flags_url  # noqa: F401

ROUNDS = 100


async def test_take_slot__cancelled_at_any_moment__ends_the_task(flags: Flags) -> None:  # noqa: F811
    moments = random.Random(7)

    async def ask_for_ever() -> None:
        while True:
            await flags.take_slot("1", "cancelled", 10**6, 30.0, 0.0)

    for _ in range(ROUNDS):
        task = asyncio.create_task(ask_for_ever())
        await asyncio.wait({task}, timeout=moments.random() * 0.01)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=2.0)
        assert done
        assert task.cancelled()
