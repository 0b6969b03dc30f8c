"""Trading is held while nobody reads the broker's book, and opened by the next read."""

from typing import Any

import pytest

from activities.broker_silence import SILENCE_HOLD, BrokerSilence
from models.control import HoldKind
from models.errors import SourceUnavailable
from tests.unit.test_head_stall import Gateway

LIMIT = 30.0


class Watch:
    """With a clock in hand."""

    def __init__(self, limit: float = LIMIT) -> None:
        self.gateway = Gateway()
        self.now = 1_000.0
        port: Any = self.gateway
        self.silence = BrokerSilence(port, limit, lambda: self.now)

    async def sees(self, problem: str, *, after: float = 1.0) -> None:
        self.now += after
        await self.silence.saw(problem)


async def test_book__read_again_within_the_limit__never_holds() -> None:
    watch = Watch()
    for _ in range(5):
        await watch.sees("no link", after=LIMIT - 1)
        await watch.sees("")
    assert watch.gateway.held == []


async def test_book__not_read__holds_all_trading_once_and_says_what_lifts_it() -> None:
    watch = Watch()
    await watch.sees("")
    await watch.sees("no link", after=LIMIT)
    assert watch.gateway.held == []
    await watch.sees("no link")
    await watch.sees("still no link", after=LIMIT)
    (hold,) = watch.gateway.held
    assert (hold.key, hold.kind) == (SILENCE_HOLD, HoldKind.BREAKER)
    assert (hold.side, hold.symbol) == (None, "")
    assert "no link" in hold.reason
    assert "next read lifts" in hold.reason


async def test_book__never_read_since_the_start__holds() -> None:
    watch = Watch()
    await watch.sees("not asked yet", after=LIMIT + 1)
    assert len(watch.gateway.held) == 1


async def test_book__read_again__lifts_it_once() -> None:
    watch = Watch()
    await watch.sees("no link", after=LIMIT + 1)
    await watch.sees("")
    await watch.sees("")
    assert watch.gateway.lifted == [SILENCE_HOLD]


async def test_hold__temporal_down__is_asked_for_again() -> None:
    watch = Watch()
    watch.gateway.down = True
    with pytest.raises(SourceUnavailable):
        await watch.sees("no link", after=LIMIT + 1)
    watch.gateway.down = False
    await watch.sees("no link")
    assert len(watch.gateway.held) == 1


async def test_limit__zero__never_holds_and_asks_nobody() -> None:
    watch = Watch(limit=0.0)
    await watch.sees("no link", after=1e6)
    await watch.sees("")
    assert (watch.gateway.held, watch.gateway.asked) == ([], 0)
