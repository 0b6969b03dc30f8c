"""How often somebody may ask: counted in Redis by all, and by each process alone without it."""

import asyncio
from collections.abc import Iterator

import pytest

from bronco.services import Redis
from clients.flags import Flags
from clients.quota import Quotas
from tests.services import embedded_redis


@pytest.fixture(params=["server", "embedded"])
def url(request: pytest.FixtureRequest, redis_server: Redis) -> Iterator[str]:
    if request.param == "server":
        yield redis_server.url
        return
    with embedded_redis() as url:
        yield url


async def passed(quotas: Quotas, times: int, *, bucket: str = "reading", who: str = "ada") -> int:
    """How many of that many at once were let in, of ten a minute."""
    asked = await asyncio.gather(*(quotas.take(bucket, who, 10) for _ in range(times)))
    assert all(0 <= seconds <= 121 for seconds in asked)
    return sum(seconds == 0 for seconds in asked)


async def test_quota__two_processes__share_it_and_other_callers_and_buckets_do_not(
    url: str,
) -> None:
    one, two = Flags(url), Flags(url)
    first, second = Quotas(one.pool), Quotas(two.pool)
    assert await passed(first, 6, who="shared") == 6
    assert await passed(second, 9, who="shared") == 4
    assert await passed(first, 3, who="shared") == 0
    assert await passed(second, 9, who="other") == 9
    assert await passed(second, 9, who="shared", bucket="control") == 9
    await one.close()
    await two.close()


async def test_quota__redis_down__each_process_counts_by_itself() -> None:
    flags = Flags("redis://127.0.0.1:1/0", timeout_seconds=0.2)
    quotas = Quotas(flags.pool)
    assert await passed(quotas, 15) == 10
    assert await passed(quotas, 15, bucket="control") == 10
    await flags.close()


async def test_quota__redis_silent__is_waited_for_once_and_not_again() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    flags = Flags(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", timeout_seconds=0.2)
    quotas = Quotas(flags.pool)
    assert await quotas.take("control", "ada", 10) == 0
    async with asyncio.timeout(0.2):
        assert sum([await quotas.take("control", "ada", 10) == 0 for _ in range(15)]) == 9
    await flags.close()
    server.close()
