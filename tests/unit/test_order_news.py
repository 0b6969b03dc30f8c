"""Which changes are told, when, and what happens to those that could not be."""

from collections.abc import Collection
from typing import Any, cast

import pytest

from activities.order_news import OrderNews
from clients.gateway import WorkflowGateway
from clients.store.store import Store
from models.broker import BrokerOrder, BrokerStatus
from models.errors import SourceUnavailable
from tests.builders import broker_order, request_id_of

Signal = tuple[str, str, BrokerOrder]


class Orders:
    """Two requests have rows."""

    def __init__(self) -> None:
        self.questions = 0
        self.known = {request_id_of(n): f"order-{n}" for n in (1, 2)}

    async def workflow_ids(self, request_ids: Collection[str]) -> dict[str, str]:
        self.questions += 1
        return {key: self.known[key] for key in request_ids if key in self.known}


class Outside:
    """Store, gateway and clock in one."""

    def __init__(self) -> None:
        self.orders = Orders()
        self.now = 100.0
        self.signals: list[Signal] = []
        self.running = True
        self.down: set[str] = set()

    async def signal_order(self, workflow_id: str, signal: str, *args: Any) -> bool:
        if workflow_id in self.down:
            raise SourceUnavailable("Temporal", "signalling", "")
        if self.running:
            self.signals.append((workflow_id, signal, args[0]))
        return self.running


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
def news(outside: Outside) -> OrderNews:
    return OrderNews(
        cast(Store, outside), cast(WorkflowGateway, outside), clock=lambda: outside.now
    )


async def test_tell__a_change__goes_to_the_workflow_of_its_remark(
    news: OrderNews, outside: Outside
) -> None:
    first, second = broker_order(), broker_order(request_id_of(2), attempt=3)
    news.add([first, second])
    assert await news.tell() == 2
    assert outside.signals == [
        ("order-1", "order_update", first),
        ("order-2", "order_update", second),
    ]
    assert await news.tell() == 0
    assert news.due_in() is None


async def test_tell__same_status_within_a_second__waits_and_sends_the_latest(
    news: OrderNews, outside: Outside
) -> None:
    fills = [broker_order(status=BrokerStatus.PART_FILLED, filled=n) for n in (1, 2, 3)]
    for fill in fills:
        news.add([fill])
        await news.tell()
    assert [signal[2].filled for signal in outside.signals] == [1]
    assert news.due_in() == 1.0
    outside.now += 1.0
    await news.tell()
    assert [signal[2].filled for signal in outside.signals] == [1, 3]
    assert news.pending == 0


async def test_tell__new_status__does_not_wait(news: OrderNews, outside: Outside) -> None:
    news.add([broker_order(status=BrokerStatus.PART_FILLED, filled=1)])
    await news.tell()
    news.add([broker_order(status=BrokerStatus.FILLED, filled=4)])
    assert news.due_in() == 0.0
    await news.tell()
    assert [signal[2].status for signal in outside.signals] == [
        BrokerStatus.PART_FILLED,
        BrokerStatus.FILLED,
    ]


async def test_tell__temporal_is_down__keeps_the_news_of_those_not_told(
    news: OrderNews, outside: Outside
) -> None:
    outside.down = {"order-1"}
    news.add([broker_order(), broker_order(request_id_of(2))])
    with pytest.raises(SourceUnavailable):
        await news.tell()
    assert [signal[0] for signal in outside.signals] == ["order-2"]
    assert news.pending == 1
    outside.down = set()
    assert await news.tell() == 1
    assert news.pending == 0


async def test_tell__workflow_has_ended__is_no_error_and_is_not_tried_again(
    news: OrderNews, outside: Outside
) -> None:
    outside.running = False
    news.add([broker_order()])
    assert await news.tell() == 0
    assert news.pending == 0


@pytest.mark.parametrize("remark", ["", "by hand", "b1:short:1"])
async def test_add__order_of_somebody_else__is_not_news(news: OrderNews, remark: str) -> None:
    news.add([broker_order(remark=remark)])
    assert news.pending == 0


async def test_tell__our_remark_but_no_such_request__is_dropped(
    news: OrderNews, outside: Outside
) -> None:
    news.add([broker_order(request_id_of(99))])
    assert await news.tell() == 0
    assert news.pending == 0


async def test_tell__workflow_known_already__asks_the_store_once(
    news: OrderNews, outside: Outside
) -> None:
    for status in (BrokerStatus.SUBMITTING, BrokerStatus.WORKING, BrokerStatus.FILLED):
        news.add([broker_order(status=status)])
        await news.tell()
    assert outside.orders.questions == 1
    assert len(outside.signals) == 3


async def test_tell__changed_while_it_was_told__is_told_again(
    news: OrderNews, outside: Outside
) -> None:
    later = broker_order(status=BrokerStatus.FILLED, filled=4)

    async def signal_order(workflow_id: str, signal: str, *args: Any) -> bool:
        if not outside.signals:
            news.add([later])
        outside.signals.append((workflow_id, signal, args[0]))
        return True

    outside.signal_order = signal_order  # type: ignore[method-assign]
    news.add([broker_order()])
    await news.tell()
    assert news.pending == 1
    await news.tell()
    assert outside.signals[-1][2] == later
