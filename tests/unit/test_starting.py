"""Starting a backlog: paced, patient with a busy Temporal, and nobody left behind."""

import asyncio
from collections import Counter

import pytest

from activities.starting import AT_ONCE, Starter
from models.errors import SourceBusy, SourceUnavailable
from models.requests import VaultRequest
from tests.contracts.builders import vault_request

DOWN = SourceUnavailable("Temporal", "starting")
BUSY = SourceBusy("Temporal", "starting", 1.0)


class Temporal:
    """Starts, or answers what it is told to for a number, once each."""

    def __init__(self) -> None:
        self.answers: dict[int, list[SourceUnavailable]] = {}
        self.started: Counter[int] = Counter()
        self.order: list[int] = []
        self.slept: list[float] = []
        self.at_once = self.most_at_once = 0

    async def start(self, request: VaultRequest) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if answers := self.answers.get(request.n):
            raise answers.pop(0)
        self.started[request.n] += 1
        self.order.append(request.n)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def starter(self, per_second: float = 200.0) -> Starter:
        return Starter(self.start, per_second, sleep=self.sleep, clock=lambda: 0.0)


def requests(count: int) -> list[VaultRequest]:
    return [vault_request(n) for n in range(1, count + 1)]


async def test_backlog__of_a_thousand__each_once_in_order_at_the_pace_told() -> None:
    temporal = Temporal()
    starter = temporal.starter(per_second=200.0)
    assert await starter.start(requests(1_000)) == {}
    assert temporal.order == list(range(1, 1_001))
    assert starter.started == 1_000
    assert temporal.most_at_once == AT_ONCE
    assert sum(temporal.slept) == pytest.approx(1_000 / 200)


async def test_busy__some_are_refused__waits_longer_each_time_and_starts_all() -> None:
    temporal = Temporal()
    temporal.answers = {3: [BUSY, BUSY, BUSY], 200: [BUSY]}
    assert await temporal.starter(per_second=1e9).start(requests(300)) == {}
    assert set(temporal.started.values()) == {1}
    assert len(temporal.started) == 300
    assert [pause for pause in temporal.slept if pause >= 1] == [1.0, 2.0, 4.0, 1.0]


async def test_one__cannot_be_started__is_named_and_holds_nobody_up() -> None:
    temporal = Temporal()
    temporal.answers = {5: [DOWN]}
    assert await temporal.starter().start(requests(40)) == {5: DOWN}
    assert sorted(temporal.started) == [n for n in range(1, 41) if n != 5]


async def test_temporal__not_there__ends_at_once() -> None:
    temporal = Temporal()
    temporal.answers = {n: [DOWN] for n in range(1, 1_001)}
    with pytest.raises(SourceUnavailable):
        await temporal.starter().start(requests(1_000))
    assert sum(map(len, temporal.answers.values())) == 1_000 - AT_ONCE
