"""HouseWorkflow: one order at a time, until nothing is left, and never past a person's decision."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from models.house import HouseOutcome, HouseVerb
from models.messages import PlaceOutcome
from models.requests import Side
from tests.skipping import new_environment
from tests.workflow.house_fakes import FakeHouse, at_work, begun, broken


@pytest_asyncio.fixture(scope="module")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    """A server of its own: no time is skipped while another test's activity runs."""
    async with await new_environment() as environment:
        yield environment


async def run(
    env: WorkflowEnvironment,
    fake: FakeHouse,
    verb: HouseVerb = HouseVerb.FLATTEN,
    *,
    act: bool = True,
) -> HouseOutcome:
    async with at_work(env, fake) as queue:
        return await (await begun(env, queue, verb, act=act)).result()


@pytest.mark.parametrize(("outstanding", "side"), [(2, Side.SELL), (-2, Side.BUY)])
async def test_flatten__filled_at_once__one_order_and_closed(
    env: WorkflowEnvironment, outstanding: int, side: Side
) -> None:
    fake = FakeHouse(outstanding, 2)
    assert (await run(env, fake)).done
    assert (fake.asked, fake.closed, fake.cancelled) == ([(1, side)], 1, 0)


async def test_flatten__a_part_fills_in_time__is_cancelled_and_the_rest_sold_anew(
    env: WorkflowEnvironment,
) -> None:
    fake = FakeHouse(3, 1, 2)
    assert (await run(env, fake)).done
    assert fake.asked == [(1, Side.SELL), (2, Side.SELL)]
    assert (fake.cancelled, fake.outstanding) == (1, 0)


async def test_flatten__answer_lost__nothing_more_before_it_is_certain(
    env: WorkflowEnvironment,
) -> None:
    fake = FakeHouse(1, PlaceOutcome.RESOLVE, 1)
    assert (await run(env, fake)).done
    assert [number for number, _ in fake.asked] == [1, 2]


async def test_flatten__the_step_breaks__is_resolved_before_the_next(
    env: WorkflowEnvironment,
) -> None:
    fake = FakeHouse(1, broken(), broken(), 1)
    assert (await run(env, fake)).done
    assert [number for number, _ in fake.asked] == [1, 2, 3]


async def test_flatten__held_or_closed__waits_and_goes_on(env: WorkflowEnvironment) -> None:
    fake = FakeHouse(1, PlaceOutcome.HELD, PlaceOutcome.WAITING_SESSION, 1)
    assert (await run(env, fake)).done
    assert [number for number, _ in fake.asked] == [1, 1, 1]


async def test_flatten__refused_three_times__gives_up_and_says_what_is_left(
    env: WorkflowEnvironment,
) -> None:
    fake = FakeHouse(2, *[PlaceOutcome.REJECTED] * 3)
    outcome = await run(env, fake)
    assert not outcome.done
    assert "2 AAPL of it are left" in outcome.waits
    assert (len(fake.asked), fake.closed) == (3, 0)


async def test_flatten__nothing_left_after_a_death__is_only_closed(
    env: WorkflowEnvironment,
) -> None:
    fake = FakeHouse(0)
    assert (await run(env, fake)).done
    assert (fake.asked, fake.closed) == ([], 1)


@pytest.mark.parametrize(
    "weighed",
    [{"refused": "adopt it"}, {"waits": "a second person"}, {"done": True, "words": "closed"}],
)
async def test_verb__refused_undecided_or_done__sends_nothing(
    env: WorkflowEnvironment, weighed: dict[str, object]
) -> None:
    fake = FakeHouse(2, 2)
    fake.weighed = HouseOutcome.model_validate({"verb": HouseVerb.FLATTEN} | weighed)
    assert await run(env, fake) == fake.weighed
    assert fake.asked == []


async def test_verb__only_looked_at__sends_nothing(env: WorkflowEnvironment) -> None:
    fake = FakeHouse(2, 2)
    assert await run(env, fake, act=False) == fake.weighed
    assert fake.asked == []


async def test_flatten__stopped__cancels_what_works_and_places_no_more(
    env: WorkflowEnvironment,
) -> None:
    fake = FakeHouse(3, 1)
    async with at_work(env, fake) as queue:
        handle = await begun(env, queue)
        await handle.signal("stop")
        outcome = await handle.result()
    assert not outcome.done
    assert "stopped" in outcome.waits
    assert fake.open is None
    assert len(fake.asked) <= 1
