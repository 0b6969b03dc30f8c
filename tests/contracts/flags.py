"""What the flags promise, on Redis and on the embedded stack's in-process server."""

import asyncio
import functools
import itertools
import time

import pytest
from redis.asyncio import Redis

from clients.flags import Flags
from models.control import ControlState, Hold, HoldKind, Permit, Refusal
from models.errors import InvalidInput
from models.requests import Side
from tests.waiting import eventually

LONG = 60.0


def hold(key: str, side: Side | None = None, symbol: str = "") -> Hold:
    return Hold(
        key=key,
        kind=HoldKind.MANUAL,
        reason=f"reason {key}",
        who="ann",
        at="",
        side=side,
        symbol=symbol,
    )


def state(version: int, *holds: Hold) -> ControlState:
    paused = any(each.everything for each in holds)
    return ControlState(paused=paused, version=version, holds=holds)


async def begin(flags: Flags, remark: str = "r1", expires: float = LONG) -> Permit | Refusal:
    return await flags.begin_placement(remark, Side.BUY, "AAPL", expires)


async def is_open(flags: Flags) -> bool:
    answer = await begin(flags, "probe")
    await flags.end_placement("probe")
    return isinstance(answer, Permit)


async def tick(flags: Flags) -> None:
    """Wait until the server's clock shows another millisecond."""
    started = await flags.now()

    async def moved() -> bool:
        return await flags.now() > started + 0.002

    await eventually(moved, interval=0.001)


async def test_begin__no_lease__is_refused_and_not_in_flight(flags: Flags) -> None:
    answer = await begin(flags)

    assert isinstance(answer, Refusal)
    assert answer.reason == "trading is not open: no lease"
    assert await flags.in_flight() == ()


async def test_begin__open__is_registered_until_it_ends(flags: Flags) -> None:
    assert await flags.renew_lease(state(5), LONG)

    permit = await begin(flags)

    assert isinstance(permit, Permit)
    assert (permit.remark, permit.version) == ("r1", 5)
    assert [(each.remark, each.since) for each in await flags.in_flight()] == [("r1", permit.since)]
    await flags.end_placement("r1")
    await flags.end_placement("r1")
    assert await flags.in_flight() == ()


async def test_begin__same_remark_again__keeps_when_it_began(flags: Flags) -> None:
    await flags.renew_lease(state(1), LONG)
    first = await begin(flags)
    await tick(flags)
    second = await begin(flags, expires=0.0)
    await tick(flags)

    assert isinstance(first, Permit)
    assert isinstance(second, Permit)
    assert second.since == first.since
    assert len(await flags.in_flight()) == 1


async def test_lease__not_renewed__runs_out(flags: Flags) -> None:
    await flags.renew_lease(state(1), ttl=0.05)

    async def closed() -> bool:
        return not await is_open(flags)

    await eventually(closed, timeout=3)


async def test_revoke__paused__closes_at_once_and_names_what_is_in_flight(flags: Flags) -> None:
    await flags.renew_lease(state(1), LONG)
    await begin(flags, "r1")

    assert await flags.revoke(state(2, hold("manual")))

    assert not await is_open(flags)
    assert [each.remark for each in await flags.in_flight()] == ["r1"]


async def test_renew__older_version_arrives_late__does_not_open(flags: Flags) -> None:
    await flags.revoke(state(42, hold("manual")))

    assert not await flags.renew_lease(state(41), LONG)
    assert not await flags.revoke(state(41))
    assert not await is_open(flags)
    assert await flags.newest_version() == 42


async def test_renew__paused_state__closes(flags: Flags) -> None:
    await flags.renew_lease(state(1), LONG)

    assert not await flags.renew_lease(state(2, hold("manual")), LONG)

    assert not await is_open(flags)


async def test_renew__answer_older_than_the_lease__does_not_open(flags: Flags) -> None:
    now = await flags.moment()
    asked = now._replace(at=now.at - 2.5)

    assert not await flags.renew_lease(state(1), 2.0, asked=asked)
    assert not await is_open(flags)
    assert await flags.renew_lease(state(1), 2.0, asked=await flags.moment())
    assert await is_open(flags)


async def test_renew__asked_before_a_restart__does_not_open(flags: Flags) -> None:
    """A pause since may be forgotten with all else."""
    asked = (await flags.moment())._replace(run="the run before")

    assert not await flags.renew_lease(state(1), 2.0, asked=asked)
    assert not await is_open(flags)


async def test_renew__same_version__goes_on(flags: Flags) -> None:
    for _ in range(3):
        assert await flags.renew_lease(state(7), LONG)
    assert await is_open(flags)


@pytest.mark.parametrize(
    ("scope", "refused"),
    [
        ((None, ""), {"BUY AAPL", "BUY MSFT", "SELL AAPL", "SELL MSFT"}),
        ((Side.BUY, ""), {"BUY AAPL", "BUY MSFT"}),
        ((None, "AAPL"), {"BUY AAPL", "SELL AAPL"}),
        ((Side.SELL, "MSFT"), {"SELL MSFT"}),
    ],
)
async def test_holds__by_scope__refuse_what_they_cover(
    flags: Flags, scope: tuple[Side | None, str], refused: set[str]
) -> None:
    covering = hold("h", *scope)
    # Open in spite of a hold on everything, to see that the hold alone already refuses.
    await flags.renew_lease(ControlState(paused=False, version=1, holds=(covering,)), LONG)

    answers = {
        f"{side} {symbol}": await flags.begin_placement(f"{side}{symbol}", side, symbol, LONG)
        for side in Side
        for symbol in ("AAPL", "MSFT")
    }

    assert {key for key, answer in answers.items() if isinstance(answer, Refusal)} == refused
    for key in refused:
        answer = answers[key]
        assert isinstance(answer, Refusal)
        assert answer.holds == (covering,)
        assert answer.reason == "reason h"


async def test_holds__lifted__let_pass_and_two_of_one_scope_are_both_named(flags: Flags) -> None:
    await flags.renew_lease(state(1, hold("a", Side.BUY), hold("b", Side.BUY)), LONG)
    answer = await begin(flags)
    assert isinstance(answer, Refusal)
    assert [each.key for each in answer.holds] == ["a", "b"]

    assert await flags.revoke(state(2))
    assert await is_open(flags)


async def test_halt__whatever_the_lease_says__refuses_until_lifted(flags: Flags) -> None:
    await flags.renew_lease(state(1), LONG)
    assert await flags.halted() is None
    await flags.halt("fire")

    answer = await begin(flags)

    assert isinstance(answer, Refusal)
    assert (answer.halted, answer.reason) == (True, "halted: fire")
    assert await flags.halted() == "fire"
    await flags.renew_lease(state(2), LONG)
    assert not await is_open(flags)
    await flags.unhalt()
    assert await is_open(flags)


async def test_in_flight__never_ended__is_forgotten_when_it_expires(flags: Flags) -> None:
    await flags.renew_lease(state(1), LONG)
    await begin(flags, "short", expires=0.05)
    await begin(flags, "long")

    async def only_long() -> bool:
        return [each.remark for each in await flags.in_flight()] == ["long"]

    await eventually(only_long, timeout=3)


async def test_in_flight__several__oldest_first(flags: Flags) -> None:
    await flags.renew_lease(state(1), LONG)
    for remark in ("z", "a", "m"):
        await begin(flags, remark)
        await tick(flags)

    assert [each.remark for each in await flags.in_flight()] == ["z", "a", "m"]


async def test_begin_and_revoke__at_once__none_begins_after_the_revoke(flags: Flags) -> None:
    await flags.renew_lease(state(1), LONG)

    async def pause() -> set[str]:
        await flags.revoke(state(2, hold("manual")))
        return {each.remark for each in await flags.in_flight()}

    answers = await asyncio.gather(
        *(begin(flags, f"r{n}") for n in range(20)),
        pause(),
        *(begin(flags, f"s{n}") for n in range(20)),
    )

    named = next(answer for answer in answers if isinstance(answer, set))
    begun = {answer.remark for answer in answers if isinstance(answer, Permit)}
    assert begun <= named


async def test_slots__full_burst_then_wait__another_call_or_account_is_free(flags: Flags) -> None:
    waits = [await flags.take_slot("acc", "place", 5, 30.0, 0.0) for _ in range(6)]

    assert waits[:5] == [0.0] * 5
    assert 29 < waits[5] <= 30.001
    assert await flags.take_slot("acc", "cancel", 5, 30.0, 0.0) == 0.0
    assert await flags.take_slot("other", "place", 5, 30.0, 0.0) == 0.0


async def test_slots__closer_than_the_gap__wait_for_it(flags: Flags) -> None:
    assert await flags.take_slot("acc", "place", 15, 30.0, 5.0) == 0.0

    assert 4 < await flags.take_slot("acc", "place", 15, 30.0, 5.0) <= 5.0


async def test_slots__wanted_by_many_at_once__exactly_the_limit(flags: Flags) -> None:
    waits = await asyncio.gather(
        *(flags.take_slot("acc", "place", 15, 30.0, 0.0) for _ in range(40))
    )

    assert waits.count(0.0) == 15


async def test_slots__over_several_windows__none_holds_more_than_the_limit(
    flags: Flags, flags_url: str
) -> None:
    limit, window, gap = 4, 0.15, 0.01

    async def take() -> bool:
        return await flags.take_slot("acc", "place", limit, window, gap) == 0.0

    async def worker() -> None:
        for _ in range(6):
            await eventually(take, interval=gap)
            await note()

    taken: set[int] = set()

    async def note() -> None:
        async with Redis.from_url(flags_url, decode_responses=True) as redis:
            slots = await redis.zrange("bronco:slots:acc:place", 0, -1, withscores=True)
            taken.update(int(pair[1]) for pair in slots)

    await asyncio.gather(*(worker() for _ in range(3)))

    times = sorted(taken)
    assert len(times) == 18
    assert all(b - a >= gap * 1e6 for a, b in itertools.pairwise(times))
    for start in times:
        assert sum(start <= at <= start + window * 1e6 for at in times) <= limit


async def test_slot__of_a_member__is_taken_once_and_given_back(flags: Flags) -> None:
    take = functools.partial(flags.take_slot, "acc", "place", 1, 30.0, 0.0)
    assert await take("mine") == 0.0
    assert await take("mine") == 0.0, "asked again, it has the slot it took"
    assert await take("other") > 29

    await flags.drop_slot("acc", "place", "mine")

    assert await take("other") == 0.0


async def test_slot__used_later_than_taken__counts_from_its_use(flags: Flags) -> None:
    """What stood in line before it was sent is counted in the window it is sent in."""
    take = functools.partial(flags.take_slot, "acc", "place", 1, 0.4, 0.0)
    assert await take("first") == 0.0
    taken = time.monotonic()
    await eventually(lambda: time.monotonic() > taken + 0.3)

    assert await flags.use_slot("acc", "place", "first", 0.4, 0.0) == 0.0
    used = time.monotonic()

    async def second() -> bool:
        return await take("second") == 0.0

    await eventually(second, interval=0.01)
    assert time.monotonic() >= used + 0.38


async def test_slots__used_closer_than_the_gap__wait_for_it(flags: Flags) -> None:
    assert await flags.use_slot("acc", "place", "one", 30.0, 5.0) == 0.0

    assert 4 < await flags.use_slot("acc", "place", "two", 30.0, 5.0) <= 5.0


async def test_slots__used_in_turns__the_gap_counts_from_the_end_of_a_turn(flags: Flags) -> None:
    use = functools.partial(flags.use_slot, "acc", "place")
    assert await use("one", 30.0, 5.0, 60.0) == 0.0
    assert await use("two", 30.0, 0.0, 60.0) > 0, "it is the turn of the first"
    await flags.keep_slot("acc", "place", "two")
    assert await use("two", 30.0, 0.0, 60.0) > 0, "nobody ends the turn of another"

    before = await flags.now()
    await eventually(lambda: _is_past(flags, before + 0.3), interval=0.01)
    ended = await flags.now()
    await flags.keep_slot("acc", "place", "one")

    wait = await use("two", 30.0, 5.0, 60.0)
    assert 5.0 >= wait >= 5.0 - (await flags.now() - ended)
    assert await use("two", 30.0, 0.0, 60.0) == 0.0


async def test_slots__given_back_in_its_turn__the_next_one_has_no_gap_to_keep(
    flags: Flags,
) -> None:
    use = functools.partial(flags.use_slot, "acc", "place")
    assert await use("one", 30.0, 0.0, 60.0) == 0.0
    await flags.drop_slot("acc", "place", "one")

    assert await use("two", 30.0, 0.0, 60.0) == 0.0


async def test_slots__limit_of_nothing__is_named(flags: Flags) -> None:
    with pytest.raises(InvalidInput, match="limit=0"):
        await flags.take_slot("acc", "place", 0, 30.0, 0.0)


async def test_scripts__forgotten_by_the_server__are_sent_again(
    flags: Flags, flags_url: str
) -> None:
    await flags.renew_lease(state(1), LONG)
    async with Redis.from_url(flags_url) as redis:
        await redis.script_flush()

    assert await is_open(flags)
    await flags.ping()


async def test_begin__paused__names_the_hold_and_not_the_missing_lease(flags: Flags) -> None:
    await flags.renew_lease(state(1), LONG)
    manual = hold("manual")
    await flags.revoke(state(2, manual))

    answer = await begin(flags)

    assert isinstance(answer, Refusal)
    assert answer.holds == (manual,)


async def test_slot__of_a_call_that_took_long__counts_from_its_answer(flags: Flags) -> None:
    """The broker may have counted it only just before it answered."""
    take = functools.partial(flags.take_slot, "acc", "place", 1, 0.4, 0.0)
    assert await take("slow") == 0.0
    assert await flags.use_slot("acc", "place", "slow", 0.4, 0.0) == 0.0
    half = await flags.now() + 0.2
    await eventually(lambda: _is_past(flags, half), interval=0.01)
    await flags.keep_slot("acc", "place", "slow")
    assert await take("next") > 0.3
    await flags.drop_slot("acc", "place", "slow")
    await flags.keep_slot("acc", "place", "slow")
    assert await take("next") == 0.0, "what was given back stays so"


async def _is_past(flags: Flags, moment: float) -> bool:
    return await flags.now() > moment


def house_hold(symbol: str = "AAPL") -> Hold:
    key = f"house:{symbol}"
    return Hold(key=key, kind=HoldKind.HOUSE, reason=key, who="r", at="", symbol=symbol)


async def house(flags: Flags, remark: str = "h1") -> Permit | Refusal:
    return await flags.begin_house_placement(remark, Side.SELL, "AAPL", LONG)


async def test_begin_house__its_own_hold__lets_it_pass_and_nobody_else(flags: Flags) -> None:
    await flags.renew_lease(state(3, house_hold()), LONG)

    assert isinstance(await begin(flags), Refusal)
    permit = await house(flags)

    assert isinstance(permit, Permit)
    assert [one.remark for one in await flags.in_flight()] == ["h1"]


@pytest.mark.parametrize("other", [hold("a", None, "AAPL"), hold("b", Side.SELL), hold("all")])
async def test_begin_house__any_other_hold__stops_it(flags: Flags, other: Hold) -> None:
    await flags.renew_lease(state(3, house_hold(), other), LONG)

    assert isinstance(await house(flags), Refusal)
    assert await flags.in_flight() == ()


async def test_begin_house__no_lease_or_a_halt__stops_it(flags: Flags) -> None:
    assert isinstance(await house(flags), Refusal)
    await flags.renew_lease(state(3, house_hold()), LONG)
    await flags.halt("fire")
    refused = await house(flags)
    assert isinstance(refused, Refusal)
    assert refused.halted
    await flags.unhalt()
    assert isinstance(await house(flags), Permit)


async def test_begin_house__a_hold_comes_between__nothing_begins(
    flags: Flags, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flags.renew_lease(state(3, house_hold()), LONG)
    asked = flags.begin_placement

    async def then_held(*arguments: object) -> Permit | Refusal:
        answer = await asked(*arguments)  # type: ignore[arg-type]
        await flags.revoke(state(4, house_hold(), hold("a", None, "AAPL")))
        await flags.renew_lease(state(4, house_hold(), hold("a", None, "AAPL")), LONG)
        return answer

    monkeypatch.setattr(flags, "begin_placement", then_held)
    assert isinstance(await house(flags), Refusal)
    assert await flags.in_flight() == ()
