"""The tiers: each folder is one, cheapest first; a failed tier ends the run."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.sharing import desk_of

# How long an example takes says more about the machine than about the code.
settings.register_profile("bronco", deadline=None)
settings.load_profile("bronco")

# As the `bronco` command does: what is imported stays, and is not looked through time and again.
gc.set_threshold(50_000)

pytest_plugins = ["tests.services", "tests.desks"]

TIERS = ("unit", "workflow", "replay", "integration", "e2e", "chaos")
HERE = Path(__file__).parent


def tier_of(item: pytest.Item) -> str:
    tier = item.path.relative_to(HERE).parts[0]
    if tier not in TIERS:
        raise pytest.UsageError(f"{item.path} is in no tier: move it under one of {TIERS}")
    return tier


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(tier_of(item))
    # Files that share a desk stand together: it is started and ended as seldom as can be.
    items.sort(key=lambda item: (TIERS.index(tier_of(item)), desk_of(item)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    result = yield
    last_of_tier = nextitem is not None and tier_of(nextitem) != tier_of(item)
    if last_of_tier and item.session.testsfailed:
        item.session.shouldstop = f"tier {tier_of(item)} failed; the dearer ones were not run"
    return result
