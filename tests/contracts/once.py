"""Idempotency keys: one carries a request out, everybody else gets its answer."""

import asyncio
from datetime import timedelta

from clients.store import Store
from models.once import Turn
from tests.contracts.builders import NOW, later

RUNS = timedelta(seconds=60)


async def turn(store: Store, token: str, digest: str = "d", seconds: float = 0) -> Turn:
    admitted = await store.request_keys.begin("s", digest, token, runs=RUNS, now=later(seconds))
    return admitted.turn


async def test_key__asked_by_many_at_once__one_goes(store: Store) -> None:
    turns = await asyncio.gather(*(turn(store, f"t{n}") for n in range(8)))
    assert sorted(turns) == [Turn.GO] + [Turn.RUNNING] * 7


async def test_key__answered__everybody_gets_that_answer(store: Store) -> None:
    assert await turn(store, "a") is Turn.GO
    assert await store.request_keys.finish("s", "a", 201, "application/json", '{"n": "é"}')

    again = await store.request_keys.begin("s", "d", "b", runs=RUNS, now=later(999))
    assert again.turn is Turn.ANSWERED
    shown = (again.row.status, again.row.media_type, again.row.answer, again.row.kept)
    assert shown == (201, "application/json", '{"n": "é"}', True)
    assert await turn(store, "b", "other") is Turn.OTHER_BODY


async def test_key__its_holder_died__the_next_one_takes_over_and_the_dead_one_keeps_nothing(
    store: Store,
) -> None:
    await turn(store, "dead")
    assert await turn(store, "next", seconds=59.9) is Turn.RUNNING
    assert await turn(store, "next", seconds=60) is Turn.GO
    assert not await store.request_keys.finish("s", "dead", 200, "", "late")
    assert not await store.request_keys.release("s", "dead")
    assert await store.request_keys.finish("s", "next", 200, "", None)
    row = (await store.request_keys.begin("s", "d", "x", runs=RUNS, now=NOW)).row
    assert (row.answer, row.kept) == ("", False)


async def test_key__released__is_free_also_for_another_body(store: Store) -> None:
    await turn(store, "a")
    assert await store.request_keys.release("s", "a")
    assert await turn(store, "b", "other") is Turn.GO


async def test_key__same_token_again__goes(store: Store) -> None:
    """The commit's answer was lost, and the same call is repeated."""
    assert await turn(store, "a") is Turn.GO
    assert await turn(store, "a") is Turn.GO


async def test_forget__old_ones__go_and_younger_stay(store: Store) -> None:
    await turn(store, "a")
    await store.request_keys.forget(NOW)
    assert await turn(store, "b") is Turn.RUNNING
    await store.request_keys.forget(later(1))
    assert await turn(store, "b", "other") is Turn.GO
