"""Finding out what became of an attempt: absent only when it is proven."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from temporalio.testing import ActivityEnvironment

from activities.clock import utc_now
from activities.resolving import ResolvingActivities
from clients.store import Store
from models.broker import BookSnapshot, BrokerOrder
from models.drafts import ClaimDraft, Headroom
from models.errors import NotFound, SourceUnavailable
from models.messages import Resolution, ResolveInput, ResolveResult
from models.order import OrderStatus, Stage
from models.outlook import UnknownOutlook, last_outlook
from models.records import ClaimState, Placement
from models.requests import Side, remark_of
from tests.builders import SYMBOL, broker_order, filled, order_request, request_id_of, vault_request
from tests.unit.trading import BreakingStore

FENCE = timedelta(seconds=60)
READING = timedelta(seconds=40)
ID = request_id_of(1)
REMARK = remark_of(ID, 1)


class Search:
    """One attempt and what is known of it. Its last moment to be sent was `ago` seconds ago."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.broken = BreakingStore(store, [])
        self.cause = "the answer was lost"

    async def claim(self, ago: float = 300) -> datetime:
        now = utc_now()
        draft = ClaimDraft(
            request_id=ID,
            attempt=1,
            remark=REMARK,
            symbol=SYMBOL,
            side=Side.BUY,
            quantity=4,
            price=Decimal(199),
            send_by=now - timedelta(seconds=ago),
        )
        room = Headroom(payout=0, cash=Decimal(0), shares=0)
        await self.store.placements.claim(draft, room, now)
        return draft.send_by

    async def snapshot(
        self,
        begun: datetime,
        connected: datetime,
        *orders: BrokerOrder,
        complete: bool = True,
        connection: int = 2,
    ) -> None:
        await self.store.book.record_snapshot(
            BookSnapshot(
                orders=orders,
                begun_at=begun.replace(tzinfo=UTC),
                ended_at=(begun + timedelta(seconds=1)).replace(tzinfo=UTC),
                connection=connection,
                connected_at=connected.replace(tzinfo=UTC),
                complete=complete,
            )
        )

    async def resolve(self, attempt: int = 1) -> ResolveResult:
        activities = ResolvingActivities(self.broken, fence=FENCE, reading=READING)  # type: ignore[arg-type]
        message = ResolveInput(
            request=order_request(), attempt=attempt, version=10**7, cause=self.cause
        )
        result: ResolveResult = await ActivityEnvironment().run(
            activities.resolve_placement, message
        )
        return result

    async def row(self) -> Placement:
        (row,) = await self.store.placements.of_request(ID)
        return row


@pytest.fixture
async def search(sqlite_store: Store) -> Search:
    await sqlite_store.orders.admit(
        vault_request(), workflow_id="w", symbol=SYMBOL, tx_hash="", now=utc_now()
    )
    return Search(sqlite_store)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


async def test_attempt__nobody_claimed_it__is_burnt_for_ever(search: Search) -> None:
    assert (await search.resolve()).resolution is Resolution.NEVER_SENT
    assert (await search.row()).state is ClaimState.VOID
    await search.claim()
    assert (await search.row()).state is ClaimState.VOID
    assert (await search.resolve()).resolution is Resolution.NEVER_SENT


async def test_claim__found_in_the_book__is_placed_on_claim_and_row(search: Search) -> None:
    await search.claim(ago=-5)
    order = filled(broker_order(), 1)
    await search.store.book.apply([order], utc_now())
    found = await search.resolve()
    assert (found.resolution, found.order) == (Resolution.FOUND, order)
    claim = await search.row()
    assert (claim.state, claim.broker_order_id) == (ClaimState.PLACED, order.order_id)
    row = await search.store.orders.get(31337, vault_request().vault, ID)
    assert (row.status, row.stage) == (OrderStatus.EXECUTING, Stage.PART_FILLED)
    assert row.futu_order_id == order.order_id


async def test_claim__two_reads_after_the_fence__is_absent(search: Search) -> None:
    send_by = await search.claim()
    for later in (61, 66):
        await search.snapshot(send_by + seconds(later), send_by + seconds(1))
    assert (await search.resolve()).resolution is Resolution.ABSENT
    claim = await search.row()
    assert (claim.state, claim.released_at is None) == (ClaimState.ABSENT, False)
    assert (await search.resolve()).resolution is Resolution.ABSENT


@pytest.mark.parametrize(
    ("begun", "connected", "complete"),
    [
        ((59, 61), (1, 1), (True, True)),
        ((61, 66), (-1, 1), (True, True)),
        ((61, 66), (1, 0), (True, True)),
        ((61, 66), (1, 1), (True, False)),
        ((61, 61), (1, 1), (True, True)),
        ((61,), (1,), (True,)),
        ((), (), ()),
    ],
    ids=[
        "one before the fence",
        "one on the old connection",
        "one on a connection made at the last moment to send",
        "one not complete",
        "the same one twice",
        "only one",
        "none",
    ],
)
async def test_claim__without_two_good_reads__is_waited_for(
    search: Search, begun: tuple[int, ...], connected: tuple[int, ...], complete: tuple[bool, ...]
) -> None:
    send_by = await search.claim()
    for at, since, whole in zip(begun, connected, complete, strict=True):
        await search.snapshot(send_by + seconds(at), send_by + seconds(since), complete=whole)
    waiting = await search.resolve()
    assert waiting.resolution is Resolution.WAIT
    assert 1 <= waiting.retry_seconds <= 10
    assert (await search.row()).state is ClaimState.CLAIMED


async def test_claim__in_one_of_the_reads__is_found(search: Search) -> None:
    send_by = await search.claim()
    await search.snapshot(send_by + seconds(61), send_by + seconds(1))
    await search.snapshot(send_by + seconds(66), send_by + seconds(1), broker_order())
    assert (await search.resolve()).resolution is Resolution.FOUND


async def test_claim__order_arrives_between_the_two_looks__is_found(search: Search) -> None:
    send_by = await search.claim()
    real = search.store.book.complete_snapshots_after

    async def then_it_comes(begun: datetime, connected: datetime) -> object:
        answer = await real(begun, connected)
        await search.store.book.apply([broker_order()], utc_now())
        return answer

    for later in (61, 66):
        await search.snapshot(send_by + seconds(later), send_by + seconds(1))
    search.store.book.complete_snapshots_after = then_it_comes  # type: ignore[method-assign, assignment]
    assert (await search.resolve()).resolution is Resolution.FOUND


async def test_claim__placed_but_not_in_the_book__is_never_absent(search: Search) -> None:
    send_by = await search.claim()
    await search.store.placements.mark(
        ID, 1, ClaimState.PLACED, broker_order_id="F1", now=utc_now()
    )
    for later in (61, 66, 71):
        await search.snapshot(send_by + seconds(later), send_by + seconds(1))
    assert (await search.resolve()).resolution is Resolution.WAIT


async def test_claim__answered_with_no__is_rejected_with_its_words(search: Search) -> None:
    await search.claim()
    await search.store.placements.mark(
        ID, 1, ClaimState.REJECTED, detail="out of range", now=utc_now()
    )
    rejected = await search.resolve()
    assert (rejected.resolution, rejected.detail) == (Resolution.REJECTED, "out of range")


async def test_claim__rejected_but_alive_in_the_book__is_found(search: Search) -> None:
    await search.claim()
    await search.store.placements.mark(ID, 1, ClaimState.REJECTED, detail="no", now=utc_now())
    await search.store.book.apply([broker_order()], utc_now())
    assert (await search.resolve()).resolution is Resolution.FOUND


async def test_claim__absent_but_turned_up_after_all__is_found(search: Search) -> None:
    await search.claim()
    await search.store.placements.mark(ID, 1, ClaimState.ABSENT, now=utc_now())
    await search.store.book.apply([broker_order()], utc_now())
    assert (await search.resolve()).resolution is Resolution.FOUND
    assert (await search.row()).released_at is None


@pytest.mark.parametrize(
    "lost",
    ["placements.void", "book.complete_snapshots_after", "book.by_remark", "placements.mark"],
)
async def test_store__down_while_asking__is_an_error_and_no_answer(
    search: Search, lost: str
) -> None:
    send_by = await search.claim()
    for later in (61, 66):
        await search.snapshot(send_by + seconds(later), send_by + seconds(1))
    search.broken.lost_before = {lost}
    with pytest.raises(SourceUnavailable):
        await search.resolve()
    assert (await search.row()).state is ClaimState.CLAIMED


async def test_resolve__asked_again_and_again__changes_nothing_more(search: Search) -> None:
    await search.claim()
    await search.store.book.apply([broker_order()], utc_now())
    first, second = await search.resolve(), await search.resolve()
    assert first == second
    assert len(await search.store.placements.of_request(ID)) == 1


async def told(search: Search) -> list[UnknownOutlook]:
    entries = await search.store.audit.of_request(ID)
    outlook = last_outlook(entries)
    return [outlook] if outlook else []


async def test_unknown__first_look__tells_cause_and_until_when(search: Search) -> None:
    terms = vault_request()
    send_by = await search.claim(ago=-20)
    result = await search.resolve()
    assert result.resolution is Resolution.WAIT
    (outlook,) = await told(search)
    assert outlook.cause == "the answer was lost"
    assert "not sent again" in outlook.doing
    assert outlook.decided_by == send_by.replace(tzinfo=UTC) + FENCE + READING
    assert outlook.works_until == datetime.fromtimestamp(terms.deadline, UTC)
    assert outlook.money_back_by == datetime.fromtimestamp(terms.reclaim_at, UTC)
    assert result.detail == outlook.words
    assert len(result.detail) <= 255


async def test_unknown__looked_at_again_and_later__moves_no_time(search: Search) -> None:
    # Its last moment has passed: what is told counts from the look, and only from the first.
    await search.claim(ago=300)
    first = (await search.resolve()).detail
    before = await told(search)
    search.cause = "another run says something else"
    assert (await search.resolve()).detail == first
    assert await told(search) == before
    assert before[0].decided_by > utc_now().replace(tzinfo=UTC)


async def test_unknown__row_was_lost__is_told_without_the_requests_times(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*key: object) -> None:
        raise NotFound("order", str(key))

    monkeypatch.setattr(search.store.orders, "get", lost)
    await search.claim(ago=-20)
    result = await search.resolve()
    (outlook,) = await told(search)
    assert (outlook.works_until, outlook.money_back_by) == (None, None)
    assert "decided by" in result.detail


async def test_unknown__long_cause__times_survive_on_the_row(search: Search) -> None:
    await search.claim(ago=-20)
    search.cause = "x" * 500
    detail = (await search.resolve()).detail
    assert len(detail) == 255
    assert detail.endswith("at the latest")


async def test_outcome__known_at_once__tells_nothing(search: Search) -> None:
    await search.resolve()
    assert await told(search) == []
