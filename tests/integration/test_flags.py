"""The flags on a real Redis, and what only a real one can do."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis as RedisClient

from bronco.services import Redis, start_redis
from clients.flag_scripts import SLOT
from clients.flags import Flags
from models.control import ControlState, Permit
from models.errors import ConfigurationError, SourceUnavailable
from tests.contracts.flags import *  # noqa: F403
from tests.contracts.flags import LONG, begin, is_open, state
from tests.waiting import eventually


@pytest.fixture
def flags_url(redis_url: str) -> str:
    return redis_url


@pytest.fixture
async def flags(flags_url: str) -> AsyncIterator[Flags]:
    opened = Flags(flags_url)
    yield opened
    await opened.close()


@pytest.fixture
async def own_redis(tmp_path: Path) -> AsyncIterator[Redis]:
    server = await start_redis(tmp_path / "redis")
    yield server
    await server.process.stop()


# Redis's own clock cannot be set, so the script is given one; all else in it is what runs.
members = (f"m{n}" for n in itertools.count())
STEPPED = SLOT.replace("redis.call('TIME')", "{'0', redis.call('GET', 'clock')}")


@given(
    steps=st.lists(st.integers(0, 400_000), min_size=1, max_size=60),
    limit=st.integers(1, 6),
    window=st.integers(1, 1_000_000),
    gap=st.sampled_from([0, 0, 20_000, 150_000]),
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_slot_script__any_arrivals__window_exact_burst_full_gap_kept(
    redis_url: str, steps: list[int], limit: int, window: int, gap: int
) -> None:
    assert STEPPED != SLOT
    taken: list[int] = []
    now = 10**12
    async with RedisClient.from_url(redis_url, decode_responses=True) as redis:
        await redis.flushall()
        script = redis.register_script(STEPPED)
        for step in steps:
            now += step
            await redis.set("clock", now)
            wait = int(await script(keys=["slots"], args=[next(members), limit, window, gap]))
            recent = [at for at in taken if now - at <= window]
            free = len(recent) < limit and (not taken or now - taken[-1] >= gap)
            assert (wait == 0) is free
            if wait == 0:
                taken.append(now)
                continue
            # The wait is exact: one microsecond earlier there is no slot, then there is one.
            await redis.set("clock", now + wait - 1)
            assert int(await script(keys=["slots"], args=[next(members), limit, window, gap])) == 1
            now += wait
            await redis.set("clock", now)
            assert int(await script(keys=["slots"], args=[next(members), limit, window, gap])) == 0
            taken.append(now)
    for start in taken:
        assert sum(start <= at <= start + window for at in taken) <= limit


async def test_slot_script__clock_set_back__slots_still_follow_each_other(redis_url: str) -> None:
    async with RedisClient.from_url(redis_url, decode_responses=True) as redis:
        script = redis.register_script(STEPPED)
        await redis.set("clock", 2_000_000)
        assert int(await script(keys=["slots"], args=[next(members), 2, 1_000_000, 500_000])) == 0
        await redis.set("clock", 1_000_000)

        assert (
            int(await script(keys=["slots"], args=[next(members), 2, 1_000_000, 500_000]))
            == 500_000
        )


async def test_slot_script__limit_lowered__counts_what_was_taken_before(redis_url: str) -> None:
    async with RedisClient.from_url(redis_url, decode_responses=True) as redis:
        script = redis.register_script(STEPPED)
        for now in (1_000_000, 1_000_100, 1_000_200):
            await redis.set("clock", now)
            assert int(await script(keys=["slots"], args=[next(members), 3, 5_000, 0])) == 0

        assert int(await script(keys=["slots"], args=[next(members), 2, 5_000, 0])) == 4_901
        assert int(await script(keys=["slots"], args=[next(members), 1, 5_000, 0])) == 5_001


async def test_restart__from_an_older_dump__is_not_open_until_renewed(own_redis: Redis) -> None:
    flags = Flags(own_redis.url)
    assert await flags.renew_lease(state(41), LONG)
    assert await is_open(flags)
    await save(own_redis)
    # The pause comes after the dump, and the dump's lease has most of a minute to live.
    paused = ControlState(paused=True, version=42)
    await flags.revoke(paused)

    await own_redis.process.kill()
    await own_redis.process.start()

    async with RedisClient.from_url(own_redis.url) as redis:
        assert await redis.exists("bronco:lease") == 1
    assert not await is_open(flags)
    assert not await flags.renew_lease(paused, LONG)
    assert not await is_open(flags)
    assert await flags.renew_lease(state(43), LONG)
    assert await is_open(flags)
    await flags.close()


async def test_restart__with_nothing_left__closed_then_goes_on(own_redis: Redis) -> None:
    flags = Flags(own_redis.url)
    await flags.renew_lease(state(41), LONG)

    await own_redis.process.kill()
    with pytest.raises(SourceUnavailable, match="flags could not be asked while beginning"):
        await begin(flags)
    with pytest.raises(SourceUnavailable):
        await flags.take_slot("acc", "place", 15, 30.0, 0.0)
    with pytest.raises(SourceUnavailable):
        await flags.halted()
    await own_redis.process.start()

    assert not await is_open(flags)
    assert await flags.renew_lease(state(41), LONG)
    assert await is_open(flags)
    await flags.close()


async def test_silent_server__is_unavailable_within_the_timeout() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    flags = Flags(f"redis://127.0.0.1:{port}/0", timeout_seconds=0.1)

    async with asyncio.timeout(3):
        with pytest.raises(SourceUnavailable, match="Timeout"):
            await begin(flags)
    await flags.close()
    server.close()


async def test_replica__that_refuses_writes__is_unavailable(own_redis: Redis) -> None:
    flags = Flags(own_redis.url)
    async with RedisClient.from_url(own_redis.url) as redis:
        await redis.replicaof("127.0.0.1", "1")

    with pytest.raises(SourceUnavailable):
        await flags.halt("fire")
    await flags.close()


def test_url__of_another_kind__names_the_setting() -> None:
    with pytest.raises(ConfigurationError, match="redis_url"):
        Flags("http://127.0.0.1")


async def test_leftovers__after_use__all_expire_or_are_state(flags: Flags, flags_url: str) -> None:
    await flags.renew_lease(state(1), ttl=0.1)
    assert isinstance(await begin(flags, expires=0.1), Permit)
    await flags.take_slot("acc", "place", 1, 0.001, 0.0)

    async def only_state() -> bool:
        async with RedisClient.from_url(flags_url, decode_responses=True) as redis:
            return set(await redis.keys("*")) == {"bronco:version"}

    await eventually(only_state, timeout=20)


async def save(server: Redis) -> None:
    async with RedisClient.from_url(server.url) as redis:
        await redis.save()
