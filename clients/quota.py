"""How often somebody may ask, counted by `limits` in Redis, so that all API processes share it."""

import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.asyncio import ConnectionPool

_PREFIX = "bronco:quota"
_ALONE_SECONDS = 5.0


class Quotas:
    """Counts per minute, over a sliding window.

    While Redis cannot be asked each process counts by itself: nobody is let in without a count, and
    nobody is shut out for Redis. It is asked again after a few seconds.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        shared = RedisStorage(
            "redis://",
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix=_PREFIX,
            connection_pool=pool,  # type: ignore[arg-type]
        )
        self._shared = SlidingWindowCounterRateLimiter(shared)
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._alone_until = 0.0

    async def take(self, bucket: str, who: str, per_minute: int) -> float:
        """Count one; 0: it is within the quota, else the seconds until there is room again."""
        item = RateLimitItemPerMinute(per_minute)
        if time.monotonic() >= self._alone_until:
            try:
                return await _taken(self._shared, item, bucket, who)
            except (StorageError, OSError):
                self._alone_until = time.monotonic() + _ALONE_SECONDS
        return await _taken(self._own, item, bucket, who)


async def _taken(
    limiter: SlidingWindowCounterRateLimiter, item: RateLimitItemPerMinute, bucket: str, who: str
) -> float:
    if await limiter.hit(item, bucket, who):
        return 0.0
    stats = await limiter.get_window_stats(item, bucket, who)
    return max(1.0, stats.reset_time - time.time())
