"""Reads that are joined."""

import asyncio

from clients.shared import Shared


class Source:
    """Counts its reads; each ends when it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def read(self) -> int:
        self.begun += 1
        mine = self.begun
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return mine


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_shared__asked_while_a_read_runs__gets_one_that_begins_later() -> None:
    """What was read before somebody asked may be older than what they know."""
    source = Source()
    shared = Shared(source.read)
    first = asyncio.create_task(shared.get())
    await _turns()
    later = [asyncio.create_task(shared.get()) for _ in range(10)]
    await _turns()
    assert source.begun == 1
    source.go.set()
    assert await first == 1
    assert await asyncio.gather(*later) == [2] * 10
    assert source.begun == 2


async def test_shared__asked_at_once__is_one_read() -> None:
    source = Source()
    source.go.set()
    shared = Shared(source.read)
    assert await asyncio.gather(*(shared.get() for _ in range(10))) == [1] * 10
    assert await shared.get() == 2


async def test_shared__one_gives_up__the_others_still_get_theirs() -> None:
    source = Source()
    shared = Shared(source.read)
    gone, stays = asyncio.create_task(shared.get()), asyncio.create_task(shared.get())
    await _turns()
    gone.cancel()
    source.go.set()
    assert await stays == 1


async def test_shared__read_fails__all_are_told_and_the_next_reads_again() -> None:
    source = Source()
    source.error = OSError("down")
    source.go.set()
    shared = Shared(source.read)
    told = await asyncio.gather(*(shared.get() for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in told] == ["down"] * 3
    source.error = None
    assert await shared.get() == 2
