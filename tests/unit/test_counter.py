"""What a user types becomes exact units, or a refusal that names it."""

import pytest

from bronco.counter import parse_units, plain
from models.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "decimals", "units"),
    [
        ("1000", 6, 1_000_000_000),
        ("999.50", 6, 999_500_000),
        ("0.000001", 6, 1),
        ("1e3", 6, 1_000_000_000),
        ("100.000000000000000001", 18, 100 * 10**18 + 1),
    ],
)
def test_units__typed__are_exact(text: str, decimals: int, units: int) -> None:
    assert parse_units("amount", text, decimals) == units


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("abc", "give a number"),
        ("", "give a number"),
        ("0", "above 0"),
        ("-5", "above 0"),
        ("NaN", "above 0"),
        ("inf", "above 0"),
        ("0.0000001", "at most 6 decimal places"),
        ("1e30", "more than the vault can count"),
        ("1e999999", "more than the vault can count"),
        (str(2**128), "more than the vault can count"),
    ],
)
def test_units__not_an_amount__is_refused_by_name(text: str, remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy) as refused:
        parse_units("amount", text, 6)
    assert refused.value.field == "amount"


def test_plain__units__are_shown_whole_and_without_idle_zeros() -> None:
    assert plain(952_250_700, 6) == "952.2507"
    assert plain(10**20 + 1, 18) == "100.000000000000000001"
    assert plain(5 * 10**18, 18) == "5"
