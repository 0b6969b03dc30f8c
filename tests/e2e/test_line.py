"""More orders than the broker's window takes: each is placed once, and none is refused for rate.

`make soak` runs the windows as OpenD has them, and shows that they are used in full and fairly.
"""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bronco.devchain import DevChainPlan
from bronco.stack import stack
from clients.wallet import Requested
from models.order import OrderStatus, Stage
from models.requests import parse_remark
from tests.e2e.desk import ONE_SHARE, Desk, opened, options
from tests.waiting import eventually

# https://openapi.futunn.com/futu-api-doc/en/trade/place-order.html
LIMIT, WINDOW = 15, 30.0
WHALE, MINNOW, REDEEMER = 0, 1, 2


@dataclass
class Queue:
    """A desk whose broker has its limits on. window: seconds."""

    desk: Desk
    window: float

    async def arrivals(self, since: int = 0) -> list[tuple[str, float]]:
        """(request id, Unix seconds) of what came to the broker, oldest first."""
        placements = (await self.desk.control.placements())[since:]
        refused = [each.message for each in placements if each.outcome == "rejected"]
        assert not refused, f"{len(refused)} refused: {refused[:3]}"
        found = [(parse_remark(each.remark), each.received_at) for each in placements]
        return [(parsed[0], at) for parsed, at in found if parsed is not None]

    async def fresh(self, user: int, count: int, side: str = "deposit") -> list[Requested]:
        """Requests of one user."""
        amount = ONE_SHARE if side == "deposit" else 10**18
        return await self.desk.requests_of(user, side, amount, count)


@pytest.fixture
async def queue(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Queue]:
    scale = request.param
    chosen = options(
        tmp_path,
        plan=DevChainPlan(users=3),
        opend=("--limits", "--limits-scale", str(scale)),
        broker_place_limit=str(LIMIT),
        broker_place_window_seconds=str(WINDOW * scale),
        broker_place_gap_seconds="0",
        broker_query_limit="10",
        broker_query_window_seconds=str(WINDOW * scale),
        broker_poll_seconds=str(5 * scale),
        orders_line_per_owner="1000",
    )
    async with stack(chosen) as running, opened(running) as desk:
        await desk.holding(3)
        yield Queue(desk, WINDOW * scale)


async def _all_wait(queue: Queue, count: int) -> list[Requested]:
    """As many orders of one owner, held and then let go at once."""
    desk = queue.desk
    await desk.play.pause("they gather")
    made = await queue.fresh(WHALE, count)
    await desk.all_at(made, Stage.HELD, seconds=240)
    await desk.play.resume()
    return made


async def _few_more(queue: Queue, before: int) -> None:
    """Some are placed, so that the window is full; then a redeem and another user come."""

    async def under_way() -> bool:
        return len(await queue.arrivals(before)) > LIMIT

    await eventually(under_way, timeout=120)


@pytest.mark.soak  # a stack of its own; the line itself is tried without one
@pytest.mark.parametrize("queue", [0.15], indirect=True)
async def test_line__more_than_the_window_takes__each_is_placed_once_and_none_is_refused(
    queue: Queue,
) -> None:
    """Who is served first is shown in tests/integration/test_line.py and, unscaled, below."""
    desk = queue.desk
    before = len(await desk.control.placements())
    await desk.play.pause("they gather")
    deposits = [*await queue.fresh(WHALE, 30), *await queue.fresh(MINNOW, 3)]
    everybody = [*deposits, *await queue.fresh(REDEEMER, 2, "redeem")]
    await desk.all_at(everybody, Stage.HELD, seconds=120)
    await desk.play.resume()
    await desk.all_end(everybody, OrderStatus.EXECUTED, seconds=180)

    arrived = [request_id for request_id, _ in await queue.arrivals(before)]
    assert sorted(arrived) == sorted(each.request_id for each in everybody), "each once"
    await desk.prove()


@pytest.mark.soak
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("queue", [1.0], indirect=True)
async def test_line__300_wait__28_of_30_placements_a_minute_and_nobody_waits_long(
    queue: Queue,
) -> None:
    desk = queue.desk
    before = len(await desk.control.placements())
    whale = await _all_wait(queue, 300)
    await _few_more(queue, before)
    (redeem,) = await queue.fresh(REDEEMER, 1, "redeem")
    (minnow,) = await queue.fresh(MINNOW, 1)
    came = (await desk.terms(redeem)).deadline - 3600
    await desk.all_end([*whale, redeem, minnow], OrderStatus.EXECUTED, seconds=1200)

    arrivals = await queue.arrivals(before)
    at = dict(arrivals)
    first = arrivals[0][1]
    ends = [first + 60 * minute for minute in range(1, 10)]
    minutes = [sum(end - 60 <= each < end for _, each in arrivals) for end in ends]
    waits = at[redeem.request_id] - came, at[minnow.request_id] - came
    logging.getLogger(__name__).warning("a minute: %s; redeem, minnow: %s s", minutes, waits)
    assert min(minutes) >= 28
    assert waits[0] <= 30
    assert waits[1] <= 60
    assert (await desk.control.count("PlaceOrder")).rejected == 0
