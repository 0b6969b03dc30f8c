"""What the store promises on any database; the unit and the integration tier both run it."""

import pytest

pytest.register_assert_rewrite(
    "tests.contracts.auditing",
    "tests.contracts.orders",
    "tests.contracts.placements",
    "tests.contracts.items",
    "tests.contracts.book",
    "tests.contracts.levels",
    "tests.contracts.records",
    "tests.contracts.prices",
    "tests.contracts.sessions",
    "tests.contracts.transactions",
    "tests.contracts.flags",
)
