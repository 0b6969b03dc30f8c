"""Whom a pause that cancels tells: also what goes from permit to claim to row meanwhile."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities.recalling import RecallActivities
from clients.store import Store
from models.control import InFlight, Recall
from models.drafts import ClaimKind
from models.errors import SourceUnavailable
from models.records import ClaimState
from models.requests import Side, remark_of
from tests.contracts.builders import PLENTY, claim_draft, request_id, vault_request

EVERYTHING = Recall(version=5, at="noon", reason="wrong price")


@dataclass
class Permits:
    """What Redis knows."""

    remarks: list[str] = field(default_factory=list)
    down: bool = False

    async def in_flight(self) -> tuple[InFlight, ...]:
        if self.down:
            raise SourceUnavailable("redis", "listing placements in flight")
        return tuple(InFlight(remark=remark, since="noon") for remark in self.remarks)


@dataclass
class Told:
    """Orders that took the signal."""

    names: list[str] = field(default_factory=list)

    async def signal_order(self, workflow_id: str, *_: object) -> bool:
        self.names.append(workflow_id)
        return True


@pytest.fixture
def permits() -> Permits:
    return Permits()


@pytest.fixture
def told() -> Told:
    return Told()


async def admit(store: Store, n: int) -> None:
    await store.orders.admit(
        vault_request(n), workflow_id=f"order-{n}", symbol="AAPL", tx_hash="", now=datetime.now(UTC)
    )


async def claim(store: Store, n: int) -> None:
    now = datetime.now(UTC)
    draft = claim_draft(request_id(n), send_by=now + timedelta(seconds=20), book_since=None)
    claimed = await store.placements.claim(draft, PLENTY, now)
    assert claimed.kind is ClaimKind.CLAIMED


def placed_just_before(
    table: object, name: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time this is read, the claim of request 1 has just become an order."""
    read = getattr(table, name)

    async def reading(*arguments: object) -> object:
        now = datetime.now(UTC)
        await store.placements.mark(request_id(1), 1, ClaimState.PLACED, now=now)
        return await read(*arguments)

    monkeypatch.setattr(table, name, reading)


async def recall(store: Store, permits: Permits, told: Told, what: Recall = EVERYTHING) -> int:
    # Redis and Temporal are played.
    activities = RecallActivities(store, permits, told)  # type: ignore[arg-type]
    recalled = await ActivityEnvironment().run(activities.recall_working, what)
    return int(recalled.orders)


async def test_recall__permit_without_a_claim__is_told(
    sqlite_store: Store, permits: Permits, told: Told
) -> None:
    for n in (1, 2):
        await admit(sqlite_store, n)
    permits.remarks = [remark_of(request_id(2), 1), "somebody else's"]
    assert await recall(sqlite_store, permits, told) == 1
    assert told.names == ["order-2"]


async def test_recall__placed_between_claim_and_row__is_told_once(
    sqlite_store: Store, permits: Permits, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim says placed before the row does, and the row before the permit ends."""
    await admit(sqlite_store, 1)
    await claim(sqlite_store, 1)
    permits.remarks = [remark_of(request_id(1), 1)]
    placed_just_before(sqlite_store.placements, "in_hand", sqlite_store, monkeypatch)
    assert await recall(sqlite_store, permits, told) == 1
    assert told.names == ["order-1"]


async def test_recall__claim_becomes_a_row_meanwhile__is_told(
    sqlite_store: Store, permits: Permits, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis was restarted and has forgotten the permit: the claim is looked at before the rows."""
    await admit(sqlite_store, 1)
    await claim(sqlite_store, 1)
    placed_just_before(sqlite_store.orders, "working", sqlite_store, monkeypatch)
    assert await recall(sqlite_store, permits, told) == 1


@pytest.mark.parametrize(
    ("scope", "orders"),
    [
        ({"symbol": "AAPL"}, 1),
        ({"side": Side.BUY}, 1),
        ({"symbol": "TSLA"}, 0),
        ({"side": Side.SELL}, 0),
    ],
)
async def test_recall__of_a_scope__tells_nobody_else(
    sqlite_store: Store, permits: Permits, told: Told, scope: dict[str, object], orders: int
) -> None:
    await admit(sqlite_store, 1)
    permits.remarks = [remark_of(request_id(1), 1)]
    assert await recall(sqlite_store, permits, told, EVERYTHING.model_copy(update=scope)) == orders


async def test_recall__redis_is_down__claims_and_rows_are_told(
    sqlite_store: Store, permits: Permits, told: Told
) -> None:
    permits.down = True
    await admit(sqlite_store, 1)
    await claim(sqlite_store, 1)
    assert await recall(sqlite_store, permits, told) == 1
