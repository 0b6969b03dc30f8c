"""Which tests share a desk: read when tests are put in order, and when a desk may end."""

import pytest

SHARED = ("embedded_desk", "shared_desk")
"""Fixtures that give a desk which outlives the file."""


def desk_of(item: pytest.Item) -> str:
    """Which of them the test needs; empty: none."""
    names = getattr(item, "fixturenames", ())
    return next((name for name in SHARED if name in names), "")
