"""`eventually` waits, gives back what it saw, and fails with it."""

import pytest

from tests.waiting import eventually


async def test_eventually__true_later__returns_the_answer() -> None:
    answers = iter(["", "", "done"])
    assert await eventually(lambda: next(answers), interval=0) == "done"


async def test_eventually__async_predicate__is_awaited() -> None:
    async def ask() -> int:
        return 7

    assert await eventually(ask) == 7


async def test_eventually__never_true__shows_the_last_answer() -> None:
    with pytest.raises(AssertionError, match=r"was still \[\] after 0 s"):
        await eventually(list, timeout=0, interval=0)


async def test_eventually__predicate_raises__is_not_swallowed() -> None:
    def broken() -> bool:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await eventually(broken)
