"""Deliveries: complete, in an order's own order, tried for days, and leased to one worker."""

import json
from datetime import datetime, timedelta

import pytest

from clients.store import Store
from models.errors import NotFound
from models.order import Stage
from models.webhooks import NOT_KEPT, Delivery, DeliveryState, RetryPolicy, Sent, Webhook
from tests.contracts.builders import NOW, later, request_id
from tests.contracts.changes import admit, update

LEASE = timedelta(seconds=30)
POLICY = RetryPolicy()
OK, DOWN = Sent(200), Sent(500, "it answered 500")


async def endpoint(store: Store, name: str = "wh_1") -> Webhook:
    return await store.webhooks.create(name, "https://a.example/hook?key=k3y", "", "ada", NOW)


async def happen(store: Store, n: int, *stages: Stage) -> None:
    """An order is admitted, and goes through these stages."""
    version = await admit(store, n)
    for step, stage in enumerate(stages):
        await update(store, n, version + step, stage=stage)


async def take(
    store: Store, name: str = "wh_1", now: datetime = NOW, limit: int = 100
) -> list[Delivery]:
    """As the loop does: write down what is new, take what is due."""
    row = await store.webhooks.get(name)
    while await store.deliveries.fan_out(row, now):
        row = await store.webhooks.get(name)
    return [each for each, _ in await store.deliveries.take(row, limit, LEASE, now)]


async def note(store: Store, row: Delivery, sent: Sent, now: datetime = NOW) -> DeliveryState:
    return await store.deliveries.note(row, sent, POLICY, now)


def named(rows: list[Delivery]) -> list[tuple[int, str]]:
    return [(row.seq, row.request_id) for row in rows]


async def test_deliveries__of_orders__go_one_after_the_other_beside_each_other(
    store: Store,
) -> None:
    await endpoint(store)
    await happen(store, 1, Stage.HELD, Stage.PLACED)
    await happen(store, 2, Stage.HELD)
    first = await take(store)
    assert named(first) == [(1, request_id(1)), (4, request_id(2))]
    assert await take(store) == []

    await note(store, first[0], OK)
    assert named(await take(store)) == [(2, request_id(1))]


async def test_deliveries__only_words_changed__are_not_made(store: Store) -> None:
    await endpoint(store)
    version = await admit(store, 1)
    await update(store, 1, version, waiting_for="two confirmations")
    assert named(await take(store)) == [(1, request_id(1))]


async def test_deliveries__from_before_the_endpoint__are_not_made(store: Store) -> None:
    await happen(store, 1)
    await endpoint(store)
    await happen(store, 2)
    assert named(await take(store)) == [(2, request_id(2))]


async def test_take__two_workers_at_once__each_delivery_is_one_workers(
    store: Store, other_store: Store
) -> None:
    row = await endpoint(store)
    await happen(store, 1)
    await happen(store, 2)
    assert len(await take(store, limit=1)) == 1
    others = await other_store.deliveries.take(row, 9, LEASE, NOW)
    assert named([each for each, _ in others]) == [(2, request_id(2))]


async def test_take__whoever_had_it_died__it_is_taken_again_after_the_lease(store: Store) -> None:
    await endpoint(store)
    await happen(store, 1)
    assert len(await take(store)) == 1
    assert await take(store, now=later(29)) == []
    assert len(await take(store, now=later(31))) == 1


async def test_failed__tried_again_later_and_later_and_the_next_of_the_order_waits(
    store: Store,
) -> None:
    await endpoint(store)
    await happen(store, 1, Stage.PLACED)
    at, pauses = 0.0, []
    for _ in range(4):
        (row,) = await take(store, now=later(at))
        assert row.seq == 1
        await note(store, row, DOWN, later(at))
        shown = (await store.deliveries.page("wh_1")).items[-1]
        pauses.append((shown.next_at - NOW.replace(tzinfo=None)).total_seconds() - at)
        assert await take(store, now=later(at + pauses[-1] - 1)) == []
        at += pauses[-1]
    assert [round(pause) for pause in pauses] == [5, 15, 45, 135]
    assert (shown.attempts, shown.last_status, shown.last_error) == (4, 500, "it answered 500")


async def test_failed__for_longer_than_its_life__is_given_up_and_the_endpoint_disabled(
    store: Store,
) -> None:
    await endpoint(store)
    await happen(store, 1, Stage.PLACED)
    (row,) = await take(store)
    assert await note(store, row, DOWN) is DeliveryState.PENDING
    (row,) = await take(store, now=later(86_400 * 5 + 1))
    assert await note(store, row, DOWN, later(86_400 * 5 + 1)) is DeliveryState.FAILED

    found = await store.webhooks.get("wh_1")
    assert (found.active, found.disabled_reason.startswith("it has failed since")) == (False, True)
    told = (await store.audit.latest(1))[0]
    assert (told.action, told.actor) == ("webhook.disabled", "bronco")
    assert json.loads(told.data)["host"] == "a.example"
    # The next of the order is not lost: it is due when the endpoint is enabled.
    await store.webhooks.enable("wh_1", "ada", "", later(86_400 * 6))
    assert named(await take(store, now=later(86_400 * 6))) == [(2, request_id(1))]


async def test_change__is_not_kept_any_more__is_given_up_and_says_nothing_of_the_endpoint(
    store: Store,
) -> None:
    await endpoint(store)
    await happen(store, 1, Stage.PLACED)
    (row,) = await take(store)
    assert await note(store, row, NOT_KEPT) is DeliveryState.FAILED
    assert (await store.webhooks.get("wh_1")).failures == 0
    assert named(await take(store)) == [(2, request_id(1))]


async def test_gone__answered_410__is_disabled_at_once(store: Store) -> None:
    await endpoint(store)
    await happen(store, 1)
    (row,) = await take(store)
    await note(store, row, Sent(410, "it answered 410"))
    assert not (await store.webhooks.get("wh_1")).active


async def test_endpoint__is_back_after_it_was_down__what_waited_is_due_at_once(
    store: Store,
) -> None:
    await endpoint(store)
    for n in range(1, 9):
        await happen(store, n)
    for row in await take(store):
        await note(store, row, DOWN)
    # While it is down one at a time is tried.
    (probe,) = await take(store, now=later(6))
    await note(store, probe, OK, later(6))
    assert len(await take(store, now=later(6))) == 7
    assert (await store.webhooks.get("wh_1")).failures == 0


async def test_replay__since_a_moment__tells_again_what_was_told_and_keeps_the_rest(
    store: Store,
) -> None:
    await endpoint(store)
    await happen(store, 1, Stage.HELD)
    for _ in range(2):
        (row,) = await take(store)
        await note(store, row, OK)
    assert await take(store) == []
    await store.webhooks.replay("wh_1", later(0.5), "ada", NOW)
    assert named(await take(store)) == [(2, request_id(1))]
    await store.webhooks.replay("wh_1", NOW, "ada", NOW)
    assert named(await take(store)) == [(1, request_id(1))]


async def test_endpoint__disabled__is_told_later_what_happened_meanwhile(store: Store) -> None:
    await endpoint(store)
    await store.webhooks.disable("wh_1", "ada", "maintenance", NOW)
    await store.webhooks.disable("wh_1", "ada", "maintenance", NOW)
    await happen(store, 1)
    assert not (await store.webhooks.get("wh_1")).active
    await store.webhooks.enable("wh_1", "ada", "", later(1))
    assert named(await take(store, now=later(1))) == [(1, request_id(1))]
    told = [entry.action for entry in await store.audit.latest() if "webhook" in entry.action]
    assert told[::-1] == ["webhook.created", "webhook.disabled", "webhook.enabled"]


async def test_endpoint__deleted__is_nobody_and_its_deliveries_are_gone(store: Store) -> None:
    await endpoint(store)
    await happen(store, 1)
    (row,) = await take(store)
    await store.webhooks.delete("wh_1", "ada", "", NOW)
    assert await note(store, row, OK) is DeliveryState.FAILED
    assert await store.webhooks.all() == []
    with pytest.raises(NotFound):
        await store.webhooks.get("wh_1")
    assert (await store.deliveries.page("wh_1")).items == []


async def test_rotate__both_secrets_sign_for_a_day(store: Store) -> None:
    await endpoint(store)
    row = await store.webhooks.rotate("wh_1", "ada", "", NOW)
    naive = NOW.replace(tzinfo=None)
    assert row.versions(naive) == (2, 1)
    assert row.versions(naive + timedelta(days=1)) == (2,)


async def test_audit__of_a_webhook__names_its_host_and_no_secret_of_its_url(store: Store) -> None:
    await endpoint(store)
    (entry,) = await store.audit.latest()
    assert "k3y" not in entry.data


async def test_backlog_and_prune__count_what_waits_and_drop_what_ended(store: Store) -> None:
    await endpoint(store)
    await happen(store, 1)
    await happen(store, 2)
    first, _ = await take(store)
    await note(store, first, OK)
    backlog = await store.deliveries.backlog(["wh_1"])
    assert (backlog.pending, backlog.failed) == (1, 0)
    assert backlog.oldest == NOW.replace(tzinfo=None)
    assert await store.deliveries.prune(later(9)) == 1
    assert (await store.deliveries.backlog(["wh_1"])).pending == 1
