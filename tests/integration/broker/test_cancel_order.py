"""The activity that cancels: idempotent, within the account's window, never the last word."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from activities.broker import BrokerActivities
from activities.clock import utc_now
from clients.flags import Flags
from models.errors import SourceUnavailable
from models.messages import CancelOrderInput
from models.order import Stage
from tests.integration.broker.desk import raises
from tests.integration.broker.office import Customer, Office, open_office
from tests.waiting import eventually

SEND_SECONDS = 2.0


@pytest.fixture
async def office(tmp_path: Path, log_home: Path) -> AsyncIterator[Office]:
    async with open_office(tmp_path, log_home) as opened:
        yield opened


async def message(office: Office, customer: Customer, order_id: str) -> CancelOrderInput:
    return CancelOrderInput(
        request=customer.request,
        attempt=1,
        broker_order_id=order_id,
        version=(await office.row(customer)).version + 1,
        why="USER_CANCELLED",
    )


async def asked(office: Office) -> int:
    return (await office.desk.control.count("ModifyOrder")).received


async def test_cancel_order__working__is_cancelled_and_written_down(office: Office) -> None:
    customer = await office.admit()
    order = await office.desk.client.place(customer.ticket("150"), SEND_SECONDS)
    cancel = await message(office, customer, order.order_id)
    result = await office.cancelling().cancel_order(cancel)
    assert result.accepted
    await eventually(lambda: any(push.dead for push in office.desk.pushes))
    assert (await office.row(customer)).stage is Stage.CANCELLING
    [audit] = [
        entry
        for entry in await office.store.audit.of_request(customer.request.request_id)
        if entry.action == "order.cancel_asked"
    ]
    assert order.order_id in audit.data
    assert "USER_CANCELLED" in audit.data


async def test_cancel_order__asked_twice__is_accepted_twice(office: Office) -> None:
    customer = await office.admit()
    order = await office.desk.client.place(customer.ticket("150"), SEND_SECONDS)
    cancel = await message(office, customer, order.order_id)
    activities = office.cancelling()
    assert (await activities.cancel_order(cancel)).accepted
    assert (await activities.cancel_order(cancel)).accepted


async def test_cancel_order__dead_in_our_book__asks_nobody(office: Office) -> None:
    customer = await office.admit()
    order = await office.desk.client.place(customer.ticket(), SEND_SECONDS)
    await eventually(lambda: any(push.dead for push in office.desk.pushes))
    await office.store.book.apply(await office.desk.client.orders(), utc_now())
    result = await office.cancelling().cancel_order(await message(office, customer, order.order_id))
    assert result.accepted
    assert "FILLED" in result.detail
    assert await asked(office) == 0
    assert (await office.row(customer)).stage is not Stage.CANCELLING


async def test_cancel_order__broker_does_not_know_it__is_not_accepted(office: Office) -> None:
    customer = await office.admit()
    result = await office.cancelling().cancel_order(await message(office, customer, "404"))
    assert not result.accepted
    assert "404" in result.detail


async def test_cancel_order__window_full__comes_back_when_there_is_room(office: Office) -> None:
    customer = await office.admit()
    order = await office.desk.client.place(customer.ticket("150"), SEND_SECONDS)
    cancel = await message(office, customer, order.order_id)
    activities = office.cancelling(window=(1, 30.0, 0.0))
    await activities.cancel_order(cancel)
    error, _ = await raises(ApplicationError, activities.cancel_order(cancel))
    assert error.type == "RateLimited"
    assert error.next_retry_delay is not None
    assert timedelta(seconds=20) < error.next_retry_delay <= timedelta(seconds=30)
    assert await asked(office) == 1


async def test_cancel_order__broker_says_too_often__comes_back_later(office: Office) -> None:
    customer = await office.admit()
    order = await office.desk.client.place(customer.ticket("150"), SEND_SECONDS)
    await office.desk.control.fault("reject", protocol="ModifyOrder", message="High frequency")
    cancel = await message(office, customer, order.order_id)
    error, _ = await raises(ApplicationError, office.cancelling().cancel_order(cancel))
    assert error.type == "RateLimited"
    assert error.next_retry_delay
    assert (await office.row(customer)).stage is not Stage.CANCELLING


def without_redis(office: Office) -> BrokerActivities:
    nobody = Flags("redis://127.0.0.1:1/0")
    return BrokerActivities(office.desk.client, office.store, nobody, (20, 30.0, 0.0))


async def test_cancel_order__redis_is_gone__is_sent_all_the_same(office: Office) -> None:
    customer = await office.admit()
    order = await office.desk.client.place(customer.ticket("150"), SEND_SECONDS)
    cancel = await message(office, customer, order.order_id)
    assert (await without_redis(office).cancel_order(cancel)).accepted
    await eventually(lambda: any(push.dead for push in office.desk.pushes))
    assert (await office.row(customer)).stage is Stage.CANCELLING


async def test_cancel_order__redis_is_gone__opend_still_keeps_its_window(office: Office) -> None:
    customer = await office.admit()
    order = await office.desk.client.place(customer.ticket("150"), SEND_SECONDS)
    await office.desk.control.fault("reject", protocol="ModifyOrder", message="High frequency")
    cancel = await message(office, customer, order.order_id)
    error, _ = await raises(ApplicationError, without_redis(office).cancel_order(cancel))
    assert error.type == "RateLimited"
    assert (await office.row(customer)).stage is not Stage.CANCELLING


async def test_cancel_order__opend_is_gone__is_not_sent(office: Office) -> None:
    customer = await office.admit()
    order = await office.desk.client.place(customer.ticket("150"), SEND_SECONDS)
    await office.desk.control.outage()
    await eventually(office.desk.down)
    cancel = await message(office, customer, order.order_id)
    await raises(SourceUnavailable, without_redis(office).cancel_order(cancel))
    assert await asked(office) == 0
