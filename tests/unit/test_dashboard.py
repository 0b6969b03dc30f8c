"""What the dashboard says, and what it lets in: without a browser, without a socket."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from starlette.requests import HTTPConnection

from api.dashboard import words
from api.dashboard.chart import drawn
from api.dashboard.pages import HOME
from api.dashboard.session import csrf_of, reaches_us_safely
from api.dashboard.sign import _inside
from api.dashboard.story import told
from api.views import EXAMPLE, OrderDetail, TimelineEntry
from clients.store.prices import FillSeen, PriceSeen
from models.control import Hold, HoldKind
from models.money import MARKET_BUY_LIMIT, MARKET_SELL_LIMIT
from models.order import Stage
from models.requests import Side

NOW = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
NAIVE = NOW.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("units", "decimals", "shown"),
    [
        (0, 6, "0.00"),
        (1, 6, "0.000001"),
        (400_000_000, 6, "400.00"),
        (1_234_567_890_123, 6, "1,234,567.890123"),
        (-5, 2, "-0.05"),
        (10**30, 18, "1,000,000,000,000.00"),
        (17, None, "17 units"),
    ],
)
def test_usdt__any_size__is_exact(units: int, decimals: int | None, shown: str) -> None:
    assert words.usdt(units, decimals) == shown


def test_tokens__parts_of_one__are_exact() -> None:
    assert words.tokens(2 * 10**18) == "2"
    assert words.tokens(1) == "0.000000000000000001"


def test_limit__at_the_market__is_called_so() -> None:
    assert words.limit_words(Side.BUY, MARKET_BUY_LIMIT, 6) == "market"
    assert words.limit_words(Side.SELL, MARKET_SELL_LIMIT, 6) == "market"
    assert words.limit_words(Side.BUY, 195_000_000, 6) == "at most 195.00"
    assert words.limit_words(Side.SELL, 185_500_000, 6) == "at least 185.50"


def test_stages__each__has_a_look_with_a_shape_and_a_word() -> None:
    assert set(words.STAGES) == set(Stage)
    for look in words.STAGES.values():
        assert look.mark
        assert look.label
        assert look.says.endswith(".")


@pytest.mark.parametrize("kind", list(HoldKind))
def test_hold__of_any_kind__says_what_releases_it(kind: HoldKind) -> None:
    hold = Hold(key="anything", kind=kind, reason="", who="ada", at=NOW.isoformat())
    assert words.release_of(hold).endswith(".")
    assert words.scope_of(hold) == "All trading"


def test_story__what_another_version_wrote__is_told_as_it_is() -> None:
    entries = [
        TimelineEntry(at=NOW, what="placement.claimed", data={"new": "shape"}),
        TimelineEntry(at=NOW, what="never.heard_of", actor="eve", data={"detail": "<b>x</b>"}),
        TimelineEntry(at=NOW, what="claimed", data={}),
    ]
    order = OrderDetail.model_validate(dict(EXAMPLE) | {"timeline": entries})
    first, second = told(order, 6)
    assert (first.title, first.facts) == ("Placement: claimed", [("new", "shape")])
    assert (second.title, second.detail) == ("Never: heard of", "<b>x</b>")


def test_chart__a_symbol_with_markup__is_text() -> None:
    price = PriceSeen("<script>", NAIVE, Decimal("190"))
    fill = FillSeen("<script>", NAIVE, Side.SELL, 2, Decimal("190.5"))
    drawing = drawn("<script>", [price], [fill])
    assert "<script>" not in drawing
    assert "2 sold at 190.50" in drawing
    assert "style=" not in drawing, "the policy forbids it"
    assert drawn("AAPL", [], []) == ""


def test_chart__every_point__is_inside_the_picture() -> None:
    start = NAIVE
    prices = [
        PriceSeen("AAPL", start + timedelta(minutes=n), Decimal(190) + Decimal(n) / 10)
        for n in range(20)
    ]
    drawing = str(drawn("AAPL", prices, []))
    points = drawing.split('points="')[1].split('"')[0].split()
    assert len(points) == 20
    for point in points:
        x, y = (float(part) for part in point.split(","))
        assert 0 <= x <= 720
        assert 0 <= y <= 200


@pytest.mark.parametrize(
    ("asked", "led"),
    [
        ("/dashboard/orders?stage=HELD", "/dashboard/orders?stage=HELD"),
        ("/dashboard", "/dashboard"),
        ("https://elsewhere.example", "/dashboard"),
        ("//elsewhere.example", "/dashboard"),
        ("/dashboardx", "/dashboard"),
        ("/dashboard/\\elsewhere", "/dashboard"),
        ("/dashboard/\r\nSet-Cookie: x", "/dashboard"),
        ("", "/dashboard"),
    ],
)
def test_sign_in__whatever_the_form_says__leads_inside(asked: str, led: str) -> None:
    assert _inside(asked) == led


@pytest.mark.parametrize(
    ("scheme", "host", "safe"),
    [
        ("http", "127.0.0.1", True),
        ("http", "localhost", True),
        ("http", "[::1]", True),
        ("http", "127.0.0.1.elsewhere.example", False),
        ("http", "desk.example", False),
        ("https", "desk.example", True),
    ],
)
def test_cookie__plain_http__only_on_this_machine(scheme: str, host: str, safe: bool) -> None:
    headers = [(b"host", host.encode())]
    scope = {"type": "http", "scheme": scheme, "path": "/", "headers": headers}
    assert reaches_us_safely(HTTPConnection(scope)) is safe


def test_csrf__of_each_session__is_another_and_none_without() -> None:
    assert csrf_of("a") != csrf_of("b")
    assert csrf_of("") == ""


def test_templates__all_of_them__have_no_inline_script_or_style() -> None:
    for path in (HOME / "templates").glob("*.html"):
        text = path.read_text()
        for forbidden in ("<style", " style=", "javascript:", "|safe", "hx-on", " onclick"):
            assert forbidden not in text, f"{path.name}: {forbidden}"
        assert text.count("<script") == text.count("<script defer src="), path.name
