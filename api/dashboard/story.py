"""What happened to an order, in sentences: its audit entries, oldest first. Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from api.dashboard.words import aware, dollars, limit_words, tokens, usdt
from api.views import OrderDetail, TimelineEntry
from models.requests import Side

_NOT_TOLD = frozenset({"claimed", "settlement_item", "order.placed"})
"""Of `timeline_of`: what audit entries tell better."""
_SAID_BEFORE = frozenset({"tx_hash", "fills", "fill_hash"})


class Step(NamedTuple):
    """One thing that happened. part: request, quote, broker, fill, vault, person or note.

    tx: a transaction to look at. facts: the entry as it was written, for whoever wants it all.
    """

    at: datetime
    part: str
    title: str
    detail: str
    actor: str
    tx: str
    facts: list[tuple[str, str]]


class _Teller(NamedTuple):
    """What a sentence is made with."""

    order: OrderDetail
    decimals: int | None

    def money(self, value: Any) -> str:
        return f"{usdt(int(value or 0), self.decimals)} USDT"

    def shares(self, units: Any) -> str:
        return f"{tokens(int(units or 0))} {self.order.symbol}"


Sentence = Callable[[_Teller, Mapping[str, Any]], tuple[str, str, str]]


def told(order: OrderDetail, decimals: int | None) -> list[Step]:
    """The order's story; what it lacks was never written."""
    teller = _Teller(order, decimals)
    return [_step(teller, entry) for entry in order.timeline if entry.what not in _NOT_TOLD]


def _step(teller: _Teller, entry: TimelineEntry) -> Step:
    try:
        part, title, detail = _SENTENCES.get(entry.what, _plain(entry.what))(teller, entry.data)
    except (KeyError, ValueError, TypeError, InvalidOperation):
        # An entry of another version of ours: it is shown as it is.
        part, title, detail = "note", _worded(entry.what), ""
    moment = aware(entry.at) or entry.at
    tx = str(entry.data.get("tx_hash", ""))
    return Step(moment, part, title, detail, entry.actor, tx, _facts(entry.data))


def _facts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in data.items():
        if isinstance(value, Mapping):
            found += [(f"{name}.{inner}", text) for inner, text in _facts(value)]
        elif value not in ("", None, []) and name not in _SAID_BEFORE:
            found.append((name, value if isinstance(value, str) else repr(value)))
    return found


def _plain(what: str) -> Sentence:
    return lambda _teller, data: ("note", _worded(what), str(data.get("detail", "")))


def _worded(what: str) -> str:
    return what.replace(".", ": ").replace("_", " ").capitalize()


def _admitted(teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
    side = Side(data["side"])
    buying = side is Side.BUY
    amount = teller.money(data["amount"]) if buying else teller.shares(data["amount"])
    limit = limit_words(side, int(data["limit_price"]), teller.decimals)
    title = f"Asked for on chain: {'buy for' if buying else 'sell'} {amount}, {limit}"
    return "request", title, str(data.get("indicative", ""))


def _claimed(teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
    price, count = dollars(Decimal(data["price"])), data["quantity"]
    title = f"Priced: {count} {teller.order.symbol} at up to {price} dollars"
    if data.get("side") == Side.SELL:
        title = f"Priced: {count} {teller.order.symbol} at {price} dollars or better"
    quote = data.get("quote") or {}
    broker, feed = quote.get("broker") or {}, quote.get("feed") or {}
    seen = ""
    if broker and feed:
        bid, ask = dollars(Decimal(broker["bid"])), dollars(Decimal(broker["ask"]))
        seen = f"bid {bid}, ask {ask} at the broker; the feed says {dollars(Decimal(feed['usd']))}"
    return "quote", f"{title} (try {data['attempt']})", seen


def _placed(teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
    return "broker", f"The broker has it as order {data['broker_order_id']}", data.get("detail", "")


def _rejected(_teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
    return "broker", f"The broker refused try {data['attempt']}", data.get("detail", "")


def _absent(_teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
    return "broker", "Proven: the broker never had it", data.get("detail", "")


def _void(_teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
    return "broker", f"Try {data['attempt']} was given up before anything was sent", data["detail"]


def _unknown(_teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
    return "broker", "The broker's answer was lost", f"{data['cause']}; {data['doing']}"


def _reported(teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
    count, average = data["filled"], dollars(Decimal(data["average_price"]))
    if not int(count):
        return "broker", f"The broker says: {data['status'].lower()}", data.get("error", "")
    title = f"{count} {teller.order.symbol} filled at {average} dollars"
    return "fill", title, f"the broker says: {data['status'].lower().replace('_', ' ')}"


def _settle(teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
    buying = teller.order.order_type is Side.BUY
    out = teller.shares(data["out"]) if buying else teller.money(data["out"])
    taken = teller.money(data["taken"]) if buying else teller.shares(data["taken"])
    return "vault", f"To be settled: {out} for {taken}", f"fee {teller.money(data['fee'])}"


def _refund(_teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
    return "vault", "To be given back in full", ""


def _sent(_teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
    again = f", try {data['tries'] + 1}" if data.get("tries") else ""
    return "vault", f"In a transaction to the vault{again}", f"batch {data['batch']}"


def _mined(_teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
    return "vault", f"In block {data['block_number']}", data.get("rejection", "")


def _settled(_teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
    return "vault", "Settled", data.get("detail", "")


def _ended(title: str) -> Sentence:
    def sentence(_teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
        reason = str(data.get("reason", "")).replace("_", " ").lower()
        said = f"{title}: {reason}" if reason not in ("", "none") else title
        return "vault", said, data.get("detail", "")

    return sentence


def _signed(_teller: _Teller, data: Mapping[str, Any]) -> tuple[str, str, str]:
    return "person", f"Approved by {data['signer']}", ""


_SENTENCES: Mapping[str, Sentence] = {
    "order.admitted": _admitted,
    "placement.claimed": _claimed,
    "placement.placed": _placed,
    "placement.rejected": _rejected,
    "placement.absent": _absent,
    "placement.void": _void,
    "order.unknown": _unknown,
    "broker.reported": _reported,
    "settlement.settle": _settle,
    "settlement.refund": _refund,
    "settlement.sent": _sent,
    "settlement.mined": _mined,
    "order.settled": _settled,
    "order.refunded": _ended("Refunded"),
    "order.cancelled": _ended("Cancelled, all went back"),
    "order.expired": _ended("Expired, all went back"),
    "order.reclaimed": _ended("Its owner took the escrow back"),
    "order.orphaned": _ended("A reorganisation took the request off the chain"),
    "approval.signed": _signed,
}
