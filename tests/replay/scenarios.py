"""Lives of orders whose histories are kept: one of each way that an order can go."""

import contextlib
from collections.abc import Awaitable, Callable

from temporalio.client import WorkflowUpdateFailedError

from models.messages import PlaceOrderInput, PlaceOrderResult, PlaceOutcome
from models.operating import OperatorAct, Verb
from models.order import Reason
from models.records import ClaimState
from models.requests import Side, VaultStatus
from tests.approving import APPROVERS, STRANGER, approval_case, signature
from tests.builders import claim_view, ended, filled, not_placed
from tests.fakes import World
from tests.waiting import eventually
from tests.workflow.desk import Desk, Handle, completed

SALT = 1_000
"""Request ids of recordings: no other test uses them, and each recording has its own."""
Scenario = Callable[[Desk], Awaitable[Handle]]
HELD = not_placed(PlaceOutcome.HELD)
WAIT = {"resolution": "WAIT", "detail": "is looked for", "retry_seconds": 2.0}


async def _world(desk: Desk, number: int, side: Side = Side.BUY) -> World:
    return await desk.world(side, salt=SALT + number)


async def _ended(handle: Handle) -> Handle:
    await handle.result()
    return handle


def _cancels(world: World, shares: int = 0) -> None:
    async def answer(_: object) -> object:
        order = filled(world.order(), shares) if shares else world.order()
        await world.push(ended(order))
        return {"accepted": True}

    world.cancels = [answer]


async def deposit(desk: Desk) -> Handle:
    """Placed, part filled, filled, settled."""
    world = await _world(desk, 1)
    world.place_default = world.works
    handle = await desk.start(world)
    await completed(handle, 2)
    await world.push(filled(world.order(), 1))
    await world.push(filled(world.order()))
    return await _ended(handle)


async def redeem(desk: Desk) -> Handle:
    """The fill's push overtakes the placement's answer."""
    return await _ended(await desk.start(await _world(desk, 2, Side.SELL)))


async def rejected(desk: Desk) -> Handle:
    """Three times no, then refunded."""
    world = await _world(desk, 3)
    world.place_default = not_placed(PlaceOutcome.REJECTED, attempt_used=True)
    return await _ended(await desk.start(world))


async def unknown_found(desk: Desk) -> Handle:
    """The answer was lost; the order turns up and is filled."""
    world = await _world(desk, 4)
    world.places = [not_placed(PlaceOutcome.RESOLVE)]
    world.resolves = [WAIT, WAIT, lambda _: world.found(filled(world.order()))]
    return await _ended(await desk.start(world))


async def unknown_absent(desk: Desk) -> Handle:
    """The activity broke; the order is proven absent and refunded."""
    world = await _world(desk, 5)
    world.places = [RuntimeError("worker died")]
    world.resolves = [WAIT, {"resolution": "ABSENT", "detail": "two reads without it"}]
    return await _ended(await desk.start(world))


async def held(desk: Desk) -> Handle:
    """Held, woken, held still, resumed."""
    world = await _world(desk, 6)
    world.places = [HELD, HELD, HELD]
    handle = await desk.start(world)
    await completed(handle, 4)
    await world.signal("wake")
    await completed(handle, 5)
    await world.signal("wake", "resumed")
    return await _ended(handle)


async def cancelled(desk: Desk) -> Handle:
    """Cancelled by the user while it works."""
    world = await _world(desk, 7)
    world.place_default = world.works
    _cancels(world)
    handle = await desk.start(world)
    await completed(handle, 2)
    await world.signal("cancel")
    return await _ended(handle)


async def cancelled_in_temporal(desk: Desk) -> Handle:
    """Cancelled with the Web UI's button while it is being placed."""
    world = await _world(desk, 8)
    world.place_default = world.works
    _cancels(world)
    gate = world.hold("place_order")
    handle = await desk.start(world)
    await completed(handle, 1)
    await handle.cancel()
    gate.set()
    return await _ended(handle)


async def part_filled(desk: Desk) -> Handle:
    """Timed out with a part filled, which is settled."""
    world = await _world(desk, 9)
    world.place_default = world.works
    _cancels(world, shares=1)
    return await _ended(await desk.start(world))


async def restarted(desk: Desk) -> Handle:
    """A run that finds what earlier runs sent."""
    world = await _world(desk, 10)
    states = (ClaimState.VOID, ClaimState.REJECTED, ClaimState.PLACED)
    request_id = world.request.request_id
    world.claims = tuple(claim_view(request_id, n, state) for n, state in enumerate(states, 1))
    world.resolves = [lambda _: world.found(filled(world.order(3)))]
    return await _ended(await desk.start(world))


async def day_end(desk: Desk) -> Handle:
    """Confirmed late, ended by nobody here, waits for the session, is filled the next day."""
    world = await _world(desk, 11)
    world.confirmations = [2, 0]

    async def died(message: PlaceOrderInput) -> PlaceOrderResult:
        placed = world.works(message)
        await world.push(ended(world.order(message.attempt)))
        return placed

    closed = not_placed(PlaceOutcome.WAITING_SESSION, retry_seconds=30.0)
    limited = not_placed(PlaceOutcome.RATE_LIMITED, retry_seconds=1.0)
    world.places = [died, closed, closed, limited]
    return await _ended(await desk.start(world))


async def split(desk: Desk) -> Handle:
    """Works for shares that a split ends; cancelled by us, placed again in new ones."""
    world = await _world(desk, 15)
    world.outdated = {1}
    _cancels(world, shares=0)
    world.places = [world.works]
    return await _ended(await desk.start(world))


async def recalled(desk: Desk) -> Handle:
    """Called back by a pause while it works, held, and placed anew after the resume."""
    world = await _world(desk, 16)
    world.places = [world.works, HELD, HELD]
    _cancels(world)
    handle = await desk.start(world)
    await completed(handle, 2)
    await world.signal("recall", "wrong price")
    await eventually(lambda: world.shown)
    await world.signal("wake")
    return await _ended(handle)


async def refused_item(desk: Desk) -> Handle:
    """Too small; the refund is not provable at first, and its signal is lost."""
    world = await _world(desk, 12)
    world.places = [not_placed(PlaceOutcome.REFUND, reason=Reason.TOO_SMALL)]
    world.refusals = ["the vault does not show the request"]
    return await _ended(await desk.start(world))


async def owed(desk: Desk) -> Handle:
    """Sold, and settled by a vault that can pay only later."""
    world = await _world(desk, 13, Side.SELL)
    world.owed = 3
    return await _ended(await desk.start(world))


async def approved(desk: Desk) -> Handle:
    """A refund above the return limit: two signatures, a wrong one between them, refunded."""
    world = await _world(desk, 14)
    world.places = [not_placed(PlaceOutcome.REFUND, reason=Reason.TOO_SMALL)]
    world.settles_at_once = False
    world.case = case = approval_case(world.request)
    handle = await desk.start(world)
    await completed(handle, 3)
    await world.signal("settled")
    await eventually(lambda: world.shown)
    await handle.execute_update("approve", signature(case, APPROVERS[0]))
    with contextlib.suppress(WorkflowUpdateFailedError):
        await handle.execute_update("approve", signature(case, STRANGER))
    await handle.execute_update("approve", signature(case, APPROVERS[1]))
    await world.end(VaultStatus.REFUNDED)
    return await _ended(handle)


async def operator_refunded(desk: Desk) -> Handle:
    """Held, told to look again, then given back by an operator."""
    world = await _world(desk, 16)
    world.places = [HELD] * 20
    handle = await desk.start(world)
    for done, verb in ((4, Verb.RETRY), (6, Verb.REFUND)):
        await completed(handle, done)
        await handle.execute_update("operate", OperatorAct(verb=verb, who="ada", reason="asked"))
    return await _ended(handle)


async def operator_cancelled(desk: Desk) -> Handle:
    """A refund is refused while it works; a cancel is not, and a part was filled."""
    world = await _world(desk, 17)
    world.place_default = world.works
    _cancels(world, shares=1)
    handle = await desk.start(world)
    await completed(handle, 2)
    with contextlib.suppress(WorkflowUpdateFailedError):
        await handle.execute_update("operate", OperatorAct(verb=Verb.REFUND, who="ada", reason="x"))
    await handle.execute_update("operate", OperatorAct(verb=Verb.CANCEL, who="ada", reason="y"))
    return await _ended(handle)


SCENARIOS: tuple[Scenario, ...] = (
    deposit,
    redeem,
    rejected,
    unknown_found,
    unknown_absent,
    held,
    cancelled,
    cancelled_in_temporal,
    part_filled,
    recalled,
    restarted,
    day_end,
    refused_item,
    owed,
    approved,
    split,
    operator_refunded,
    operator_cancelled,
)
