"""A price chart as SVG: a line of prices, and the fills on it. Pure; no script, no style in it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, Protocol

from markupsafe import Markup

from api.dashboard.words import dollars, moment
from models.requests import Side

WIDTH, HEIGHT = 720, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 14, 12, 30
_LINES = 4
_LEAST_SPREAD = Decimal("0.002")
"""Of the price: what stands still is drawn as a flat line, not as noise."""


_RULE = Markup(
    '<line class="rule" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
    '<text class="tick" x="{at}" y="{y}" dy="4" text-anchor="end">{price}</text>'
)
_EDGES = {"left": _LEFT, "right": WIDTH - _RIGHT, "at": _LEFT - 8}
_FILL = Markup('<polygon class="fill {word}" points="{points}"><title>{told}</title></polygon>')


class _Price(Protocol):
    @property
    def at(self) -> datetime: ...
    @property
    def last(self) -> Decimal: ...


class _Fill(Protocol):
    @property
    def at(self) -> datetime: ...
    @property
    def side(self) -> Side: ...
    @property
    def shares(self) -> int: ...
    @property
    def price(self) -> Decimal: ...


class _Frame(NamedTuple):
    """Where times and prices are in the picture."""

    since: datetime
    seconds: float
    low: Decimal
    high: Decimal

    def x(self, at: datetime) -> str:
        part = (at - self.since).total_seconds() / self.seconds
        return f"{_LEFT + part * (WIDTH - _LEFT - _RIGHT):.1f}"

    def y(self, price: Decimal) -> str:
        part = float((price - self.low) / (self.high - self.low))
        return f"{HEIGHT - _BOTTOM - part * (HEIGHT - _TOP - _BOTTOM):.1f}"


def drawn(symbol: str, prices: Sequence[_Price], fills: Sequence[_Fill]) -> Markup:
    """The chart; empty while there is nothing to draw."""
    frame = _framed(prices, fills)
    if frame is None:
        return Markup("")
    parts = [*_grid(frame), *_line(frame, prices), *(_dot(frame, fill) for fill in fills)]
    says = f"{symbol}: {len(prices)} prices and {len(fills)} fills, {_range(frame)}"
    return Markup(
        '<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-label="{says}">{inside}</svg>'
    ).format(w=WIDTH, h=HEIGHT, says=says, inside=Markup("").join(parts))


def _range(frame: _Frame) -> str:
    return f"between {_cents(frame.low)} and {_cents(frame.high)} dollars"


def _framed(prices: Sequence[_Price], fills: Sequence[_Fill]) -> _Frame | None:
    times = [each.at for each in prices] + [each.at for each in fills]
    values = [each.last for each in prices] + [each.price for each in fills]
    if not times:
        return None
    low, high = min(values), max(values)
    room = max((high - low) / 8, high * _LEAST_SPREAD)
    since, until = min(times), max(times)
    seconds = max((until - since).total_seconds(), timedelta(minutes=1).total_seconds())
    return _Frame(since, seconds, low - room, high + room)


def _grid(frame: _Frame) -> list[Markup]:
    found = []
    for step in range(_LINES + 1):
        price = frame.low + (frame.high - frame.low) * step / _LINES
        found.append(_RULE.format(y=frame.y(price), price=_cents(price), **_EDGES))
    for part, anchor in ((0.0, "start"), (1.0, "end")):
        at = frame.since + timedelta(seconds=frame.seconds * part)
        found.append(
            Markup('<text class="tick" x="{x}" y="{y}" text-anchor="{anchor}">{at}</text>').format(
                x=frame.x(at), y=HEIGHT - 8, anchor=anchor, at=moment(at)
            )
        )
    return found


def _line(frame: _Frame, prices: Sequence[_Price]) -> list[Markup]:
    points = " ".join(
        f"{frame.x(each.at)},{frame.y(each.last)}" for each in sorted(prices, key=lambda p: p.at)
    )
    return [Markup('<polyline class="price" points="{}"/>').format(points)] if points else []


def _dot(frame: _Frame, fill: _Fill) -> Markup:
    """A triangle up for what was bought, down for what was sold: shape and colour say the same."""
    x, y = float(frame.x(fill.at)), float(frame.y(fill.price))
    size = 6 if fill.side is Side.BUY else -6
    points = f"{x:.1f},{y - size:.1f} {x - 6:.1f},{y + size:.1f} {x + 6:.1f},{y + size:.1f}"
    word = "bought" if fill.side is Side.BUY else "sold"
    told = f"{fill.shares} {word} at {dollars(fill.price)}, {moment(fill.at)} UTC"
    return _FILL.format(word=word, points=points, told=told)


def _cents(price: Decimal) -> str:
    """A mark on the axis; prices themselves are never rounded."""
    return f"{price:,.2f}"
