"""Which answers of a feed are prices."""

from decimal import Decimal

import pytest

from clients.oracle import PriceStale, PriceUnusable, judged
from models.requests import BlockRef

NOW = 1_800_000_000
HEAD = BlockRef(number=1, hash="0x" + "00" * 32, timestamp=NOW)
FEED = "0x" + "11" * 20
HOUR = 3600


def price(answer: int = 190 * 10**8, *, updated_at: int = NOW - 60, decimals: int = 8) -> Decimal:
    rounds = (18446744073709551617, answer, updated_at, updated_at, 1)
    return judged(FEED, rounds, decimals, heartbeat_seconds=HOUR, at=HEAD).usd


@pytest.mark.parametrize(
    ("answer", "decimals", "usd"),
    [
        (19_000_000_000, 8, "190"),
        (19_012_345_678, 8, "190.12345678"),
        (1, 8, "0.00000001"),
        (190_123_456_789_012_345_678, 18, "190.123456789012345678"),
        (
            12_345_678_901_234_567_890_123_456_789_012_345_678,
            18,
            "12345678901234567890.123456789012345678",
        ),
        (190, 0, "190"),
    ],
)
def test_price__positive_answer__is_exact(answer: int, decimals: int, usd: str) -> None:
    assert price(answer, decimals=decimals) == Decimal(usd)


@pytest.mark.parametrize("answer", [0, -1, -(2**255), -190 * 10**8])
def test_price__answer_not_positive__is_unusable(answer: int) -> None:
    with pytest.raises(PriceUnusable, match=str(answer)):
        price(answer)


@pytest.mark.parametrize("decimals", [-1, 31, 255])
def test_price__absurd_decimals__is_unusable(decimals: int) -> None:
    with pytest.raises(PriceUnusable):
        price(decimals=decimals)


def test_price__heartbeat_old__is_taken_and_a_second_older_is_stale() -> None:
    assert price(updated_at=NOW - HOUR) == 190
    with pytest.raises(PriceStale) as stale:
        price(updated_at=NOW - HOUR - 1)
    assert stale.value.age_seconds == HOUR + 1


def test_price__clock_skew__thirty_seconds_and_no_more() -> None:
    assert price(updated_at=NOW + 30) == 190
    with pytest.raises(PriceUnusable, match="future"):
        price(updated_at=NOW + 31)


def test_price__round_not_complete__is_unusable() -> None:
    with pytest.raises(PriceUnusable, match="not complete"):
        price(updated_at=0)
