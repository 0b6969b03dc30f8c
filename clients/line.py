"""The line of orders that wait for a slot of the account's window, shared by all workers."""

from redis.asyncio import Redis

from clients.line_scripts import LEAVE_LINE, SHOW_PLACE, TAKE_TURN
from clients.redis_calls import asked, run
from models.line import Place, Turn, Waiter

# Who does not come back within this of when it said is gone: a workflow is late under load.
_GRACE_SECONDS = 10.0
# Who is due within this is here: the next in line are asked for at the same moment.
_SOON_SECONDS = 0.25
_KEPT_MILLISECONDS = 86_400_000


class PlacingLine:
    """Fair by owner, three sells before one buy; a slot is never left unused while somebody asks.

    slots: Redis key of the window's slots. A line that Redis forgets is formed anew by whoever
    asks. Every method raises SourceUnavailable when Redis could not be asked.
    """

    def __init__(self, redis: Redis, slots: str) -> None:
        self._redis = redis
        self._keys = [slots, *(f"{slots}:line:{part}" for part in ("sell", "buy", "back", "facts"))]
        self._take = redis.register_script(TAKE_TURN)
        self._leave = redis.register_script(LEAVE_LINE)
        self._show = redis.register_script(SHOW_PLACE)

    async def ask(self, waiter: Waiter, limit: int, window_seconds: float, most: int) -> Turn:
        """Take the slot if it is this one's turn, else have a place in line.

        Any window_seconds hold at most `limit` slots. most: how many an owner may have in line of
        one side. Idempotent: asked again it has the slot, or the place, that it had.
        """
        answer = await run(
            "asking for a turn",
            self._take,
            self._keys,
            [
                waiter.request_id,
                waiter.remark,
                waiter.side.value,
                waiter.owner.lower(),
                limit,
                _microseconds(window_seconds),
                most,
                _microseconds(_GRACE_SECONDS),
                _microseconds(_SOON_SECONDS),
                _KEPT_MILLISECONDS,
            ],
        )
        granted, place, slot_in, back_in = (int(part) for part in answer)
        if granted < 0:
            return Turn(mine=False, turned_away=place)
        return Turn(granted == 1, place, slot_in / 1e6, back_in / 1e6)

    async def leave(self, request_id: str) -> None:
        """Give the place up; harmless when there is none."""
        await run("leaving the line", self._leave, self._keys, [request_id])

    async def place(self, request_id: str, limit: int, window_seconds: float) -> Place | None:
        """Where it stands; None when it is not in line."""
        arguments: list[str | int] = [request_id, limit, _microseconds(window_seconds)]
        answer = await run("looking at the line", self._show, self._keys, arguments)
        return Place(int(answer[0]), int(answer[1]) / 1e6) if answer else None

    async def lengths(self) -> dict[str, int]:
        """How many wait, by side."""
        sides = {"SELL": self._keys[1], "BUY": self._keys[2]}
        return {
            side: int(await asked("measuring the line", self._redis.zcard(key)))
            for side, key in sides.items()
        }


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)
