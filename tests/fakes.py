"""The order workflows' outside world: activities under their real names, outcomes by script.

A World is one request: what the vault, the store and the broker would say about it. One set of
activities serves all worlds, by request id, so one set of workers serves all tests.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from models.approvals import ApprovalCase
from models.broker import BrokerOrder
from models.messages import (
    AdmitInput,
    AdmitResult,
    CancelOrderInput,
    CancelOrderResult,
    ClaimView,
    CloseInput,
    CloseResult,
    EnqueueInput,
    EnqueueResult,
    ItemView,
    KeepApprovalInput,
    LookForApprovalsInput,
    Message,
    OrderPolicy,
    PlaceOrderInput,
    PlaceOrderResult,
    PlaceOutcome,
    ReadOrderInput,
    ReadOrderResult,
    ReadRequestInput,
    ReadRequestResult,
    RecordStageInput,
    Resolution,
    ResolveInput,
    ResolveResult,
)
from models.operating import NoteActInput
from models.order import Reason, Stage
from models.records import ItemKind, ItemState
from models.requests import OrderRequest, VaultRequest, VaultStatus, order_workflow_id
from tests.builders import block, broker_order, filled

M = TypeVar("M", bound=Message)
R = TypeVar("R")
Answer = Any
"""A result, an exception to raise, or a function of the message that gives either."""

_ENDS = {ItemKind.SETTLE: VaultStatus.SETTLED, ItemKind.REFUND: VaultStatus.REFUNDED}
_STAGES = {
    VaultStatus.NONE: Stage.ORPHANED,
    VaultStatus.SETTLED: Stage.SETTLED,
    VaultStatus.REFUNDED: Stage.REFUNDED,
    VaultStatus.RECLAIMED: Stage.RECLAIMED,
}


class World:
    """One request and everything that is scripted about it.

    A script runs out into its last answer only where that is said; else the default follows.
    """

    def __init__(self, request: OrderRequest, terms: VaultRequest, client: Client) -> None:
        self.request = request
        self.terms: VaultRequest | None = terms
        self.client = client
        self.policy = OrderPolicy()
        self.confirmations = [0]
        self.waits_for = ""
        self.claims: tuple[ClaimView, ...] = ()
        self.item: ItemView | None = None
        self.retry_count = 0
        self.places: list[Answer] = []
        self.place_default: Answer = self.fill_at_once
        self.resolves: list[Answer] = []
        self.resolve_default: Answer = {"resolution": "NEVER_SENT", "detail": "burnt"}
        self.cancels: list[Answer] = []
        self.refusals: list[str] = []
        self.book: dict[int, BrokerOrder] = {}
        self.outdated: set[int] = set()
        self.settles_at_once = True
        self.owed = 0
        self.case: ApprovalCase | None = None
        self.disowned: list[ApplicationError] = []
        self.epoch = 0
        self.calls: list[tuple[str, Message]] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.failures: dict[str, int] = {}

    # --- what a test asks --------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """Activities as they began, in order."""
        return [name for name, _ in self.calls]

    def said(self, kind: type[M]) -> list[M]:
        """The messages of one kind, in order."""
        return [message for _, message in self.calls if isinstance(message, kind)]

    @property
    def attempts(self) -> list[int]:
        return [message.attempt for message in self.said(PlaceOrderInput)]

    @property
    def item_kinds(self) -> list[tuple[ItemKind, Reason]]:
        return [(message.kind, message.reason) for message in self.said(EnqueueInput)]

    @property
    def shown(self) -> list[tuple[Stage, str, int]]:
        rows = self.said(RecordStageInput)
        return [(row.stage, row.waiting_for, row.retry_count) for row in rows]

    # --- what a test does --------------------------------------------------------------------

    @property
    def workflow_id(self) -> str:
        request = self.request
        return order_workflow_id(request.chain_id, request.vault, request.request_id)

    async def signal(self, name: str, *args: Any) -> None:
        await self.client.get_workflow_handle(self.workflow_id).signal(name, args=list(args))

    def order(self, attempt: int = 1, **changes: Any) -> BrokerOrder:
        """An order of this request as the broker would report it."""
        return broker_order(self.request.request_id, attempt, side=self.request.side, **changes)

    async def push(self, order: BrokerOrder) -> None:
        """As the broker watch does it: first the book, then the hint."""
        self.book[int(order.remark.rsplit(":", 1)[1])] = order
        await self.signal("order_update", order)

    def hold(self, name: str) -> asyncio.Event:
        """Let an activity stand still until the event is set."""
        return self.gates.setdefault(name, asyncio.Event())

    def set_policy(self, **changes: Any) -> None:
        self.policy = self.policy.model_copy(update=changes)

    # --- answers to script with --------------------------------------------------------------

    def works(self, message: PlaceOrderInput) -> PlaceOrderResult:
        """Placed and working."""
        order = self.order(message.attempt)
        self.book[message.attempt] = order
        return PlaceOrderResult(
            outcome=PlaceOutcome.PLACED,
            order=order,
            quantity=order.quantity,
            price=order.price,
            attempt_used=True,
        )

    async def fill_at_once(self, message: PlaceOrderInput) -> PlaceOrderResult:
        """Placed, and the push of its whole fill overtakes the answer."""
        placed = self.works(message)
        await self.push(filled(self.order(message.attempt)))
        return placed

    def found(self, order: BrokerOrder) -> ResolveResult:
        self.book[int(order.remark.rsplit(":", 1)[1])] = order
        return ResolveResult(resolution=Resolution.FOUND, order=order)

    async def end(self, status: VaultStatus, *, tell: bool = True) -> None:
        """What a mined settlement does."""
        if self.terms is not None:
            self.terms = self.terms.model_copy(update={"status": status})
        if tell:
            await self.signal("settled")

    # --- the activities' side ----------------------------------------------------------------

    async def note(self, name: str, message: Message) -> None:
        self.calls.append((name, message))
        gate = self.gates.get(name)
        while gate is not None and not gate.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.02)
        if self.failures.get(name, 0) > 0:
            self.failures[name] -= 1
            raise RuntimeError(f"{name} fails, as told")

    @property
    def status(self) -> VaultStatus:
        return self.terms.status if self.terms is not None else VaultStatus.NONE


async def _answered(answer: Answer, message: Message) -> Any:
    given = answer(message) if callable(answer) else answer
    given = await given if inspect.isawaitable(given) else given
    if isinstance(given, BaseException):
        raise given
    return given


def _next(script: list[Answer], default: Answer) -> Answer:
    return script.pop(0) if script else default


class FakeOrders:
    """The activities of the order workflows, of all worlds."""

    def __init__(self) -> None:
        self.worlds: dict[str, World] = {}

    @property
    def on_main(self) -> list[Callable[..., Awaitable[Any]]]:
        return [
            self.admit,
            self.read_request,
            self.record_stage,
            self.read_order,
            self.enqueue_settlement,
            self.close_order,
            self.look_for_approvals,
            self.keep_approval,
            self.note_operator_act,
        ]

    @property
    def on_place(self) -> list[Callable[..., Awaitable[Any]]]:
        return [self.place_order]

    @property
    def on_control(self) -> list[Callable[..., Awaitable[Any]]]:
        return [self.resolve_placement, self.cancel_order]

    async def _enter(self, name: str, message: Any) -> World:
        world = self.worlds[message.request.request_id]
        await world.note(name, message)
        return world

    @activity.defn(name="admit")
    async def admit(self, message: AdmitInput) -> AdmitResult:
        world = await self._enter("admit", message)
        world.epoch += 1
        return AdmitResult(
            terms=world.terms,
            head=block(),
            version=(world.epoch << 20) + 1,
            symbol=world.request.symbol,
            confirmations_missing=world.confirmations[0],
            waits_for=world.waits_for,
            policy=world.policy,
            retry_count=world.retry_count,
            claims=world.claims,
            item=world.item,
        )

    @activity.defn(name="read_request")
    async def read_request(self, message: ReadRequestInput) -> ReadRequestResult:
        world = await self._enter("read_request", message)
        if len(world.confirmations) > 1:
            world.confirmations.pop(0)
        missing = world.confirmations[0]
        return ReadRequestResult(
            terms=world.terms,
            head=block(),
            confirmations_missing=missing,
            waits_for=world.waits_for,
        )

    @activity.defn(name="record_stage")
    async def record_stage(self, message: RecordStageInput) -> None:
        world = await self._enter("record_stage", message)
        world.retry_count = message.retry_count

    @activity.defn(name="read_order")
    async def read_order(self, message: ReadOrderInput) -> ReadOrderResult:
        world = await self._enter("read_order", message)
        terms = world.terms
        return ReadOrderResult(
            order=world.book.get(message.attempt),
            cancel_requested=terms is not None and terms.cancel_requested,
            status=world.status,
            outdated=message.attempt in world.outdated,
        )

    @activity.defn(name="place_order")
    async def place_order(self, message: PlaceOrderInput) -> PlaceOrderResult:
        world = await self._enter("place_order", message)
        answer = _next(world.places, world.place_default)
        return PlaceOrderResult.model_validate(await _answered(answer, message))

    @activity.defn(name="resolve_placement")
    async def resolve_placement(self, message: ResolveInput) -> ResolveResult:
        world = await self._enter("resolve_placement", message)
        answer = _next(world.resolves, world.resolve_default)
        return ResolveResult.model_validate(await _answered(answer, message))

    @activity.defn(name="cancel_order")
    async def cancel_order(self, message: CancelOrderInput) -> CancelOrderResult:
        world = await self._enter("cancel_order", message)
        accepted = CancelOrderResult(accepted=True)
        answer = await _answered(_next(world.cancels, accepted), message)
        return CancelOrderResult.model_validate(answer)

    @activity.defn(name="enqueue_settlement")
    async def enqueue_settlement(self, message: EnqueueInput) -> EnqueueResult:
        world = await self._enter("enqueue_settlement", message)
        if world.item is None and world.refusals:
            return EnqueueResult(item=None, refused=world.refusals.pop(0))
        if world.item is None:
            item = ItemView(kind=message.kind, state=ItemState.PENDING, taken=1, out=1, fee=0)
            world.item = item
        if world.settles_at_once:
            await world.end(_ENDS[world.item.kind])
        return EnqueueResult(item=world.item)

    @activity.defn(name="close_order")
    async def close_order(self, message: CloseInput) -> CloseResult:
        world = await self._enter("close_order", message)
        if world.status is VaultStatus.OPEN:
            stage = Stage.AWAITING_APPROVAL if world.case is not None else Stage.SETTLING
            missing = world.item is None
            return CloseResult(closed=False, status=world.status, stage=stage, item_missing=missing)
        if world.owed:
            world.owed -= 1
            words = "the vault owes"
            return CloseResult(closed=False, status=world.status, stage=Stage.OWED, detail=words)
        stage = _STAGES[world.status]
        return CloseResult(closed=True, status=world.status, stage=stage, detail=message.detail)

    @activity.defn(name="look_for_approvals")
    async def look_for_approvals(self, message: LookForApprovalsInput) -> ApprovalCase | None:
        world = await self._enter("look_for_approvals", message)
        return world.case

    @activity.defn(name="note_operator_act")
    async def note_operator_act(self, message: NoteActInput) -> None:
        await self._enter("note_operator_act", message)

    @activity.defn(name="keep_approval")
    async def keep_approval(self, message: KeepApprovalInput) -> ApprovalCase | None:
        world = await self._enter("keep_approval", message)
        if world.disowned:
            raise world.disowned.pop(0)
        if world.case is None:
            return None
        signed = (*world.case.signed, message.signer)
        case = world.case.model_copy(update={"signed": signed})
        world.case = case if case.missing else None
        return case
