"""Redis: the lease that means open, what is in flight, and the account's rate windows."""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from clients.flag_scripts import (
    BEGIN,
    DROP_SLOT,
    IN_FLIGHT,
    KEEP_SLOT,
    MOMENT,
    SLOT,
    STATE,
    USE_SLOT,
)
from clients.line import PlacingLine
from clients.redis_calls import asked, run
from models.control import ControlState, Hold, HoldKind, InFlight, Permit, Refusal
from models.errors import ConfigurationError, InvalidInput
from models.requests import Side

_PREFIX = "bronco:"
_LEASE = f"{_PREFIX}lease"
_VERSION = f"{_PREFIX}version"
_HOLDS = f"{_PREFIX}holds"
_HALT = f"{_PREFIX}halt"
_IN_FLIGHT = f"{_PREFIX}inflight"
_ANY = "*"
# A burst waits for a connection: to open many at once takes longer than one script.
_CONNECTIONS = 8


class Moment(NamedTuple):
    """Unix seconds by Redis's clock, and the run of the server that told them."""

    at: float
    run: str


_NEVER = Moment(0.0, "")


class Flags:
    """Short-lived facts all workers share; each method is one script and one round trip.

    Redis that cannot be asked raises SourceUnavailable: whoever cannot ask does not trade.
    Time is Redis's own. What is written twice because an answer was lost is harmless: at worst a
    slot of a window is wasted, or a placement is in flight until it expires.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 1.0) -> None:
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=timeout_seconds,
                decode_responses=True,
                socket_timeout=timeout_seconds,
                socket_connect_timeout=timeout_seconds,
                # Once more: a pooled connection may be dead only because Redis was restarted.
                retry=Retry(NoBackoff(), 1),
            )
        except ValueError as error:
            raise ConfigurationError("redis_url", str(error)) from error
        self.pool = pool
        self._redis: Redis = Redis.from_pool(pool)
        self._moment = self._redis.register_script(MOMENT)
        self._state = self._redis.register_script(STATE)
        self._begin = self._redis.register_script(BEGIN)
        self._listing = self._redis.register_script(IN_FLIGHT)
        self._slot = self._redis.register_script(SLOT)
        self._use_slot = self._redis.register_script(USE_SLOT)
        self._keep_slot = self._redis.register_script(KEEP_SLOT)
        self._drop_slot = self._redis.register_script(DROP_SLOT)
        self._lines: dict[str, PlacingLine] = {}

    async def now(self) -> float:
        """Unix seconds of the server's clock."""
        return (await self.moment()).at

    async def moment(self) -> Moment:
        """Take it before asking what renew_lease will say."""
        run_id, seconds, microseconds = await run("reading the clock", self._moment, [], [])
        return Moment(float(seconds) + float(microseconds) / 1e6, str(run_id))

    async def renew_lease(
        self, state: ControlState, ttl: float = 2.0, *, asked: Moment = _NEVER
    ) -> bool:
        """Keep trading open for ttl seconds (from `asked`, else from now), as `state` says.

        asked: `moment()` before the control workflow was asked, so that an answer that was held up
        on its way opens nothing. False = trading is not open by this call: the stored version is
        newer or Redis was restarted since (then nothing changes), the state is paused (then it
        closes) or is too old an answer.
        """
        renewed = await self._publish("renewing the lease", state, ttl, asked)
        return renewed and not state.paused

    async def revoke(self, state: ControlState) -> bool:
        """Make a changed state known at once: its holds, and no lease when it is paused.

        False, and nothing changes, when the stored version is newer.
        """
        return await self._publish("revoking the lease", state, 0.0, _NEVER)

    async def newest_version(self) -> int:
        """Version of the newest state published: a control workflow begun anew goes on there."""
        stored = await asked("reading the version", self._redis.get(_VERSION))
        return int(stored or 0)

    async def begin_placement(
        self, remark: str, side: Side, symbol: str, expires_seconds: float
    ) -> Permit | Refusal:
        """Check halt, lease and holds and register as in flight, as one step.

        After expires_seconds nothing of this placement may be sent; the entry is forgotten then.
        """
        scopes = [f"{a}|{b}" for a in (_ANY, side.value) for b in (_ANY, symbol)]
        return await self._begun(remark, expires_seconds, scopes)

    async def _begun(
        self, remark: str, expires_seconds: float, scopes: Sequence[str]
    ) -> Permit | Refusal:
        answer = await run(
            "beginning a placement",
            self._begin,
            [_HALT, _LEASE, _VERSION, _HOLDS, _IN_FLIGHT],
            [remark, _milliseconds(expires_seconds), *scopes],
        )
        if answer[0] == "begun":
            return Permit(remark=remark, since=_moment(answer[1]), version=int(answer[2]))
        return _refusal(answer[0], answer[1:])

    async def begin_house_placement(
        self, remark: str, side: Side, symbol: str, expires_seconds: float
    ) -> Permit | Refusal:
        """As begin_placement, for an order that ends what holds of kind HOUSE wait for.

        Every other hold stops it. That the holds are still those that were looked at is told by
        their version, which is read before and comes with the permit.
        """
        version = await self.newest_version()
        asked = await self.begin_placement(remark, side, symbol, expires_seconds)
        if isinstance(asked, Permit) or not asked.holds:
            return asked
        if any(hold.kind is not HoldKind.HOUSE for hold in asked.holds):
            return asked
        begun = await self._begun(remark, expires_seconds, [])
        if isinstance(begun, Permit) and begun.version != version:
            await self.end_placement(remark)
            return Refusal(reason="the holds have just changed")
        return begun

    async def end_placement(self, remark: str) -> None:
        """The placement's end is known."""
        await asked("ending a placement", self._redis.hdel(_IN_FLIGHT, remark))

    async def is_in_flight(self, remark: str) -> bool:
        """Whether it is on record: a restarted Redis has forgotten it, and names it to nobody."""
        return bool(await asked("looking for a placement", self._redis.hexists(_IN_FLIGHT, remark)))

    async def in_flight(self) -> tuple[InFlight, ...]:
        """Placements that began and whose end is not known, oldest first."""
        answer = await run("listing placements in flight", self._listing, [_IN_FLIGHT], [])
        pairs = sorted(zip(answer[::2], answer[1::2], strict=True), key=lambda pair: int(pair[1]))
        return tuple(InFlight(remark=remark, since=_moment(since)) for remark, since in pairs)

    async def halt(self, reason: str) -> None:
        """Break-glass: no placement begins until `unhalt`, whatever the control workflow says."""
        await asked("halting", self._redis.set(_HALT, reason))

    async def unhalt(self) -> None:
        """Lift the break-glass halt; the holds still count."""
        await asked("lifting the halt", self._redis.delete(_HALT))

    async def halted(self) -> str | None:
        """Reason of the break-glass halt; None when there is none."""
        reason = await asked("reading the halt", self._redis.get(_HALT))
        return None if reason is None else str(reason)

    async def take_slot(
        self,
        account: str,
        call: str,
        limit: int,
        window_seconds: float,
        gap_seconds: float,
        member: str = "",
    ) -> float:
        """Take one slot of an account's window: 0.0 = taken, else seconds until one is free.

        Any window_seconds hold at most `limit` slots, and slots are at least gap_seconds apart.
        member: whose slot it is; asked again it has the one it took. Empty: nobody's in particular.
        """
        if limit < 1:
            raise InvalidInput("limit", limit, "a window needs room for one call at least")
        wait = await run(
            "taking a slot",
            self._slot,
            [_slots(account, call)],
            [
                member or uuid.uuid4().hex,
                limit,
                _microseconds(window_seconds),
                _microseconds(gap_seconds),
            ],
        )
        return int(wait) / 1e6

    async def use_slot(
        self,
        account: str,
        call: str,
        member: str,
        window_seconds: float,
        gap_seconds: float,
        turn_seconds: float = 0.0,
    ) -> float:
        """Make a slot count from now, when the call goes out: 0.0, else seconds until to ask again.

        The gap is kept to the use before, and with turn_seconds to its end: nobody else uses a slot
        of this window until this one is kept or dropped, or the turn has lasted so long.

        What lies between taking and sending (a claim, a line to stand in) moves no call into
        another window than the one it is counted in.
        """
        times = [_microseconds(window_seconds), _microseconds(gap_seconds)]
        arguments: list[str | int] = [member, *times, _milliseconds(turn_seconds)]
        wait = await run("using a slot", self._use_slot, _turn(account, call), arguments)
        return int(wait) / 1e6

    async def keep_slot(self, account: str, call: str, member: str) -> None:
        """Make a used slot count from now, when the call is over, and so is its turn.

        The broker counted it somewhere between its use and its answer. A window that is measured
        from the answer holds no more calls than the broker's, however long each was on its way.
        """
        await run("keeping a slot", self._keep_slot, _turn(account, call), [member, "called"])

    async def slots_used(self, account: str, call: str, window_seconds: float) -> int:
        """How many calls of the account the window holds just now."""
        since = _microseconds(await self.now() - window_seconds)
        counted = self._redis.zcount(_slots(account, call), since, "+inf")
        return int(await asked("counting slots", counted))

    def line(self, account: str, call: str) -> PlacingLine:
        """Who is next for this window."""
        key = _slots(account, call)
        if key not in self._lines:
            self._lines[key] = PlacingLine(self._redis, key)
        return self._lines[key]

    async def drop_slot(self, account: str, call: str, member: str) -> None:
        """Give back a slot whose call was not made, and its turn."""
        await run("dropping a slot", self._drop_slot, _turn(account, call), [member, "not called"])

    async def ping(self) -> None:
        """Prove that Redis answers."""
        await asked("asking whether it answers", self._redis.ping())

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _publish(self, doing: str, state: ControlState, ttl: float, since: Moment) -> bool:
        opening = 0 if state.paused else 1
        times = [_milliseconds(ttl), _milliseconds(since.at)]
        keys = [_LEASE, _VERSION, _HOLDS]
        arguments: list[str | int] = [state.version, opening, *times, since.run, *_scoped(state)]
        return int(await run(doing, self._state, keys, arguments)) == 1


def _scoped(state: ControlState) -> list[str]:
    """The holds by scope, as the script takes them: scope, JSON, scope, JSON..."""
    by_scope: dict[str, list[dict[str, Any]]] = {}
    for hold in state.holds:
        scope = f"{hold.side.value if hold.side else _ANY}|{hold.symbol or _ANY}"
        by_scope.setdefault(scope, []).append(hold.model_dump(mode="json"))
    return [text for scope, holds in by_scope.items() for text in (scope, json.dumps(holds))]


def _refusal(kind: str, details: Sequence[str]) -> Refusal:
    if kind == "halted":
        return Refusal(reason=f"halted: {details[0]}", halted=True)
    if kind == "closed":
        return Refusal(reason="trading is not open: no lease")
    holds = tuple(Hold(**hold) for text in details for hold in json.loads(text))
    return Refusal(reason="; ".join(hold.reason or hold.key for hold in holds), holds=holds)


def _slots(account: str, call: str) -> str:
    return f"{_PREFIX}slots:{account}:{call}"


def _turn(account: str, call: str) -> list[str]:
    key = _slots(account, call)
    return [key, f"{key}:used", f"{key}:turn"]


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)


def _moment(milliseconds: str) -> str:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC).isoformat()
