"""What was minted when something was attested: found once, remembered, or said to be unknown."""

from collections.abc import Collection
from typing import cast

import pytest

from activities.backing import Supplies, seen_backing
from clients.agreeing import AgreeingVault
from clients.monitor import MonitorReader
from models.assets import Asset
from models.backing import Attested, Minted
from models.errors import SourceUnavailable
from models.requests import BlockRef
from tests.builders import OWNER, TOKEN, VAULT

ASSET = Asset(symbol="AAPL", token=TOKEN, feed=TOKEN)


def block(number: int, timestamp: int) -> BlockRef:
    return BlockRef(number=number, hash=f"0x{number:064x}", timestamp=timestamp)


class PlayedMonitor:
    """Five tokens are attested as of block 10, and six were minted there."""

    def __init__(self) -> None:
        self.pruned = False
        self.silent = False
        self.reads = 0

    async def attested(self, token: str, at: BlockRef) -> Attested:
        if self.silent:
            raise SourceUnavailable("chain", "reading attestations", "no answer")
        return Attested(backed=5, time=100, attestor=OWNER, max_age=1000, counts=True)

    async def block_at(self, time: int, head: BlockRef) -> BlockRef:
        return block(10, 100)

    async def same(self, known: BlockRef) -> bool:
        return True

    async def minted_at(self, token: str, numbers: Collection[int], at: BlockRef) -> Minted:
        if self.pruned:
            raise SourceUnavailable("chain", "reading totalSupply", "missing trie node")
        self.reads += 1
        return Minted(at, 6, frozenset(numbers), frozenset())


async def kinds(supplies: Supplies, now: int) -> list[str]:
    found = await supplies.look([ASSET], [], block(now // 10, now))
    return [seen.kind for seen in seen_backing(found, book_stale=False)]


def watching(monitor: PlayedMonitor) -> Supplies:
    return Supplies(cast(MonitorReader, monitor))


async def test_supply__of_a_block_that_nobody_keeps__is_unknown_not_uncovered() -> None:
    monitor = PlayedMonitor()
    monitor.pruned = True
    assert await kinds(watching(monitor), 500) == ["SUPPLY_UNKNOWN"]


async def test_supply__read_before_it_was_pruned__is_compared_on() -> None:
    monitor = PlayedMonitor()
    supplies = watching(monitor)
    assert await kinds(supplies, 200) == ["SUPPLY_UNCOVERED"]
    monitor.pruned = True
    assert await kinds(supplies, 900) == ["SUPPLY_UNCOVERED"]
    assert monitor.reads == 1


async def test_supply__read_at_the_head_of_that_very_second__is_not_kept() -> None:
    """Another block of the same second may follow."""
    monitor = PlayedMonitor()
    supplies = watching(monitor)
    await kinds(supplies, 100)
    await kinds(supplies, 110)
    assert monitor.reads == 2


async def test_attestation__old_and_uncovered__is_told_as_both() -> None:
    """That nobody attests anew does not make good what was missing."""
    assert await kinds(watching(PlayedMonitor()), 1_101) == ["ATTESTATION_OLD", "SUPPLY_UNCOVERED"]


async def test_monitor__cannot_be_read__is_said() -> None:
    monitor = PlayedMonitor()
    monitor.silent = True
    assert await kinds(watching(monitor), 500) == ["SUPPLY_UNKNOWN"]


async def test_monitor__none_is_set__nothing_is_said() -> None:
    assert await kinds(Supplies(None), 500) == []


class Headers:
    """A chain whose blocks have these times."""

    address = VAULT

    def __init__(self, times: list[int]) -> None:
        self.blocks = [block(number, time) for number, time in enumerate(times)]
        self.read: list[int] = []

    async def block(self, number: int) -> BlockRef | None:
        self.read.append(number)
        return self.blocks[number]


TIMES = [0, 10, 10, 12, 13, 13, 13, 40, 41, 99]


@pytest.mark.parametrize("time", range(100))
async def test_block_at__any_time__is_the_newest_not_later(time: int) -> None:
    chain = Headers(TIMES)
    reader = MonitorReader(cast(AgreeingVault, chain), VAULT)
    found = await reader.block_at(time, chain.blocks[-1])
    assert found.number == max(n for n, at in enumerate(TIMES) if at <= time)


async def test_block_at__a_day_ago__reads_few_headers() -> None:
    chain = Headers(list(range(0, 86_400, 12)))
    reader = MonitorReader(cast(AgreeingVault, chain), VAULT)
    found = await reader.block_at(30, chain.blocks[-1])
    assert found.number == 2
    assert len(chain.read) < 30
    with pytest.raises(SourceUnavailable):
        await reader.block_at(-1, chain.blocks[-1])
