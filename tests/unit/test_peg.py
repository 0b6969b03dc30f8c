"""USDT away from a dollar holds trading; only a measurement inside the band lifts that."""

from decimal import Decimal
from typing import Any

import pytest

from activities.peg import PEG_HOLD, Peg, off_peg
from models.errors import SourceUnavailable
from models.requests import BlockRef
from tests.unit.test_head_stall import Gateway

_BAND = 50


class Feed:
    """A feed that says what it is told; None: it has no answer that counts."""

    def __init__(self) -> None:
        self.usd: Decimal | None = Decimal(1)
        self.asked = 0

    async def price(self, head: BlockRef) -> Decimal:
        self.asked += 1
        if self.usd is None:
            raise SourceUnavailable("oracle", "reading the peg", "stale")
        return self.usd


class Watch:
    """A peg that is looked at block by block."""

    def __init__(self) -> None:
        self.gateway, self.feed, self.block = Gateway(), Feed(), 0
        gateway: Any = self.gateway
        feed: Any = self.feed
        self.peg = Peg(gateway, feed, _BAND)

    async def sees(self, usd: str | None) -> None:
        self.feed.usd = None if usd is None else Decimal(usd)
        self.block += 1
        await self.peg.saw(BlockRef(number=self.block, hash=f"a{self.block}", timestamp=0))


@pytest.mark.parametrize(
    ("usd", "off"),
    [
        ("0.995", False),
        ("1.005", False),
        ("1", False),
        ("0.99499999", True),
        ("1.00500001", True),
        ("0.01", True),
    ],
)
def test_band__with_its_ends__is_the_peg(usd: str, off: bool) -> None:
    assert bool(off_peg(Decimal(usd), _BAND)) is off


async def test_peg__lost_and_found__holds_and_lifts() -> None:
    watch = Watch()
    await watch.sees("0.99")
    (hold,) = watch.gateway.held
    assert (hold.key, hold.side, hold.symbol) == (PEG_HOLD, None, "")
    assert "0.99 USD" in hold.reason
    assert "lifts this" in hold.reason
    await watch.sees("0.98")
    assert len(watch.gateway.held) == 1
    assert watch.gateway.lifted == []
    await watch.sees("0.997")
    assert watch.gateway.lifted == [PEG_HOLD]


async def test_peg__feed_without_an_answer__neither_holds_nor_lifts() -> None:
    watch = Watch()
    await watch.sees("0.99")
    with pytest.raises(SourceUnavailable):
        await watch.sees(None)
    assert watch.gateway.lifted == []


async def test_peg__no_new_block__is_not_measured_again() -> None:
    watch = Watch()
    await watch.sees("1")
    await watch.peg.saw(BlockRef(number=1, hash="a1", timestamp=0))
    await watch.peg.saw(None)
    assert watch.feed.asked == 1


async def test_peg__temporal_is_down__is_held_at_the_next_look() -> None:
    watch = Watch()
    watch.gateway.down = True
    with pytest.raises(SourceUnavailable):
        await watch.sees("0.9")
    watch.gateway.down = False
    await watch.peg.saw(BlockRef(number=1, hash="a1", timestamp=0))
    assert [hold.key for hold in watch.gateway.held] == [PEG_HOLD]
