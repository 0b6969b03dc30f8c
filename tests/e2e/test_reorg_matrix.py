"""The reorganisation matrix: five depths, five phases, four fates, both sides, on real parts."""

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
import pytest_asyncio

from bronco.devchain import DevChainPlan
from bronco.proof import broker_order
from bronco.stack import stack
from clients.wallet import Requested
from models.batches import SettlementInput
from models.messages import ReconcileResult
from models.order import OrderStatus, Stage
from models.requests import QUEUE_MAIN, RECONCILE_SCHEDULE_ID, Side, settlement_workflow_id
from tests.e2e.desk import DOLLAR, PRICE, SYMBOL, Desk, opened, options
from tests.e2e.ledger import after_these, holdings
from tests.e2e.reorg import CHEAP, GROUPS, Entry, Fate, Phase, Reorganisation
from tests.waiting import eventually

DEPTHS = (1, 2, 5, 12, 31)
SYMBOLS = {depth: f"D{depth}" for depth in DEPTHS}
"""A share for each depth: what the house gets of one holds no order of another."""
USERS = len(GROUPS)
_FILLED = (Phase.FILLED, Phase.SETTLING, Phase.SETTLED)


@pytest_asyncio.fixture(scope="module")
async def reorg_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """A stack with one share for each depth, where small orders are placed at once."""
    symbols = {symbol: int(PRICE) * 10**8 for symbol in (SYMBOL, *SYMBOLS.values())}
    chosen = options(
        tmp_path_factory.mktemp("reorg"),
        plan=DevChainPlan(stocks=symbols, users=USERS),
        opend=[
            *("--partial-rate", "0"),
            *(word for symbol in symbols for word in ("--price", f"{symbol}={PRICE}")),
        ],
        broker_poll_seconds="1",
        chain_confirmation_tiers=f"{CHEAP}:0,*:final",
    )
    async with stack(replace(chosen, api=False)) as running, opened(running) as desk:
        # Reconcile runs when a test says so, and settlement looks for what vanished more often.
        await desk.client.get_schedule_handle(RECONCILE_SCHEDULE_ID).pause()
        await _settle_more_often(desk)
        yield desk


@pytest.fixture
async def reorg_desk(reorg_stack: Desk) -> AsyncIterator[Desk]:
    """It mines by itself again, whatever a test left behind."""
    yield reorg_stack
    await reorg_stack.rpc.call("evm_setAutomine", True)


async def _settle_more_often(desk: Desk) -> None:
    chain = desk.stack.chain
    workflow_id = settlement_workflow_id(chain.chain_id, chain.settler)
    await desk.client.get_workflow_handle(workflow_id).terminate()
    # A group of requests in a batch each, at worst: while no block comes none of them ends.
    given = SettlementInput(sweep_seconds=2.0, max_in_flight=len(GROUPS) * len(Phase))
    await desk.client.start_workflow(
        "SettlementWorkflow",
        given,
        id=workflow_id,
        task_queue=QUEUE_MAIN,
    )


async def _have_shares(desk: Desk, symbol: str) -> None:
    """Twenty for every user, in orders that are placed at once."""
    made = await desk.deposits(2 * USERS, CHEAP * DOLLAR, symbol=symbol)
    await desk.all_end(made, OrderStatus.EXECUTED)


@pytest.mark.parametrize(
    "depth", [d if d == 2 else pytest.param(d, marks=pytest.mark.soak) for d in DEPTHS]
)
async def test_reorg__of_this_depth__every_request_ends_as_the_chain_says(
    reorg_desk: Desk, depth: int
) -> None:
    desk, symbol = reorg_desk, SYMBOLS[depth]
    await _have_shares(desk, symbol)
    before = await holdings(desk)
    event = Reorganisation(desk, symbol, depth)
    await event.fill_blocks()
    await event.take_blocks()
    if depth in (1, 12):
        # At some depths everybody knows before it comes back, at others nobody does.
        await event.noticed()
    await event.give_back()
    await event.serve()
    lives = [entry.lives for entry in event.entries if entry.lives is not None]
    await desk.all_end(lives, OrderStatus.EXECUTED, seconds=90)
    gone = [entry for entry in event.vanished if entry.gone]
    await desk.all_at([entry.made for entry in gone], Stage.ORPHANED, seconds=30)

    assert [str(e) for e in event.entries if await _traded_while_gone(event, e)] == []
    await _filled_once(desk, lives)
    after = await after_these(desk, before, lives)
    assert (await holdings(desk)).tokens == after.tokens
    await _houses(desk, gone)
    await desk.prove()


async def _traded_while_gone(event: Reorganisation, entry: Entry) -> bool:
    """Whether anything for it reached the broker while the chain did not have it."""
    if entry not in event.vanished:
        return False
    until = event.came_back_at if entry.fate is Fate.SAME else float("inf")
    ours = {order.remark for order in await event.desk.orders_of(entry.made)}
    arrived = [p for p in await event.desk.control.placements() if p.remark in ours]
    return any(event.went_at < placement.received_at < until for placement in arrived)


async def _filled_once(desk: Desk, lives: Sequence[Requested]) -> None:
    """One order of each was filled, whole, and none works any more."""
    for one in lives:
        orders = await desk.orders_of(one)
        assert len([order for order in orders if order.filled]) == 1, one
        assert all(broker_order(order).dead for order in orders), one


async def _houses(desk: Desk, gone: Sequence[Entry]) -> None:
    """What was filled for requests that are gone is the house's, no more and no less; it alarms."""
    orders = await desk.orders_of(*(entry.made for entry in gone))
    wanted = {
        order.id: order.filled if order.side == Side.BUY else -order.filled
        for order in orders
        if order.filled
    }
    filled = [entry for entry in gone if entry.phase in _FILLED]
    assert len(wanted) == len(filled)

    async def all_booked() -> bool:
        # A fill counts in two runs after the poll that first saw it: often two, at times three.
        await _reconcile(desk)
        return wanted.keys() <= {row.broker_order_id for row in await desk.store.house.unresolved()}

    await eventually(all_booked, timeout=60)
    await _reconcile(desk)
    booked = {row.broker_order_id: row for row in await desk.store.house.unresolved()}
    assert {order_id: booked[order_id].quantity for order_id in wanted} == wanted
    assert {booked[order_id].cause for order_id in wanted} == {"ORPHANED"}


async def _reconcile(desk: Desk) -> None:
    await desk.client.execute_workflow(
        "ReconcileWorkflow",
        id=f"reconcile-{uuid.uuid4().hex}",
        task_queue=QUEUE_MAIN,
        result_type=ReconcileResult,
    )
