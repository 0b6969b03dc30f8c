"""Placing once: what happens in which order, and what is said when it breaks in between."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from temporalio.testing import ActivityEnvironment

from activities.clock import utc_now
from activities.guards import Ready, Wait
from activities.placing import PlacingActivities
from activities.pricing import Plan
from activities.settling import settlement_item
from clients.store import Store
from models.control import Hold, HoldKind, Refusal
from models.drafts import Headroom
from models.errors import (
    OrderRejected,
    PlacementUnknown,
    RateLimited,
    SourceUnavailable,
)
from models.line import Turn
from models.messages import EnqueueInput, PlaceOrderInput, PlaceOrderResult, PlaceOutcome
from models.order import Order, OrderStatus, Reason, Stage
from models.records import ClaimState, ItemKind, Placement, SettlementItem
from models.requests import Side, VaultRequest, remark_of
from models.splits import SharesPerToken
from tests.builders import SHARE, SYMBOL, TOKEN, not_placed, read_at, request_id_of, vault_request
from tests.unit.trading import ASSETS, BreakingStore, FakeBroker, FakeFlags, request_of

WHOLE = [
    "slot",
    "begin",
    "placements.claim",
    "use",
    "send",
    "keep",
    "placements.mark",
    "book.apply",
]
NO_LINK = SourceUnavailable("broker", "placing", "no link")
UNKNOWN = PlacementUnknown("b1:x:1", "no answer in time")
FULL = RateLimited("place_order", 12.5)
NO = OrderRejected("b1:x:1", "price out of range")


class Office:
    """Placing with everything around it; guards say yes unless told otherwise."""

    def __init__(self, store: Store) -> None:
        self.log: list[str] = []
        self.store = BreakingStore(store, self.log)
        self.broker = FakeBroker(self.log)
        self.flags = FakeFlags(self.log)
        self.terms = vault_request()
        self.guards: Wait | Exception | None = None
        self.read_ago = timedelta(0)
        self.on_second_look: Wait | Exception | None = None
        self.moves_on_second_look = False
        self.place_until = utc_now() + timedelta(hours=1)
        self.ratio = SharesPerToken()
        self.headroom = Headroom(payout=10**12, cash=Decimal(10**6), shares=100)

    async def check(self, message: PlaceOrderInput) -> Ready | Wait:
        if isinstance(self.guards, Exception):
            raise self.guards
        plan = Plan(quantity=5, price=Decimal(199), cash=Decimal(995), payout=10**9)
        return self.guards or Ready(
            self.terms,
            ASSETS.of_token(TOKEN),
            plan,
            self.dated_headroom,
            self.place_until,
            self.ratio,
        )

    @property
    def dated_headroom(self) -> Headroom:
        return replace(self.headroom, as_of=utc_now() - self.read_ago)

    async def again(self, message: PlaceOrderInput) -> Wait | None:
        self.log.append("again")
        if self.moves_on_second_look:
            self.broker.moved_at = datetime.now(UTC)
        if isinstance(self.on_second_look, Exception):
            raise self.on_second_look
        return self.on_second_look

    async def admitted(self, terms: VaultRequest | None = None) -> None:
        self.terms = terms or self.terms
        await self.store.real.orders.admit(
            self.terms, workflow_id="w", symbol=SYMBOL, tx_hash="", now=utc_now()
        )

    async def book_read(self, begun_at: datetime) -> None:
        await self.store.real.book.record_snapshot(read_at(begun_at))

    async def place(self, attempt: int = 1) -> PlaceOrderResult:
        placing = PlacingActivities(
            self,  # type: ignore[arg-type]
            self.broker,  # type: ignore[arg-type]
            self.store,  # type: ignore[arg-type]
            self.flags,  # type: ignore[arg-type]
            place_window=(15, 30.0, 0.0),
            send_window=timedelta(seconds=10),
            line_per_owner=100,
        )
        message = PlaceOrderInput(
            request=request_of(self.terms), attempt=attempt, version=10**7 + attempt
        )
        result: PlaceOrderResult = await ActivityEnvironment().run(placing.place_order, message)
        return result

    async def claims(self) -> list[Placement]:
        return await self.store.real.placements.of_request(self.terms.request_id)

    async def row(self) -> Order:
        terms = self.terms
        return await self.store.real.orders.get(terms.chain_id, terms.vault, terms.request_id)


@pytest.fixture
async def office(sqlite_store: Store) -> Office:
    made = Office(sqlite_store)
    await made.admitted()
    await made.book_read(utc_now())
    return made


async def test_place__store_that_has_not_seen_the_book_for_long__sends_nothing(
    sqlite_store: Store,
) -> None:
    office = Office(sqlite_store)
    await office.admitted()
    await office.book_read(utc_now() - timedelta(minutes=3))
    assert (await office.place()).outcome is PlaceOutcome.NO_HEADROOM
    assert not office.broker.sent
    assert not await office.claims()


async def test_place__broker_reached_another_way__looks_for_what_is_open_first(
    office: Office,
) -> None:
    lost = vault_request(2)
    await office.admitted(lost)
    office.broker.error = UNKNOWN
    assert (await office.place()).outcome is PlaceOutcome.RESOLVE
    office.broker.error, office.broker.sent = None, []
    office.broker.moved_at = datetime.now(UTC)
    await office.admitted(vault_request(1))
    waits = await office.place()
    assert (waits.outcome, office.broker.sent) == (PlaceOutcome.SOURCE_DOWN, [])
    assert remark_of(lost.request_id, 1) in waits.detail
    assert not await office.claims()


async def test_place__broker_moves_between_claim_and_send__sends_nothing(office: Office) -> None:
    await office.admitted(vault_request(2))
    office.broker.error = UNKNOWN
    await office.place()
    office.broker.error, office.broker.sent = None, []
    await office.admitted(vault_request(1))
    office.read_ago = timedelta(seconds=5)
    office.moves_on_second_look = True
    result = await office.place()
    assert (result.outcome, office.broker.sent) == (PlaceOutcome.SOURCE_DOWN, [])
    (claim,) = await office.claims()
    assert claim.state is ClaimState.VOID


async def test_place__all_well__goes_step_by_step(office: Office) -> None:
    placed = await office.place()
    assert office.log == [*WHOLE, "orders.update", "end"]
    assert placed.outcome is PlaceOutcome.PLACED
    assert placed.order is not None
    (claim,) = await office.claims()
    assert (claim.state, claim.broker_order_id) == (ClaimState.PLACED, placed.order.order_id)
    row = await office.row()
    assert (row.status, row.stage, row.quantity) == (
        OrderStatus.EXECUTING,
        Stage.PLACED,
        5 * SHARE,
    )
    ((ticket, seconds),) = office.broker.sent
    assert ticket.remark == remark_of(office.terms.request_id, 1)
    assert 9 < seconds <= 10


@pytest.mark.parametrize(
    ("side", "cash", "payout", "shares"),
    [(Side.BUY, Decimal(995), 10**9, 0), (Side.SELL, Decimal(995), 10**9, 5)],
)
async def test_claim__of_each_side__reserves_what_its_plan_says(
    office: Office, side: Side, cash: Decimal, payout: int, shares: int
) -> None:
    await office.admitted(vault_request(2, side))
    await office.place()
    (claim,) = await office.claims()
    assert claim.side is side
    assert (claim.reserved_cash, claim.reserved_payout, claim.reserved_shares) == (
        cash,
        payout,
        shares,
    )


async def test_guard__says_wait__nothing_else_is_asked(office: Office) -> None:
    office.guards = Wait(not_placed(PlaceOutcome.WAITING_SESSION, retry_seconds=30.0))
    assert (await office.place()).outcome is PlaceOutcome.WAITING_SESSION
    assert office.log == ["leave"], "whoever cannot use a slot stands in nobody's way"


async def test_guard__a_source_is_down__nothing_is_sent(office: Office) -> None:
    office.guards = SourceUnavailable("oracle", "reading", "stale")
    down = await office.place()
    assert (down.outcome, down.attempt_used) == (PlaceOutcome.SOURCE_DOWN, False)
    assert down.retry_seconds > 0
    assert "oracle" in down.detail
    assert office.log == []


@pytest.mark.parametrize("outcome", [PlaceOutcome.GONE, PlaceOutcome.NOT_CONFIRMED])
async def test_request__vanished_while_it_stood_in_line__is_not_sent(
    office: Office, outcome: PlaceOutcome
) -> None:
    office.read_ago = timedelta(seconds=2)
    office.on_second_look = Wait(not_placed(outcome, detail="gone"))
    withheld = await office.place()
    assert (withheld.outcome, withheld.attempt_used) == (outcome, True)
    assert office.broker.sent == []
    (claim,) = await office.claims()
    assert (claim.state, claim.detail) == (ClaimState.VOID, "gone")
    assert (office.flags.in_flight, office.flags.slots) == (set(), set())


async def test_request__cannot_be_read_again__is_not_sent(office: Office) -> None:
    office.read_ago = timedelta(seconds=2)
    office.on_second_look = SourceUnavailable("chain", "reading", "no answer")
    down = await office.place()
    assert (down.outcome, down.attempt_used) == (PlaceOutcome.SOURCE_DOWN, True)
    assert office.broker.sent == []


async def test_request__still_there_after_it_stood_in_line__is_sent(office: Office) -> None:
    office.read_ago = timedelta(seconds=2)
    assert (await office.place()).outcome is PlaceOutcome.PLACED
    assert office.log[: len(WHOLE) + 1] == [*WHOLE[:4], "again", *WHOLE[4:]]


async def test_quote__refused_by_its_window__is_a_wait(office: Office) -> None:
    office.guards = RateLimited("quote", 3.0)
    assert await office.place() == PlaceOrderResult(
        outcome=PlaceOutcome.RATE_LIMITED, detail=str(office.guards), retry_seconds=3.0
    )


async def test_window__full__waits_in_line_before_anything_is_registered(office: Office) -> None:
    office.flags.turns = [Turn(mine=False, place=7, slot_in=9.5, back_in=7.5)]
    full = await office.place()
    assert (full.outcome, full.retry_seconds) == (PlaceOutcome.RATE_LIMITED, 7.5)
    assert "7 before it" in full.detail
    assert "10 s" in full.detail
    assert office.log == ["slot"], "the place in line is kept"


async def test_turn__is_near__is_waited_for_and_guards_are_asked_anew(office: Office) -> None:
    office.flags.turns = [Turn(mine=False, place=0, slot_in=0.8, back_in=0.8)]
    checks = 0

    async def counted(message: PlaceOrderInput) -> Ready | Wait:
        nonlocal checks
        checks += 1
        return await Office.check(office, message)

    office.check = counted  # type: ignore[method-assign]
    assert (await office.place()).outcome is PlaceOutcome.PLACED
    assert checks == 2


async def test_turn__comes_within_a_moment__is_placed_by_what_was_checked(office: Office) -> None:
    office.flags.turns = [Turn(mine=False, slot_in=0.01, back_in=0.01)] * 2
    assert (await office.place()).outcome is PlaceOutcome.PLACED
    assert office.log[:4] == ["slot", "slot", "slot", "begin"]


async def test_turn__comes_after_the_deadline__is_refunded_now(office: Office) -> None:
    office.place_until = utc_now() + timedelta(seconds=60)
    office.flags.turns = [Turn(mine=False, place=40, slot_in=61.0, back_in=30.0)]
    late = await office.place()
    assert (late.outcome, late.reason) == (PlaceOutcome.REFUND, Reason.QUEUE_FULL)
    assert office.log == ["slot", "leave"]
    assert await office.claims() == []


async def test_line__owner_has_too_many_in_it__waits_outside(office: Office) -> None:
    office.flags.turns = [Turn(mine=False, turned_away=100)]
    away = await office.place()
    assert (away.outcome, away.retry_seconds) == (PlaceOutcome.RATE_LIMITED, 30.0)
    assert "100 orders in line" in away.detail


async def test_line__is_asked_for_the_owner_in_the_vault(office: Office) -> None:
    """What the workflow's input says of its user only decorates."""
    await office.place()
    (waiter,) = office.flags.waiters
    assert waiter.owner == office.terms.owner
    assert (waiter.side, waiter.request_id) == (Side.BUY, office.terms.request_id)


async def test_hold__met__claims_nothing_and_says_why(office: Office) -> None:
    hold = Hold(key="manual", kind=HoldKind.MANUAL, reason="lunch", who="ada", at="")
    office.flags.answer = Refusal(reason="held", holds=(hold,))
    held = await office.place()
    assert (held.outcome, held.retry_seconds) == (PlaceOutcome.HELD, 0.0)
    assert "lunch" in held.detail
    assert office.log == ["slot", "begin", "drop"]
    assert await office.claims() == []


async def test_lease__missing_without_a_hold__is_looked_at_again_soon(office: Office) -> None:
    office.flags.answer = Refusal(reason="trading is not open: no lease")
    assert 0 < (await office.place()).retry_seconds <= 10


@pytest.mark.parametrize("doing", ["slot", "begin"])
async def test_redis__down_before_the_claim__is_an_outage(office: Office, doing: str) -> None:
    office.flags.down = {doing}
    assert (await office.place()).outcome is PlaceOutcome.SOURCE_DOWN
    assert await office.claims() == []
    assert office.broker.sent == []


async def test_redis__down_before_the_send__spends_the_attempt_only(office: Office) -> None:
    office.flags.down = {"use"}
    assert (await office.place()).outcome is PlaceOutcome.SOURCE_DOWN
    (claim,) = await office.claims()
    assert claim.state is ClaimState.VOID
    assert office.broker.sent == []


async def test_permit__forgotten_by_redis_before_the_send__spends_the_attempt_only(
    office: Office,
) -> None:
    office.flags.forgets = True
    result = await office.place()
    assert (result.outcome, result.attempt_used) == (PlaceOutcome.SOURCE_DOWN, True)
    assert "its permit was forgotten" in result.detail
    assert office.broker.sent == []
    (claim,) = await office.claims()
    assert claim.state is ClaimState.VOID


async def test_deadline__nearer_than_the_send_window__bounds_the_send(office: Office) -> None:
    office.place_until = utc_now() + timedelta(seconds=3)
    await office.place()
    ((_, seconds),) = office.broker.sent
    assert 2 < seconds <= 3
    (claim,) = await office.claims()
    assert claim.send_by <= office.place_until.replace(tzinfo=None)


async def test_headroom__missing__sends_nothing_and_is_not_in_flight(office: Office) -> None:
    office.headroom = Headroom(payout=0, cash=Decimal(994), shares=0)
    short = await office.place()
    assert (short.outcome, short.attempt_used) == (PlaceOutcome.NO_HEADROOM, False)
    assert office.broker.sent == []
    assert office.flags.in_flight == set()
    assert office.flags.slots == set(), "what is not sent takes nobody's turn"
    assert await office.claims() == []


async def test_own_order__would_be_crossed__waits(office: Office) -> None:
    await office.place()
    await office.admitted(vault_request(2, Side.SELL))
    crossing = await office.place()
    assert crossing.outcome is PlaceOutcome.NO_HEADROOM
    assert len(office.broker.sent) == 1


async def test_claim__is_there_already__resolves_and_stays_in_flight(office: Office) -> None:
    office.broker.error = UNKNOWN
    await office.place()
    again = await office.place()
    assert again.outcome is PlaceOutcome.RESOLVE
    assert len(office.broker.sent) == 1
    assert office.flags.in_flight == {remark_of(office.terms.request_id, 1)}


@pytest.mark.parametrize("when", ["lost_before", "lost_after"])
async def test_claim__the_database_does_not_answer__resolves_unsent(
    office: Office, when: str
) -> None:
    setattr(office.store, when, {"placements.claim"})
    lost = await office.place()
    assert lost.outcome is PlaceOutcome.RESOLVE
    assert office.broker.sent == []
    assert office.flags.in_flight == set()
    assert len(await office.claims()) == (1 if when == "lost_after" else 0)


async def test_claim__another_attempt_may_still_fill__leads_to_the_end_unsent(
    office: Office,
) -> None:
    await office.place()
    assert (await office.place(attempt=2)).outcome is PlaceOutcome.REFUND
    assert len(office.broker.sent) == 1
    assert office.flags.in_flight == set()


async def test_answer__lost_after_the_send__resolves_and_stays_in_flight(
    office: Office,
) -> None:
    office.broker.error = UNKNOWN
    lost = await office.place()
    assert (lost.outcome, lost.attempt_used) == (PlaceOutcome.RESOLVE, False)
    (claim,) = await office.claims()
    assert claim.state is ClaimState.CLAIMED
    assert office.flags.in_flight == {claim.remark}


async def test_broker__says_no__is_a_rejection_with_its_words(office: Office) -> None:
    office.broker.error = NO
    no = await office.place()
    assert (no.outcome, no.detail, no.attempt_used) == (
        PlaceOutcome.REJECTED,
        "price out of range",
        True,
    )
    (claim,) = await office.claims()
    assert claim.state is ClaimState.REJECTED
    assert claim.released_at is not None
    assert office.flags.in_flight == set()


@pytest.mark.parametrize(
    ("error", "outcome", "seconds"),
    [(NO_LINK, PlaceOutcome.SOURCE_DOWN, 5.0), (FULL, PlaceOutcome.RATE_LIMITED, 12.5)],
)
async def test_broker__proves_that_nothing_left__spends_the_attempt_only(
    office: Office, error: Exception, outcome: PlaceOutcome, seconds: float
) -> None:
    office.broker.error, office.broker.not_sent = error, True
    unsent = await office.place()
    assert (unsent.outcome, unsent.attempt_used) == (outcome, True)
    assert unsent.retry_seconds == seconds
    (claim,) = await office.claims()
    assert claim.state is ClaimState.VOID
    assert office.flags.slots == set()
    office.broker.error, office.broker.not_sent = None, False
    assert (await office.place(attempt=2)).outcome is PlaceOutcome.PLACED


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, PlaceOutcome.PLACED),
        (NO, PlaceOutcome.REJECTED),
        (NO_LINK, PlaceOutcome.SOURCE_DOWN),
        (FULL, PlaceOutcome.RATE_LIMITED),
    ],
)
async def test_redis__down_after_the_send__changes_no_outcome(
    office: Office, error: Exception | None, expected: PlaceOutcome
) -> None:
    office.broker.error = error
    office.flags.down = {"end"}
    assert (await office.place()).outcome is expected


@pytest.mark.parametrize(
    "lost",
    [
        {"placements.mark"},
        {"book.apply"},
        {"orders.update"},
    ],
    ids=str,
)
@pytest.mark.parametrize("when", ["lost_before", "lost_after"])
async def test_store__lost_after_the_send__resolves_and_never_says_unsent(
    office: Office, lost: set[str], when: str
) -> None:
    setattr(office.store, when, lost)
    broken = await office.place()
    assert broken.outcome is PlaceOutcome.RESOLVE
    assert len(office.broker.sent) == 1


@pytest.mark.parametrize("error", [NO, NO_LINK, FULL])
async def test_store__lost_when_the_answer_is_marked__resolves(
    office: Office, error: Exception
) -> None:
    office.broker.error = error
    office.store.lost_before = {"placements.mark"}
    assert (await office.place()).outcome is PlaceOutcome.RESOLVE


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("ret")])
async def test_client__breaks_while_sending__leaves_the_claim_to_be_resolved(
    office: Office, error: Exception
) -> None:
    office.broker.error = error
    with pytest.raises(type(error)):
        await office.place()
    (claim,) = await office.claims()
    assert claim.state is ClaimState.CLAIMED


async def test_second_attempt__has_a_remark_of_its_own(office: Office) -> None:
    office.broker.error = NO
    await office.place()
    office.broker.error = None
    await office.place(attempt=2)
    remarks = [ticket.remark for ticket, _ in office.broker.sent]
    assert remarks == [remark_of(request_id_of(1), n) for n in (1, 2)]


async def test_item__written_meanwhile__lets_nothing_be_sent(office: Office) -> None:
    message = EnqueueInput(
        request=request_of(office.terms),
        version=1,
        kind=ItemKind.REFUND,
        reason=Reason.OPERATOR,
    )
    item = settlement_item(message, office.terms, [], [], 6, utc_now())
    assert isinstance(item, SettlementItem)
    await office.store.real.items.enqueue(item)
    assert (await office.place()).outcome is PlaceOutcome.REFUND
    assert office.broker.sent == []
