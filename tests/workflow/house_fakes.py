"""The activities of a house position, played: its orders, and what the broker says of them."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from models.broker import BrokerOrder, BrokerStatus
from models.house import FlattenStep, HouseInput, HouseOutcome, HouseVerb
from models.messages import (
    CancelOrderInput,
    CancelOrderResult,
    PlaceOrderInput,
    PlaceOrderResult,
    PlaceOutcome,
    Resolution,
    ResolveInput,
    ResolveResult,
)
from models.requests import QUEUE_CONTROL, QUEUE_PLACE, Side, remark_of
from workers.runner import sandbox
from workflows.house import HouseWorkflow

SYMBOL = "AAPL"
Handle = WorkflowHandle[HouseWorkflow, HouseOutcome]


class FakeHouse:
    """answers: what comes of each placement in turn; a number fills so many shares."""

    def __init__(self, outstanding: int, *answers: int | PlaceOutcome | Exception) -> None:
        self.outstanding = outstanding
        self.answers = list(answers)
        self.weighed = HouseOutcome(verb=HouseVerb.FLATTEN, words="sell them")
        self.number = 1
        self.open: BrokerOrder | None = None
        self.unknown = False
        self.asked: list[tuple[int, Side]] = []
        self.cancelled = 0
        self.closed = 0

    @activity.defn(name="weigh_house")
    async def weigh_house(self, message: HouseInput) -> HouseOutcome:
        return self.weighed

    @activity.defn(name="look_at_house_orders")
    async def look_at_house_orders(self, position_id: int) -> FlattenStep:
        return FlattenStep(
            position_id=position_id,
            symbol=SYMBOL,
            outstanding=self.outstanding,
            number=self.number,
            open=self.unknown or self.open is not None,
            order=self.open,
        )

    @activity.defn(name="place_house_order")
    async def place_house_order(self, message: PlaceOrderInput) -> PlaceOrderResult:
        self.asked.append((self.number, message.request.side))
        assert self.open is None
        assert not self.unknown
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, PlaceOutcome):
            self.number += answer is PlaceOutcome.REJECTED
            self.unknown = answer is PlaceOutcome.RESOLVE
            return PlaceOrderResult(outcome=answer, detail="said so", retry_seconds=5.0)
        self.open = self._order(message.request.side, answer)
        if answer == abs(self.outstanding):
            self._end()
        return PlaceOrderResult(outcome=PlaceOutcome.PLACED, order=self.open)

    @activity.defn(name="resolve_placement")
    async def resolve_placement(self, message: ResolveInput) -> ResolveResult:
        self.unknown = False
        self.number += 1
        return ResolveResult(resolution=Resolution.ABSENT)

    @activity.defn(name="cancel_order")
    async def cancel_order(self, message: CancelOrderInput) -> CancelOrderResult:
        self.cancelled += 1
        self._end()
        return CancelOrderResult(accepted=True)

    @activity.defn(name="close_flattened")
    async def close_flattened(self, message: HouseInput) -> HouseOutcome:
        self.closed += 1
        return HouseOutcome(verb=message.verb, words="flattened", done=True)

    def _order(self, side: Side, filled: int) -> BrokerOrder:
        request_id = f"0x{self.number:064x}"
        return BrokerOrder(
            order_id=f"H{self.number}",
            remark=remark_of(request_id, 1),
            symbol=SYMBOL,
            side=side,
            quantity=abs(self.outstanding),
            price=Decimal(190),
            status=BrokerStatus.PART_FILLED if filled else BrokerStatus.WORKING,
            vendor_status="",
            filled=filled,
            average_price=Decimal(190) if filled else Decimal(0),
        )

    def _end(self) -> None:
        order, self.open = self.open, None
        if order is not None:
            self.outstanding -= order.filled if order.side is Side.SELL else -order.filled
            self.number += 1


def broken() -> Exception:
    return ApplicationError("worker died", type="Crash")


@asynccontextmanager
async def at_work(env: WorkflowEnvironment, fake: FakeHouse) -> AsyncIterator[str]:
    """Its workers; yields the queue for workflows."""
    queue = f"house-{uuid.uuid4().hex}"
    control: list[Callable[..., Any]] = [
        fake.weigh_house,
        fake.look_at_house_orders,
        fake.resolve_placement,
        fake.cancel_order,
        fake.close_flattened,
    ]
    async with (
        Worker(env.client, task_queue=queue, workflows=[HouseWorkflow], workflow_runner=sandbox()),
        Worker(env.client, task_queue=QUEUE_CONTROL, activities=control),
        Worker(env.client, task_queue=QUEUE_PLACE, activities=[fake.place_house_order]),
    ):
        yield queue


async def begun(
    env: WorkflowEnvironment, queue: str, verb: HouseVerb = HouseVerb.FLATTEN, *, act: bool = True
) -> Handle:
    message = HouseInput(position_id=7, verb=verb, who="ann", reason="seen", act=act)
    return await env.client.start_workflow(
        HouseWorkflow.run, message, id=f"house-7-{uuid.uuid4().hex}", task_queue=queue
    )


async def flattened(env: WorkflowEnvironment) -> Handle:
    """Refused once, a lost answer, a part that is cancelled for the rest to be sold anew."""
    fake = FakeHouse(3, PlaceOutcome.REJECTED, PlaceOutcome.RESOLVE, 2, 1)
    async with at_work(env, fake) as queue:
        handle = await begun(env, queue)
        await handle.result()
    return handle
