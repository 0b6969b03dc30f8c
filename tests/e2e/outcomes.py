"""What can become of one request at the broker: scenes for a table, made at the simulator."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from clients.wallet import Requested
from models.order import OrderStatus, Reason, Stage
from models.requests import Side, parse_remark
from simulators.opend.control import VenueOrder
from tests.e2e.desk import Desk
from tests.e2e.ledger import after_these, holdings
from tests.waiting import eventually

SHARES = 2
"""Every request here is for two shares, so that an order may fill in part."""


@dataclass
class Case:
    """One request of alice's, and what is done around it."""

    desk: Desk
    side: Side
    made: Requested | None = None

    async def fault(self, name: str, **params: Any) -> None:
        await self.desk.control.fault(name, **params)

    async def begin(self) -> Requested:
        """Make the request."""
        desk = self.desk
        self.made = await (desk.deposit() if self.side is Side.BUY else desk.redeem(SHARES))
        return self.made

    @property
    def request(self) -> Requested:
        assert self.made is not None, "begin first"
        return self.made

    async def order(self, status: str = "", filled: int = 0) -> VenueOrder:
        """Its newest order at the simulator, once there is one (with that status and fill)."""

        async def there() -> VenueOrder | None:
            orders = await self.desk.orders_of(self.request)
            last = orders[-1] if orders else None
            good = last and status in ("", last.status) and last.filled >= filled
            return last if good else None

        found = await eventually(there, timeout=30)
        assert found is not None
        return found

    async def sent(self) -> None:
        """Wait until its placement has reached the simulator, whatever became of it."""
        wanted = self.request.request_id

        async def came() -> bool:
            parsed = [parse_remark(each.remark) for each in await self.desk.control.placements()]
            return wanted in [found[0] for found in parsed if found is not None]

        await eventually(came, timeout=30)

    async def at(self, *stages: Stage) -> None:
        await self.desk.at(self.request, *stages)

    async def working(self) -> VenueOrder:
        """The order, working and unfilled, and known to be so."""
        await self.fault("hold_fills", on=True)
        await self.begin()
        await self.at(Stage.PLACED)
        return await self.order("SUBMITTED")

    async def part_filled(self) -> VenueOrder:
        """The order with one of its two shares filled, and known to be so."""
        await self.fault("partial_fill", quantity=1)
        await self.begin()
        found = await self.order("FILLED_PART", filled=1)

        async def known() -> bool:
            order = await self.desk.store.book.by_order_id(found.id)
            return order is not None and order.filled == 1

        await eventually(known)
        return found

    async def user_cancels(self) -> None:
        await self.desk.alice.request_cancel(self.request.n)

    async def hit(self, name: str, times: int = 1) -> None:
        """Wait until a fault has struck so often."""

        async def struck() -> bool:
            return (await self.desk.control.fault_hits()).get(name, 0) >= times

        await eventually(struck, timeout=30)

    async def release(self) -> None:
        await self.fault("release_fills")


Act = Callable[[Case], Awaitable[None]]
Fate = tuple[str, int]
"""Status and shares filled of one order at the simulator."""

FILLED: tuple[Fate, ...] = (("FILLED_ALL", 2),)
CANCELLED: tuple[Fate, ...] = (("CANCELLED_ALL", 0),)
PART: tuple[Fate, ...] = (("CANCELLED_PART", 1),)
NONE: tuple[Fate, ...] = ()
BOTH = (Side.BUY, Side.SELL)
ABSENT = Reason.PROVEN_ABSENT


@dataclass(frozen=True)
class Outcome:
    """A row: what happens, and every order that may then be at the simulator, in their order.

    tries: how often the broker is then counted to have said no. reason: why it was given back;
    NONE: it was settled.
    """

    name: str
    act: Act
    orders: tuple[Fate, ...]
    reason: Reason = Reason.NONE
    tries: int = 0
    sides: tuple[Side, ...] = (Side.BUY,)

    @property
    def end(self) -> OrderStatus:
        settled = self.reason is Reason.NONE
        return OrderStatus.EXECUTED if settled else OrderStatus.FAILED


def rows(*table: Outcome) -> list[tuple[Outcome, Side]]:
    """One test a row and side."""
    return [(row, side) for row in table for side in row.sides]


def names(found: list[tuple[Outcome, Side]]) -> list[str]:
    return [f"{row.name}, {side.name}" for row, side in found]


async def check_together(desk: Desk, table: Sequence[tuple[Outcome, Side]]) -> None:
    """Rows that wait for the same long time, one begun when the one before has been sent."""
    before = await holdings(desk)
    made = []
    for row, side in table:
        case = Case(desk, side)
        await row.act(case)
        await case.sent()
        made.append(case.request)
    for (row, _), request in zip(table, made, strict=True):
        await ended_so(desk, row, request)
    assert await holdings(desk) == await after_these(desk, before, made)


async def check(desk: Desk, row: Outcome, side: Side) -> None:
    """Let it happen, and see the orders at the broker and the money everywhere."""
    before = await holdings(desk)
    case = Case(desk, side)
    await row.act(case)
    await ended_so(desk, row, case.request)
    assert await holdings(desk) == await after_these(desk, before, [case.request])


async def ended_so(desk: Desk, row: Outcome, made: Requested) -> None:
    """The request ended as the row says, and every order of it at the simulator."""
    ended = await desk.end(made, row.end)
    assert ended.reason is row.reason, row.name
    assert ended.retry_count == row.tries, row.name
    found = await desk.orders_of(made)
    assert [(order.status, order.filled) for order in found] == list(row.orders), row.name
    assert {order.quantity for order in found} <= {SHARES}


def armed(fault: str, **params: Any) -> Act:
    """The fault waits for the request's own placement, or whatever `protocol` says."""

    async def act(case: Case) -> None:
        await case.fault(fault, **params)
        await case.begin()

    return act


def working(*steps: Act) -> Act:
    """The order works; then these."""

    async def act(case: Case) -> None:
        await case.working()
        for step in steps:
            await step(case)

    return act


def part(*steps: Act) -> Act:
    """The order is filled in part; then these."""

    async def act(case: Case) -> None:
        await case.part_filled()
        for step in steps:
            await step(case)

    return act


def fault(name: str, **params: Any) -> Act:
    """A step: arm, switch, or do it."""

    async def act(case: Case) -> None:
        await case.fault(name, **params)

    return act


def done_to_it(name: str, **params: Any) -> Act:
    """A step: something done to the newest order."""

    async def act(case: Case) -> None:
        await case.fault(name, order_id=(await case.order()).id, **params)

    return act


def hit(name: str, times: int = 1) -> Act:
    async def act(case: Case) -> None:
        await case.hit(name, times)

    return act


async def user_cancels(case: Case) -> None:
    await case.user_cancels()


async def release(case: Case) -> None:
    await case.release()


async def day_ends(case: Case) -> None:
    assert await case.desk.control.day_roll() == 1
