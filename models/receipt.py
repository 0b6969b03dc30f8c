"""An order's receipt: what was asked, decided, filled and paid, with the log's own proof of it.

All in it is read off the order's audit entries, or stands on the chain. So nobody has to believe a
receipt: it is made again from its entries and compared, and the entries lead to signed heads of the
log. `leaves` are the hashes of all entries from the first one to such a head; null where an entry
is the order's own, whose hash is to be computed.

Amounts are text of base units, prices text of dollars, times UTC.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from models.audit import GENESIS, HEX64, Sealed, SignedHead, chained, facts_of, leaf_of
from models.canonical import canonical_json
from models.drafts import AuditHead
from models.errors import InvalidInput

Json = dict[str, Any]

FORMAT = "bronco-receipt/1"
_ADMITTED, _MINED, _CLAIMED = "order.admitted", "settlement.mined", "placement.claimed"
_KINDS: Mapping[str, str] = {"settlement.settle": "SETTLE", "settlement.refund": "REFUND"}
_STAGES = ("settled", "owed", "refunded", "cancelled", "expired", "reclaimed", "orphaned")
_ENDED = frozenset(f"order.{stage}" for stage in _STAGES)
_UNMINED = frozenset({"order.reclaimed", "order.orphaned"})
_TERMS = ("n", "side", "symbol", "owner", "recipient", "asset", "amount", "limit_price")
_MORE_TERMS = ("deadline", "reclaim_at", "fee_bps", "tx_hash")
_AMOUNTS = ("taken", "out", "fee", "filled", "average_price", "fill_hash", "reason_code")
_SEGMENT = frozenset({"previous", "leaves", "head"})
_CLAIM = ("attempt", "remark", "symbol", "side", "quantity", "price", "shares_per_token")


def text_of(receipt: Json) -> str:
    """The one text of a receipt: canonical JSON, beyond ASCII as it is, and an end of line."""
    return canonical_json(receipt, plain=False) + "\n"


def receipt_of(request_id: str, entries: Sequence[Sealed], segments: Sequence[Json]) -> Json:
    """A receipt of these entries."""
    return assembled(request_id, [facts_of(row, row.seq) for row in entries], segments)


def assembled(request_id: str, facts: Sequence[Json], segments: Sequence[Json]) -> Json:
    """As `receipt_of`, from entries as they are hashed. Raises InvalidInput: one lacks its data."""
    told = [(each, json.loads(each["data"])) for each in facts]
    admitted = next((data for each, data in told if each["action"] == _ADMITTED), None)
    if admitted is None or not segments:
        raise InvalidInput("receipt", request_id, "its order was never admitted, or not signed for")
    head = segments[0]["head"]
    request = {name: admitted[name] for name in (*_TERMS, *_MORE_TERMS)}
    return {
        "format": FORMAT,
        "chain_id": head["chain_id"],
        "vault": head["vault"],
        "request": {"id": request_id, **request},
        "attempts": _attempts(told),
        "fills": next((d["fills"] for e, d in told if e["action"] in _KINDS), []),
        "outcome": _outcome(told),
        "log": {"auditor": head["signer"], "entries": list(facts), "segments": list(segments)},
    }


def _attempts(told: Sequence[tuple[Json, Json]]) -> list[Json]:
    """Each right to send that was given, with the prices it was decided on and what came of it."""
    found: dict[str, Json] = {}
    for entry, data in told:
        if not entry["action"].startswith("placement."):
            continue
        one = found.setdefault(data["remark"], {name: data[name] for name in _CLAIM})
        if entry["action"] == _CLAIMED:
            one |= {"at": entry["at"], "quote": data.get("quote", {})}
        one |= {"state": entry["action"].removeprefix("placement.").upper()}
        one |= {"broker_order_id": data["broker_order_id"], "detail": data["detail"]}
    return list(found.values())


def _outcome(told: Sequence[tuple[Json, Json]]) -> Json:
    """How it ended: what the vault was told, in which transaction, and the stage it came to."""
    found: Json = {"kind": "", "stage": "", "tx_hash": "", "block_number": 0}
    for entry, data in told:
        if entry["action"] in _KINDS:
            found |= {"kind": _KINDS[entry["action"]], **{name: data[name] for name in _AMOUNTS}}
        elif entry["action"] == _MINED:
            found |= {"tx_hash": data["tx_hash"], "block_number": data["block_number"]}
        elif entry["action"] in _ENDED:
            found |= {"stage": entry["action"].removeprefix("order.").upper(), "at": entry["at"]}
    return found


def ended(entries: Iterable[Sealed]) -> bool:
    """Whether these entries tell how the order ended, and in which transaction if in one."""
    actions = [row.action for row in entries]
    last = next((action for action in reversed(actions) if action in _ENDED), "")
    return last in _UNMINED or (bool(last) and _MINED in actions)


def segment_of(rows: Sequence[Sealed], own: Iterable[int], head: SignedHead) -> Json:
    """The way from the order's first entry in these rows to the head that covers them.

    rows: every entry of the log from that one to the head. own: places of the order's entries.
    """
    mine = frozenset(own)
    leaves = [None if row.seq in mine else leaf_of(facts_of(row, row.seq)) for row in rows]
    return {"previous": rows[0].previous_hash, "leaves": leaves, "head": head.model_dump()}


def _must_be_strict(segment: Json) -> None:
    """Nothing but what leads to the head: who reads a receipt would take the rest for proven.

    Raises:
        InvalidInput: there is more, or a hash is spelled otherwise.
    """
    hashes = [segment["previous"] or GENESIS, *(leaf for leaf in segment["leaves"] if leaf)]
    if set(segment) != _SEGMENT or not all(re.fullmatch(HEX64, each) for each in hashes):
        raise InvalidInput("receipt", "segments", "they hold other things than hashes and a head")


def heads_reached(facts: Sequence[Json], segments: Sequence[Json]) -> list[SignedHead]:
    """The signed heads that these entries lead to; whose signatures they carry is not asked here.

    Raises:
        InvalidInput: a hash does not come out, or an entry leads to no head.
    """
    waiting, heads = list(facts), list[SignedHead]()
    for segment in segments:
        _must_be_strict(segment)
        head = SignedHead.model_validate(segment["head"])
        seq = head.seq - len(segment["leaves"])
        leaves = []
        for leaf in segment["leaves"]:
            seq += 1
            if leaf is not None:
                leaves.append(leaf)
            elif not waiting or waiting[0]["seq"] != seq:
                raise InvalidInput("receipt", f"entry {seq}", "it is not the order's")
            else:
                leaves.append(leaf_of(waiting.pop(0)))
        if AuditHead(seq, chained(segment["previous"] or GENESIS, leaves)) != head.head:
            raise InvalidInput("receipt", f"head {head.seq}", "the entries do not lead to it")
        heads.append(head)
    if waiting:
        raise InvalidInput("receipt", f"entry {waiting[0]['seq']}", "no signed head covers it")
    return heads
