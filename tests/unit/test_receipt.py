"""Receipts made from a log with other orders in it, and receipts that somebody forged well."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from activities.settling import fills_of, settlement_item
from bronco.devchain import AUDITOR, dev_key
from bronco.receipts import Check, check_receipt, read_receipt
from clients.auditing import sign_head
from clients.keys import account_of
from clients.store import Store, upgrade
from clients.vault import terms_of
from models.audit import SignedHead, chained, leaf_of
from models.broker import BrokerOrder, BrokerStatus
from models.chain import TxReceipt, VaultEvent
from models.drafts import AuditDraft, AuditHead
from models.errors import Conflict, InvalidInput
from models.messages import EnqueueInput
from models.order import Order, OrderStatus, Stage
from models.receipt import Json, assembled, text_of
from models.records import ItemKind, SettlementItem
from models.requests import OrderRequest, VaultRequest, VaultStatus, remark_of
from models.verdict import settle_item
from tests.auditing import AUDITOR_ADDRESS, signed
from tests.builders import placement
from tests.contracts.builders import (
    CHAIN,
    NOW,
    VAULT,
    broker_order,
    later,
    request_id,
    vault_request,
)
from tests.spoiling import each_field

MINE, OTHERS = request_id(1), request_id(2)
REMARK = remark_of(MINE, 1)
ASKED, PAID = "0x" + "a1" * 32, "0x" + "b2" * 32
TERMS = vault_request(status=VaultStatus.SETTLED)
CLAIM = placement(MINE, remark=REMARK, quantity=5)
FILLED = broker_order(
    remark=REMARK,
    quantity=5,
    filled=5,
    status=BrokerStatus.FILLED,
    average_price=Decimal("190.01"),
)


def item(order: BrokerOrder = FILLED) -> SettlementItem:
    request = OrderRequest(chain_id=CHAIN, vault=VAULT, n=1, request_id=MINE, side=TERMS.side)
    message = EnqueueInput(request=request, version=1, kind=ItemKind.SETTLE)
    made = settlement_item(message, TERMS, [CLAIM], [order], 6, NOW)
    assert isinstance(made, SettlementItem)
    return made


class FakeWitness:
    """A chain on which everything is as the order's entries say."""

    def __init__(self) -> None:
        self.terms: VaultRequest | None = TERMS
        self.trusted = {AUDITOR_ADDRESS}
        settled = item()
        self.events: dict[str, tuple[str, dict[str, int | str]]] = {
            ASKED: ("DepositRequested", {}),
            PAID: (
                "Settled",
                {
                    "taken": settled.taken,
                    "out": settled.out,
                    "fee": settled.fee,
                    "fillHash": settled.fill_hash,
                },
            ),
        }

    async def auditor(self, signer: str) -> bool:
        return signer in self.trusted

    async def request(self, n: int) -> VaultRequest | None:
        return self.terms if n == 1 else None

    async def decimals(self) -> int:
        return 6

    async def settled_terms(self, n: int) -> str:
        return terms_of(settle_item(item())) if n == 1 else "0x"

    async def transaction(self, tx_hash: str) -> TxReceipt | None:
        if tx_hash not in self.events:
            return None
        name, args = self.events[tx_hash]
        place = {"tx_hash": tx_hash, "block_number": 9, "block_hash": "0x" + "cc" * 32}
        event = VaultEvent(name=name, n=1, request_id=MINE, args=args, **place)
        return TxReceipt(ok=True, gas_used=1, gas_price=1, events=(event,), **place)


class Desk:
    """A log in which two orders take turns."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.order = Order(
            internal_id=42,
            chain_id=CHAIN,
            vault=VAULT.lower(),
            request_number=1,
            request_id=MINE,
            workflow_id="w",
            tx_hash=ASKED,
            user_addr=TERMS.owner.lower(),
            order_type=TERMS.side,
            status=OrderStatus.EXECUTED,
            stage=Stage.SETTLED,
            created_at=NOW,
            updated_at=NOW,
        )
        self._times = 0

    async def say(self, action: str, of: str = MINE, **data: Any) -> None:
        """An entry, and one of another order's after it."""
        self._times += 1
        for request, told in ((of, data), (OTHERS, {"secret": "of somebody else"})):
            key = f"{self._times}:{request}"
            draft = AuditDraft(key, action, request, data=told)
            await self.store.audit.append(draft, later(self._times))

    async def sign(self) -> None:
        await self.store.audit.seal()
        await self.store.audit.keep_head(signed(await self.store.audit.head()))

    async def live(self) -> None:
        """Everything a settled deposit goes through, signed for twice on the way."""
        await self.say("hold_set", of="")
        await self.say("order.admitted", **terms())
        claimed: dict[str, Any] = {"attempt": 1, "remark": REMARK, "symbol": "AAPL", "side": "BUY"}
        claimed |= {"quantity": 5, "price": "190.01", "shares_per_token": "1/1"}
        claimed |= {"broker_order_id": "", "detail": ""}
        await self.say("placement.claimed", **claimed, quote={"share_usd": "190"})
        await self.sign()
        await self.say("placement.placed", **claimed | {"broker_order_id": "B1"})
        settled = item()
        money = {"taken": str(settled.taken), "out": str(settled.out), "fee": str(settled.fee)}
        await self.say(
            "settlement.settle",
            **money,
            filled=str(settled.filled),
            average_price=settled.average_price,
            fill_hash=settled.fill_hash,
            reason_code=0,
            fills=fills_of([CLAIM], [FILLED]),
        )
        await self.say("settlement.mined", tx_hash=PAID, block_number=9)

    async def end(self) -> None:
        await self.say("order.settled", reason="NONE", detail="")
        await self.sign()


def terms() -> dict[str, Any]:
    return {
        "n": 1,
        "tx_hash": ASKED,
        "side": TERMS.side,
        "symbol": "AAPL",
        "owner": TERMS.owner.lower(),
        "recipient": TERMS.recipient.lower(),
        "asset": TERMS.asset.lower(),
        "amount": str(TERMS.amount),
        "limit_price": str(TERMS.limit_price),
        "deadline": TERMS.deadline,
        "reclaim_at": TERMS.reclaim_at,
        "fee_bps": TERMS.fee_bps,
    }


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    url = f"sqlite:///{tmp_path}/bronco.db"
    upgrade(url)
    store = Store(url, pool_size=2)
    yield Desk(store)
    store.close()


@pytest.fixture
async def receipt(desk: Desk) -> Json:
    await desk.live()
    await desk.end()
    return await desk.store.receipts.of_order(desk.order)


async def problems(text: bytes, witness: FakeWitness) -> list[Check]:
    return [one for one in await check_receipt(read_receipt(text), witness) if one.problem]


def resigned(body: Json, index: int = AUDITOR) -> bytes:
    """The receipt made anew from its changed entries, with heads that this account signed."""
    waiting = list(body["log"]["entries"])
    segments = []
    for segment in body["log"]["segments"]:
        leaves = [leaf or leaf_of(waiting.pop(0)) for leaf in segment["leaves"]]
        head = SignedHead.model_validate(segment["head"])
        new = AuditHead(head.seq, chained(segment["previous"], leaves))
        made = sign_head(
            new, head.time, account_of(dev_key(index)), chain_id=CHAIN, vault=head.vault
        )
        segments.append(segment | {"head": made.model_dump()})
    again = assembled(MINE, body["log"]["entries"], segments)
    return text_of(again).encode()


def retold(body: Json, action: str, **changes: Any) -> Json:
    """With other data in one entry."""
    changed: Json = json.loads(text_of(body))
    for entry in changed["log"]["entries"]:
        if entry["action"] == action:
            data = json.loads(entry["data"]) | changes
            entry["data"] = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return changed


async def test_receipt__among_others_entries__verifies_and_shows_none_of_them(
    receipt: Json,
) -> None:
    text = text_of(receipt)
    assert await problems(text.encode(), FakeWitness()) == []
    assert "somebody else" not in text
    assert len(receipt["log"]["segments"]) == 2
    leaves = [leaf for segment in receipt["log"]["segments"] for leaf in segment["leaves"]]
    assert (leaves.count(None), len(leaves)) == (6, 12)
    assert receipt["attempts"][0]["quote"] == {"share_usd": "190"}
    assert receipt["attempts"][0]["state"] == "PLACED"


async def test_receipt__one_field_changed_or_removed__never_verifies(receipt: Json) -> None:
    text = text_of(receipt)
    spoilt = list(each_field(text))
    assert len(spoilt) > 150
    for one in spoilt:
        try:
            assert await problems(one.text, FakeWitness()), f"{one.what} was not noticed"
        except InvalidInput:
            continue


@pytest.mark.parametrize("spacing", ["indented", "no end of line", "a field twice"])
async def test_receipt__other_text_of_the_same_data__is_refused(
    receipt: Json, spacing: str
) -> None:
    text = text_of(receipt)
    spoilt = {
        "indented": json.dumps(receipt, indent=1),
        "no end of line": text.rstrip(),
        "a field twice": text.replace('{"attempts"', '{"format":"x","attempts"'),
    }
    with pytest.raises(InvalidInput, match="canonical"):
        read_receipt(spoilt[spacing].encode())


async def test_receipt__forged_whole_by_a_stranger__the_vault_names_another_auditor(
    receipt: Json,
) -> None:
    (found,) = await problems(resigned(receipt, index=7), FakeWitness())
    assert "AUDITOR_ROLE" in found.problem


FORGERIES: list[tuple[str, dict[str, Any], str]] = [
    ("settlement.settle", {"taken": "1"}, "its event has another taken"),
    ("settlement.settle", {"fee": "7"}, "its event has another fee"),
    ("settlement.settle", {"out": "7"}, "the vault was told other amounts"),
    ("settlement.mined", {"block_number": 8}, "no such Settled"),
    ("settlement.mined", {"tx_hash": ""}, "no entry names it"),
    ("settlement.mined", {"tx_hash": ASKED}, "no such Settled"),
    ("order.admitted", {"amount": "5"}, "the vault has another amount"),
    ("order.admitted", {"deadline": 5}, "the vault has another deadline"),
    ("order.admitted", {"tx_hash": PAID}, "no such DepositRequested"),
    ("order.admitted", {"n": 3}, "the vault has no such request"),
]


@pytest.mark.parametrize(("action", "changes", "says"), FORGERIES)
async def test_receipt__forged_with_the_audit_key_itself__the_chain_tells(
    receipt: Json, action: str, changes: dict[str, Any], says: str
) -> None:
    forged = resigned(retold(receipt, action, **changes))
    found = await problems(forged, FakeWitness())
    assert any(says in one.problem for one in found), found


async def test_receipt__forged_whole_and_without_a_transaction__the_vault_tells(
    receipt: Json,
) -> None:
    """Fills and amounts agree, and there is no event to compare them with."""
    forged = item(FILLED.model_copy(update={"average_price": Decimal("199.99")}))
    names = ("taken", "out", "fee", "filled", "average_price")
    changes = {name: str(getattr(forged, name)) for name in names}
    body = retold(
        receipt,
        "settlement.settle",
        **changes,
        fill_hash=forged.fill_hash,
        fills=fills_of([CLAIM], [FILLED.model_copy(update={"average_price": Decimal("199.99")})]),
    )
    found = await problems(resigned(retold(body, "settlement.mined", tx_hash="")), FakeWitness())
    assert [one.problem for one in found] == [
        "no entry names it",
        "the vault was told other amounts or fills",
    ]


async def test_receipt__entries_of_its_end_left_out_by_anybody__does_not_verify(
    receipt: Json,
) -> None:
    """Anybody can put an entry's hash in its place; no key is needed for that."""
    entries, gone = [], {}
    for entry in receipt["log"]["entries"]:
        if entry["action"].startswith("order."):
            entries.append(entry)
        else:
            gone[entry["seq"]] = leaf_of(entry)
    segments = []
    for segment in receipt["log"]["segments"]:
        first = segment["head"]["seq"] - len(segment["leaves"]) + 1
        leaves = [gone.get(first + at, leaf) for at, leaf in enumerate(segment["leaves"])]
        segments.append(segment | {"leaves": leaves})
    found = await problems(text_of(assembled(MINE, entries, segments)).encode(), FakeWitness())
    assert "no entry says what was to be done: a settle" in [one.problem for one in found]


def _spelled_otherwise(body: Json, how: str) -> None:
    segment = body["log"]["segments"][0]
    at = next(at for at, leaf in enumerate(segment["leaves"]) if leaf)
    match how:
        case "number":
            body["outcome"]["block_number"] = 9.0
        case "truth":
            body["request"]["n"] = True
        case "upper":
            segment["leaves"][at] = segment["leaves"][at].upper()
        case "spaced":
            segment["leaves"][at] = segment["leaves"][at][:10] + " " + segment["leaves"][at][10:]
        case "more":
            segment["note"] = "1,000,000 USDT were paid"


@pytest.mark.parametrize("how", ["number", "truth", "upper", "spaced", "more"])
async def test_receipt__same_value_in_other_words_or_more_of_them__is_refused(
    receipt: Json, how: str
) -> None:
    body = json.loads(text_of(receipt))
    _spelled_otherwise(body, how)
    with pytest.raises(InvalidInput, match="receipt"):
        read_receipt(text_of(body).encode())


async def test_receipt__fills_that_do_not_give_the_amounts__are_noticed(receipt: Json) -> None:
    fills = [receipt["fills"][0] | {"average_price": "180.01"}]
    forged = resigned(retold(receipt, "settlement.settle", fills=fills))
    (found,) = await problems(forged, FakeWitness())
    assert "the fills give another taken, fee, fill_hash" in found.problem


async def test_receipt__order_ended_otherwise_by_now__is_noticed(receipt: Json) -> None:
    witness = FakeWitness()
    witness.terms = TERMS.model_copy(update={"status": VaultStatus.RECLAIMED})
    (found,) = await problems(text_of(receipt).encode(), witness)
    assert found.problem == "the vault says RECLAIMED"


async def test_receipt__end_is_not_signed_for_yet__says_so(desk: Desk) -> None:
    await desk.live()
    await desk.sign()
    with pytest.raises(Conflict, match="no signed head covers its end yet"):
        await desk.store.receipts.of_order(desk.order)
    await desk.end()
    assert (await desk.store.receipts.of_order(desk.order))["outcome"]["stage"] == "SETTLED"


async def test_receipt__order_still_open__is_refused(desk: Desk) -> None:
    await desk.live()
    desk.order.status, desk.order.stage = OrderStatus.EXECUTING, Stage.SETTLING
    with pytest.raises(Conflict, match="it has not ended"):
        await desk.store.receipts.of_order(desk.order)
