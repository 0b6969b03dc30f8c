"""Who spoils a batch is found by asking about parts of it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from activities.sieve import Sieve
from models.records import ItemKind, SettlementItem
from tests.builders import order_request

NOW = datetime(2026, 1, 5, 15, 1, tzinfo=UTC)


class Chain:
    """Reverts a batch with a bad item in it, or with too many; counts how often it was asked."""

    def __init__(self, bad: set[int], most: int = 10**6, *, blocked: bool = False) -> None:
        self.bad = bad
        self.most = most
        self.blocked = blocked
        self.asked = 0

    async def passes(self, items: Sequence[SettlementItem]) -> bool:
        self.asked += 1
        if self.blocked:
            return False
        return len(items) <= self.most and not self.bad & {i.request_number for i in items}


def batch(size: int) -> list[SettlementItem]:
    return [_item(n) for n in range(1, size + 1)]


def _item(n: int) -> SettlementItem:
    request = order_request(n)
    return SettlementItem(
        chain_id=request.chain_id,
        vault=request.vault,
        request_number=n,
        request_id=request.request_id,
        workflow_id=f"order-{n}",
        kind=ItemKind.SETTLE,
        created_at=NOW,
        updated_at=NOW,
    )


def numbers(items: Sequence[SettlementItem]) -> list[int]:
    return [item.request_number for item in items]


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(1, n)))))
async def test_sift__any_items_spoil_it__good_ones_pass_and_none_is_lost(
    case: tuple[int, set[int]],
) -> None:
    size, bad = case
    chain = Chain(bad)
    found = await Sieve(chain.passes, most_calls=10**6).sift(batch(size))
    assert set(numbers(found.poison)) == bad
    assert numbers(found.good) == [n for n in range(1, size + 1) if n not in bad]
    assert found.unsure == []


@given(st.integers(1, 60), st.sets(st.integers(1, 60)), st.integers(3, 40), st.integers(1, 60))
async def test_sift__few_calls_left_or_too_big__takes_only_what_passes_together(
    size: int, bad: set[int], calls: int, most: int
) -> None:
    chain = Chain(bad, most)
    found = await Sieve(chain.passes, most_calls=calls).sift(batch(size))
    assert chain.asked <= calls
    assert not found.good or await chain.passes(found.good)
    assert set(numbers(found.poison)) <= bad
    everyone = sorted(numbers([*found.good, *found.poison, *found.unsure]))
    assert everyone == list(range(1, size + 1))


async def test_sift__nobody_spoils_it__asks_once() -> None:
    chain = Chain(set())
    assert len((await Sieve(chain.passes).sift(batch(50))).good) == 50
    assert chain.asked == 1


async def test_sift__one_in_fifty__is_found_in_a_dozen_calls() -> None:
    chain = Chain({37})
    found = await Sieve(chain.passes).sift(batch(50))
    assert numbers(found.poison) == [37]
    assert len(found.good) == 49
    assert chain.asked <= 16


async def test_sift__too_big_as_a_whole__the_largest_part_goes_first() -> None:
    found = await Sieve(Chain(set(), most=30).passes).sift(batch(50))
    assert len(found.good) == 25
    assert len(found.unsure) == 25
    assert found.poison == []


async def test_sift__even_an_empty_batch_reverts__blames_no_item() -> None:
    found = await Sieve(Chain(set(), blocked=True).passes).sift(batch(3))
    assert found.blocked
    assert (found.good, found.poison, len(found.unsure)) == ([], [], 3)


async def test_sift__no_time_left__leaves_the_rest_for_another_batch() -> None:
    chain = Chain({1})
    found = await Sieve(chain.passes, patience=lambda: chain.asked < 4).sift(batch(8))
    assert found.poison == []
    assert len(found.good) + len(found.unsure) == 8
    assert chain.asked <= 5
