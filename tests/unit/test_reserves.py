"""What redeems will need, and what a statement says of itself."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest

from api.reserves import EXAMPLE, ReservesView, view_of
from models.reserves import Reserves, days_of, forecast, short_words
from models.splits import SharesPerToken
from tests.builders import statement

DAY = date(2026, 1, 5)


def days(*units: int) -> Mapping[date, int]:
    return {DAY + timedelta(days=index): each for index, each in enumerate(units)}


@pytest.mark.parametrize(
    ("paid", "needs"),
    [
        (days(), [10, 10, 10]),
        (days(5), [10, 15, 15]),
        (days(5, 7, 0, 1), [10, 17, 22]),
        (days(9, 0, 0, 8, 8), [10, 19, 26]),
    ],
)
def test_forecast__what_is_open_and_the_worst_days__is_needed(
    paid: Mapping[date, int], needs: list[int]
) -> None:
    found = forecast(10, paid, have=12)
    assert [need.days for need in found] == [0, 1, 3]
    assert [need.need_units for need in found] == needs
    assert [need.short_units for need in found] == [max(0, need - 12) for need in needs]


@pytest.mark.parametrize(
    ("open_units", "have", "says"),
    [
        (10, 20, ""),
        (10, 14, "redeems need 15 USDT units within a day, 14 are free: 1 are missing"),
        (10, 9, "redeems need 10 USDT units now, 9 are free: 1 are missing"),
    ],
)
def test_forecast__short_within_a_day__is_said(open_units: int, have: int, says: str) -> None:
    assert short_words(forecast(open_units, days(5), have)) == says


def test_forecast__short_only_in_three_days__is_no_alarm() -> None:
    needs = forecast(0, days(5, 5, 5), have=5)
    assert needs[-1].short_units == 10
    assert short_words(needs) == ""


def test_paid__several_on_one_day__are_summed_by_day() -> None:
    at = datetime(2026, 1, 5, 23, 59, 59, tzinfo=UTC)
    moments = [(at, 3), (at - timedelta(hours=2), 4), (at + timedelta(seconds=1), 9)]
    assert days_of(moments) == {DAY: 7, DAY + timedelta(days=1): 9}


def test_statement__written_and_read__is_the_same() -> None:
    made = statement(problems=("AAPL: no price",))
    assert Reserves.model_validate_json(made.text()) == made


def test_shares__after_a_split__are_counted_by_the_ratio() -> None:
    (shares,) = statement().shares
    split = shares.model_copy(update={"shares_per_token": SharesPerToken(numerator=4, epoch=1)})
    assert [int(each.issued_shares) for each in (shares, split)] == [5, 20]


def test_view__of_a_statement__has_its_age_and_what_is_left() -> None:
    made = statement()
    now = made.taken_at.replace(tzinfo=UTC) + timedelta(seconds=41)
    view = view_of(made, now)
    assert (view.age_seconds, view.complete, view.short) == (41, True, "")
    assert view.surplus_units == made.usdt.vault_units - made.usdt.liabilities_units
    shown = view.model_dump(mode="json")
    assert shown.keys() == EXAMPLE.keys()
    assert shown["usdt"]["vault_units"] == str(made.usdt.vault_units)
    assert ReservesView.model_validate(EXAMPLE).model_dump(mode="json") == EXAMPLE
