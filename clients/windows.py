"""How full an account's windows are, and who waits in line: looked at, never changed."""

from typing import NamedTuple

from redis.asyncio import ConnectionPool, Redis

from clients.redis_calls import asked, run

# KEYS: slots by member, line of sells, line of buys.  ARGV: window us.
# The server's clock decides what is still in the window, as it does for who takes a slot.
_LOOK = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local from = string.format('%.0f', now - tonumber(ARGV[1]))
return {
  redis.call('ZCOUNT', KEYS[1], from, '+inf'),
  redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3])
}
"""
_SLOTS = "bronco:slots:"
_MOST_KEYS = 50


class WindowUse(NamedTuple):
    """One window: slots taken of those it has, and orders that wait in its line."""

    taken: int
    sells: int
    buys: int


class Windows:
    """Reads what `clients/flags.py` and `clients/line.py` write."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._redis: Redis = Redis(connection_pool=pool)
        self._look = self._redis.register_script(_LOOK)

    async def use(self, account: str, call: str, window_seconds: float) -> WindowUse:
        """How full a window is. account: "" = whichever account has such a window.

        Raises:
            SourceUnavailable: Redis could not be asked.
        """
        slots = f"{_SLOTS}{account}:{call}" if account else await self._found(call)
        keys = [slots, f"{slots}:line:sell", f"{slots}:line:buy"]
        answer = await run("looking at a window", self._look, keys, [int(window_seconds * 1e6)])
        return WindowUse(*(int(part) for part in answer))

    async def _found(self, call: str) -> str:
        """The key of the one account there is; what nobody took a slot of yet is empty."""
        found = self._redis.scan(match=f"{_SLOTS}*:{call}", count=_MOST_KEYS)
        _, keys = await asked("looking for an account's windows", found)
        return str(min(keys, default=f"{_SLOTS}none:{call}"))
