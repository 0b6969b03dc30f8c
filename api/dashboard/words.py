"""How amounts, times, stages and holds are told to a person. Pure; templates call it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from models.control import Hold, HoldKind
from models.money import MARKET_BUY_LIMIT, MARKET_SELL_LIMIT, SHARE_SCALE
from models.order import Stage
from models.requests import Side

_SHOWN_MONEY = 2


class Look(NamedTuple):
    """How a state is shown. tone: a class of the style sheet; mark: a shape beside the colour."""

    tone: str
    mark: str
    label: str
    says: str


STAGES: Mapping[Stage, Look] = {
    Stage.CONFIRMING: Look(
        "wait", "◔", "Confirming", "The chain has the request; it waits for more blocks on top."
    ),
    Stage.HELD: Look("wait", "❙❙", "Held", "Nothing is placed while a hold stands in the way."),
    Stage.WAITING_SESSION: Look(
        "wait", "◷", "Market closed", "It is placed when the market opens."
    ),
    Stage.QUEUED: Look(
        "wait", "≡", "In line", "It waits for its turn or for money and shares that are reserved."
    ),
    Stage.PLACED: Look("busy", "▸", "At the broker", "The broker works it; nothing filled yet."),
    Stage.PART_FILLED: Look("busy", "◑", "Part filled", "A part is filled; the rest still works."),
    Stage.UNKNOWN: Look(
        "bad", "?", "Unknown", "The broker's answer was lost: it is looked for, not sent again."
    ),
    Stage.CANCELLING: Look("busy", "✕", "Cancelling", "A cancel is at the broker."),
    Stage.SETTLING: Look("busy", "⇄", "Settling", "The vault's transaction is on its way."),
    Stage.AWAITING_APPROVAL: Look(
        "bad", "✎", "Needs approval", "The vault takes it only with the approvers' signatures."
    ),
    Stage.SETTLED: Look("good", "✓", "Settled", "Done: the vault has paid out."),
    Stage.REFUNDED: Look("idle", "↩", "Refunded", "Done: all of it went back."),
    Stage.CANCELLED: Look("idle", "↩", "Cancelled", "Done: cancelled, and all of it went back."),
    Stage.EXPIRED: Look("idle", "↩", "Expired", "Done: its time was over, and it all went back."),
    Stage.OWED: Look(
        "bad", "!", "Owed", "Settled, but the vault has yet to pay: it pays when money comes in."
    ),
    Stage.RECLAIMED: Look("idle", "↩", "Reclaimed", "Its owner took the escrow back."),
    Stage.ORPHANED: Look(
        "bad", "∅", "Orphaned", "A reorganisation took the request off the chain."
    ),
}

_RELEASES: tuple[tuple[str, str], ...] = (
    ("chain-stalled", "The next block of the chain lifts it."),
    ("broker-silent", "The next read of the broker's book lifts it."),
    ("peg-lost", "A price of USDT that is near one dollar again lifts it."),
    ("order-failures", "A reconcile run that counts fewer failures lifts it."),
    (
        "mismatch:position",
        "A run that finds the positions right and nothing in flight lifts it.",
    ),
    ("mismatch:supply_uncovered", "A run that finds every token covered lifts it."),
    ("mismatch:money", "A run that finds the vault's books right lifts it."),
)


def release_of(hold: Hold) -> str:
    """What would lift a hold."""
    if hold.kind is HoldKind.MANUAL:
        return "It stays until a person resumes this scope."
    if hold.kind is HoldKind.DRAIN:
        return "It stays until a person ends the drain."
    if hold.kind is HoldKind.HOUSE:
        return "It lifts when the house's position is flattened, adopted or written off."
    known = (words for key, words in _RELEASES if hold.key.startswith(key))
    return next(known, "It lifts by itself once what it measures is well again.")


def scope_of(hold: Hold) -> str:
    """What a hold stops."""
    if hold.everything:
        return "All trading"
    side = {Side.BUY: "Buying", Side.SELL: "Selling", None: "Buying and selling"}[hold.side]
    return f"{side} {hold.symbol}".strip() if hold.symbol else f"{side} anything"


def usdt(units: int, decimals: int | None) -> str:
    """USDT as people write it, exact; base units while nobody knows the decimals."""
    if decimals is None:
        return f"{units:,} units"
    return _grouped(units, decimals, _SHOWN_MONEY)


def tokens(units: int) -> str:
    """Share tokens, exact."""
    return _grouped(units, 18, 0)


def limit_words(side: Side, limit: int, decimals: int | None) -> str:
    """The user's limit: per token, all-in."""
    market = MARKET_BUY_LIMIT if side is Side.BUY else MARKET_SELL_LIMIT
    if limit == market:
        return "market"
    return f"{'at most' if side is Side.BUY else 'at least'} {usdt(limit, decimals)}"


def dollars(price: Decimal) -> str:
    """A price in dollars, with at least cents."""
    text = f"{price:,f}"
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(_SHOWN_MONEY, '0')}"


def moment(value: datetime | int | float | str | None) -> str:
    """A time in UTC, to the second."""
    found = aware(value)
    return found.strftime("%d %b %H:%M:%S") if found else ""


def iso(value: datetime | int | float | str | None) -> str:
    """The same for machines."""
    found = aware(value)
    return found.isoformat(timespec="seconds") if found else ""


def aware(value: datetime | int | float | str | None) -> datetime | None:
    """A time from a row (naive UTC), Unix seconds, or ISO 8601."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def short(text: str) -> str:
    """A hash or an address by its ends."""
    return text if len(text) <= 14 else f"{text[:6]}…{text[-4:]}"


def whole(units: int) -> str:
    """Whole share tokens where there are no parts, for sums."""
    return f"{units // SHARE_SCALE:,}" if units % SHARE_SCALE == 0 else tokens(units)


def _grouped(units: int, decimals: int, least: int) -> str:
    sign, units = ("-" if units < 0 else ""), abs(units)
    whole_part, rest = divmod(units, 10**decimals)
    digits = f"{rest:0{decimals}d}".rstrip("0").ljust(least, "0") if decimals else ""
    return f"{sign}{whole_part:,}.{digits}" if digits else f"{sign}{whole_part:,}"
