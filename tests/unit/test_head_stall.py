"""Trading is held while no block comes, and opened again when one does."""

from typing import Any

import pytest

from activities.head_stall import STALL_HOLD, HeadStall
from models.control import HoldCommand, HoldKind
from models.errors import SourceUnavailable
from models.requests import BlockRef

LIMIT = 180.0


class Gateway:
    """The control workflow, as far as a breaker's hold goes."""

    def __init__(self) -> None:
        self.held: list[HoldCommand] = []
        self.lifted: list[str] = []
        self.asked = 0
        self.down = False

    async def set_hold(self, hold: HoldCommand) -> bool:
        if self.down:
            raise SourceUnavailable("Temporal", "signalling")
        self.held.append(hold)
        return True

    async def lift_hold(self, hold: HoldCommand) -> bool:
        self.lifted.append(hold.key)
        return True

    async def is_held(self, key: str) -> bool:
        self.asked += 1
        return any(hold.key == key for hold in self.held) and key not in self.lifted


class Watch:
    """A stall with a clock in hand."""

    def __init__(self, gateway: Gateway, limit: float = LIMIT) -> None:
        self.gateway = gateway
        self.now = 1_000.0
        self.said: list[str] = []
        port: Any = gateway
        self.stall = HeadStall(port, limit, lambda _, words: self.said.append(words), self._clock)

    def _clock(self) -> float:
        return self.now

    async def sees(self, number: int | None, *, after: float = 0.0, fork: str = "a") -> None:
        self.now += after
        head = (
            None if number is None else BlockRef(number=number, hash=f"{fork}{number}", timestamp=0)
        )
        await self.stall.saw(head)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def watch(gateway: Gateway) -> Watch:
    return Watch(gateway)


async def test_head__moves__never_holds(watch: Watch, gateway: Gateway) -> None:
    for number in range(1, 5):
        await watch.sees(number, after=LIMIT - 1)
    assert gateway.held == []


async def test_head__stands_still__holds_once_with_a_breakers_hold(
    watch: Watch, gateway: Gateway
) -> None:
    await watch.sees(1)
    await watch.sees(1, after=LIMIT)
    assert gateway.held == []
    await watch.sees(1, after=1)
    await watch.sees(1, after=60)
    (hold,) = gateway.held
    assert (hold.key, hold.kind, hold.side, hold.symbol) == (STALL_HOLD, HoldKind.BREAKER, None, "")
    assert watch.said[-1].startswith("no new block for 180 s")


@pytest.mark.parametrize(("number", "fork"), [(2, "a"), (1, "b")])
async def test_head__moves_again__lifts_it_once(
    watch: Watch, gateway: Gateway, number: int, fork: str
) -> None:
    await watch.sees(1)
    await watch.sees(1, after=LIMIT + 1)
    await watch.sees(number, after=1, fork=fork)
    await watch.sees(number + 1, after=1, fork=fork)
    assert gateway.lifted == [STALL_HOLD]
    assert watch.said[-1] == ""


@pytest.mark.parametrize("number", [None, 0])
async def test_head__not_given_or_lower__stands_still(
    watch: Watch, gateway: Gateway, number: int | None
) -> None:
    await watch.sees(1)
    await watch.sees(number, after=LIMIT + 1)
    assert len(gateway.held) == 1


async def test_head__never_given_at_all__holds(watch: Watch, gateway: Gateway) -> None:
    await watch.sees(None)
    await watch.sees(None, after=LIMIT + 1)
    assert len(gateway.held) == 1


async def test_hold__temporal_down__is_set_as_soon_as_it_answers(
    watch: Watch, gateway: Gateway
) -> None:
    await watch.sees(1)
    gateway.down = True
    with pytest.raises(SourceUnavailable):
        await watch.sees(1, after=LIMIT + 1)
    gateway.down = False
    await watch.sees(1, after=1)
    assert len(gateway.held) == 1


async def test_hold__of_a_watcher_that_died__is_lifted_by_the_next(gateway: Gateway) -> None:
    gateway.held.append(HoldCommand(key=STALL_HOLD, kind=HoldKind.BREAKER))
    successor = Watch(gateway)
    for number in range(1, 5):
        await successor.sees(number, after=12)
    assert gateway.lifted == [STALL_HOLD]
    assert gateway.asked == 1


async def test_limit__of_zero__never_holds_and_never_asks(gateway: Gateway) -> None:
    watch = Watch(gateway, limit=0.0)
    await watch.sees(1)
    await watch.sees(1, after=10 * LIMIT)
    await watch.sees(2, after=1)
    assert (gateway.held, gateway.lifted, gateway.asked) == ([], [], 0)
