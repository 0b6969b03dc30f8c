"""The seven scenes: what Bronco promises, played on a running stack and checked to the unit.

Each scene reads chain, broker and database for what happened, and leaves trading open and the
broker without faults, however it ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bronco.checks import check_bought, check_refunded, check_sold, require
from bronco.play import Asked, Ended, Play, SceneFailed
from bronco.processes import ManagedProcess
from models.errors import BroncoError
from models.money import shares_to_units
from models.order import Order, OrderStatus, Reason, Stage
from simulators.opend.control import VenueOrder
from simulators.opend.errors import ControlError

DOLLAR = 10**6
_BROKER_TRIES = 3


@dataclass(frozen=True)
class SceneResult:
    """What came of one scene. detail: what was seen, or why it failed."""

    name: str
    title: str
    ok: bool
    detail: str
    seconds: float
    orders: tuple[Ended, ...] = ()


@dataclass(frozen=True)
class _Told:
    detail: str
    orders: tuple[Ended, ...]


@dataclass(frozen=True)
class Scene:
    """One scene: a name for programs, a title for people."""

    name: str
    title: str
    act: Callable[[Play], Awaitable[_Told]]


async def play_scene(scene: Scene, play: Play) -> SceneResult:
    """Play one scene; whatever goes wrong in it is its result."""
    began = time.monotonic()
    try:
        told = await scene.act(play)
        ok, detail, orders = True, told.detail, told.orders
    except (BroncoError, ControlError, OSError) as error:
        ok, detail, orders = False, str(error) or type(error).__name__, ()
    finally:
        await _leave_clean(play)
    seconds = time.monotonic() - began
    return SceneResult(scene.name, scene.title, ok, detail, seconds, orders)


async def _leave_clean(play: Play) -> None:
    await play.venue.clear()
    await play.venue.fault("release_fills")
    if any(pause.until is None for pause in play.pauses):
        await play.resume()


# --- the scenes -----------------------------------------------------------------------------------


async def deposit(play: Play) -> _Told:
    """A deposit becomes shares; what one more share would have cost too much comes back."""
    ended = await play.ended(await play.deposit(1_000 * DOLLAR))
    paid = check_bought(ended)
    returned = ended.asked.amount - paid.taken
    words = f"{_shares(paid.out)} shares for {_usd(paid.taken)} USDT, {_usd(returned)} back"
    return _Told(words, (ended,))


async def redeem(play: Play) -> _Told:
    """Shares become USDT."""
    if (await play.balances(0)).shares < shares_to_units(2):
        check_bought(await play.ended(await play.deposit(1_000 * DOLLAR)))
    ended = await play.ended(await play.redeem(shares_to_units(2)))
    sold = check_sold(ended)
    return _Told(f"{_shares(sold.taken)} shares for {_usd(sold.out)} USDT", (ended,))


async def pause(play: Play) -> _Told:
    """While paused two deposits are recorded, nothing is sent; after the resume both are done."""
    await play.pause("demo: trading is paused")
    before = await play.venue.count("PlaceOrder")
    asked = await asyncio.gather(*(play.deposit(500 * DOLLAR, user=user) for user in (1, 2)))
    rows = [await play.until(_held(play, one), f"{one.made.n} is held", asked=one) for one in asked]
    sent = (await play.venue.count("PlaceOrder")).received - before.received
    require(sent == 0, f"{sent} orders reached the broker while trading was paused")
    require(
        all(row.status is OrderStatus.PENDING for row in rows),
        f"rows are {', '.join(row.status for row in rows)} while paused, not PENDING",
    )
    await play.resume()
    ended = await asyncio.gather(*(play.ended(one) for one in asked))
    for one in ended:
        check_bought(one)
    return _Told("2 PENDING and 0 sent while paused; both EXECUTED after the resume", tuple(ended))


async def rejected(play: Play) -> _Told:
    """The broker says no three times: the money goes back."""
    await play.venue.fault("reject", n=_BROKER_TRIES, message="Insufficient buying power")
    ended = await play.ended(await play.deposit(600 * DOLLAR))
    check_refunded(ended, Reason.BROKER_REJECTED)
    arrivals = await play.arrivals_of(ended.asked)
    require(arrivals == _BROKER_TRIES, f"{arrivals} tries reached the broker")
    require(ended.row.retry_count == _BROKER_TRIES, f"retry_count is {ended.row.retry_count}")
    return _Told(f"{arrivals} tries, {_usd(ended.asked.amount)} USDT back", (ended,))


async def answer_lost(play: Play) -> _Told:
    """The broker executes an order but its answer is lost: there is exactly one order."""
    hits = (await play.venue.fault_hits()).get("answer_lost", 0)
    await play.venue.fault("answer_lost", n=1)
    ended = await play.ended(await play.deposit(700 * DOLLAR), seconds=90)
    struck = (await play.venue.fault_hits()).get("answer_lost", 0) - hits
    require(struck == 1, f"{struck} answers were lost")
    arrivals = await play.arrivals_of(ended.asked)
    require(arrivals == 1, f"{arrivals} orders were sent for one request")
    paid = check_bought(ended)
    words = f"answer lost, 1 order at the broker, {_shares(paid.out)} shares delivered"
    return _Told(words, (ended,))


async def worker_killed(play: Play) -> _Told:
    """The worker dies with kill -9 after its order was placed; the order fills; it is settled."""
    worker = _orders_worker(play)
    await play.venue.fault("hold_fills", on=True)
    asked = await play.deposit(800 * DOLLAR)
    await play.until(_placed(play, asked), "its order works at the broker", asked=asked)
    killed = worker.pid
    await worker.kill()
    await play.venue.fault("release_fills")
    await play.until(_filled(play, asked), "the broker filled it", asked=asked)
    open_row = await play.row(asked)
    require(
        open_row is not None and open_row.status is OrderStatus.EXECUTING,
        "the order ended although its worker was dead",
    )
    await worker.start()
    ended = await play.ended(asked)
    check_bought(ended)
    arrivals = await play.arrivals_of(asked)
    require(arrivals == 1, f"{arrivals} orders were sent for one request")
    return _Told(f"worker {killed} killed, filled meanwhile, settled by {worker.pid}", (ended,))


async def too_small(play: Play) -> _Told:
    """A deposit that buys no whole share comes back, with that reason."""
    ended = await play.ended(await play.deposit(50 * DOLLAR))
    check_refunded(ended, Reason.TOO_SMALL)
    require(not ended.orders, "an order was sent for it")
    return _Told(f"{_usd(ended.asked.amount)} USDT back: {ended.row.error_msg}", (ended,))


SCENES: tuple[Scene, ...] = (
    Scene("deposit", "Deposit: shares, and the rest back", deposit),
    Scene("redeem", "Redeem: USDT", redeem),
    Scene("pause", "Pause: two deposits recorded, nothing sent; resume: both done", pause),
    Scene("rejected", "Broker rejects three times: USDT back", rejected),
    Scene("answer_lost", "Answer of a placed order lost: exactly one order", answer_lost),
    Scene("worker_killed", "Worker killed with -9 between order and fill: done", worker_killed),
    Scene("too_small", "Deposit too small for one share: USDT back", too_small),
)


# --- what is waited for ---------------------------------------------------------------------------


def _held(play: Play, asked: Asked) -> Callable[[], Awaitable[Order | None]]:
    async def ask() -> Order | None:
        row = await play.row(asked)
        return row if row is not None and row.stage is Stage.HELD else None

    return ask


def _placed(play: Play, asked: Asked) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        row = await play.row(asked)
        there = [order.status for order in await play.orders_of(asked)]
        return row is not None and row.stage is Stage.PLACED and there == ["SUBMITTED"]

    return ask


def _filled(play: Play, asked: Asked) -> Callable[[], Awaitable[Sequence[VenueOrder]]]:
    async def ask() -> Sequence[VenueOrder]:
        return [order for order in await play.orders_of(asked) if order.filled == order.quantity]

    return ask


def _orders_worker(play: Play) -> ManagedProcess:
    """The worker process that runs the orders' workflows."""
    stack = play.stack
    for name, roles in stack.options.workers.items():
        if {"orders", "all"} & set(roles):
            return stack.processes[name]
    raise SceneFailed("no worker process of this stack runs orders")


def _usd(units: int) -> str:
    whole, rest = divmod(units, DOLLAR)
    return f"{whole:,}.{rest:06d}".rstrip("0") if rest else f"{whole:,}"


def _shares(units: int) -> str:
    whole, rest = divmod(units, shares_to_units(1))
    return f"{whole}" if not rest else f"{whole}.{rest:018d}".rstrip("0")
