"""Checking a receipt: against itself and the log's signed head, and against the chain."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from activities.settling import Decline, settlement_item
from clients.auditing import AUDITOR_ROLE, really_signed
from clients.roles import has_role
from clients.rpc import Rpc
from clients.sender import ChainSender
from clients.vault import VaultClient, terms_of
from models.audit import SignedHead
from models.broker import BrokerOrder, BrokerStatus
from models.chain import SettleItem, TxReceipt, VaultEvent
from models.errors import InvalidInput
from models.messages import EnqueueInput
from models.receipt import Json, assembled, heads_reached, text_of
from models.records import ClaimState, ItemKind, Placement, SettlementItem
from models.requests import OrderRequest, Side, VaultRequest, VaultStatus
from models.splits import SharesPerToken

_EPOCH = datetime.fromtimestamp(0, UTC)
_STATUSES: Mapping[str, VaultStatus] = {
    **dict.fromkeys(("SETTLED", "OWED"), VaultStatus.SETTLED),
    **dict.fromkeys(("REFUNDED", "CANCELLED", "EXPIRED"), VaultStatus.REFUNDED),
    "RECLAIMED": VaultStatus.RECLAIMED,
    "ORPHANED": VaultStatus.NONE,
}
_KINDS: Mapping[VaultStatus, ItemKind] = {
    VaultStatus.SETTLED: ItemKind.SETTLE,
    VaultStatus.REFUNDED: ItemKind.REFUND,
}
"""What the vault was told; every other end is nobody's doing here."""


class Check(NamedTuple):
    """One thing that was looked at. problem "": it is as the receipt says."""

    what: str
    problem: str = ""


class Witness(Protocol):
    """What is asked of the chain; each answer may be kept for as long as the chain keeps it.

    Every method raises SourceUnavailable when the chain could not be asked.
    """

    async def auditor(self, signer: str) -> bool:
        """Whether the vault says that this key's word on the log counts."""
        ...

    async def request(self, n: int) -> VaultRequest | None:
        """Request n; None: there is none."""
        ...

    async def settled_terms(self, n: int) -> str:
        """The vault's 6-byte hash of what request n was settled with."""
        ...

    async def transaction(self, tx_hash: str) -> TxReceipt | None:
        """A mined transaction with the vault's events."""
        ...

    async def decimals(self) -> int:
        """Of the vault's USDT."""
        ...


class ChainWitness:
    """One endpoint, one vault, at its newest block. Raises ConfigurationError as `check`."""

    def __init__(self, rpc: Rpc, chain_id: int, vault: str) -> None:
        self._rpc = rpc
        self._vault = VaultClient(rpc, chain_id=chain_id, address=vault)
        self._sender = ChainSender(rpc, vault=self._vault.address)

    async def check(self) -> None:
        """Refuse another chain, or an address without code."""
        await self._vault.check()

    async def auditor(self, signer: str) -> bool:
        """As in Witness."""
        at = await self._vault.head()
        return await has_role(self._rpc, self._vault.address, AUDITOR_ROLE, signer, at)

    async def request(self, n: int) -> VaultRequest | None:
        """As in Witness."""
        return await self._vault.request(n, await self._vault.head())

    async def settled_terms(self, n: int) -> str:
        """As in Witness."""
        (state,) = await self._vault.states([n], await self._vault.head())
        return state.terms

    async def transaction(self, tx_hash: str) -> TxReceipt | None:
        """As in Witness."""
        return await self._sender.receipt(tx_hash)

    async def decimals(self) -> int:
        """As in Witness."""
        return (await self._vault.usdt(await self._vault.head()))[1]


class ReadReceipt(NamedTuple):
    """A receipt that agrees with itself, and the signed heads that its entries lead to."""

    body: Json
    heads: Sequence[SignedHead]


def read_receipt(text: bytes) -> ReadReceipt:
    """Read a receipt and check all that needs no chain.

    Raises:
        InvalidInput: it is no receipt, or was changed; the sentence says where it shows.
    """
    try:
        body = json.loads(text)
        if text_of(body).encode() != text:
            raise InvalidInput("receipt", "its text", "it is not the canonical one")
        return ReadReceipt(body, _heads(body))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput("receipt", "its form", f"it cannot be read ({error!r:.200})") from None


def _heads(body: Json) -> list[SignedHead]:
    request, log = body["request"], body["log"]
    again = assembled(request["id"], log["entries"], log["segments"])
    if text_of(again) != text_of(body):  # as text: 9.0 and true are no 9 and 1 there
        names = {*again, *body}
        parts = [name for name in names if _said(again, name) != _said(body, name)]
        raise InvalidInput("receipt", ", ".join(sorted(parts)), "its own entries say otherwise")
    for entry in log["entries"]:
        if entry["request_id"] != request["id"]:
            raise InvalidInput("receipt", f"entry {entry['seq']}", "it is of another order")
    heads = heads_reached(log["entries"], log["segments"])
    for head in heads:
        if (head.chain_id, head.vault) != (body["chain_id"], body["vault"]):
            raise InvalidInput("receipt", f"head {head.seq}", "it is of another vault")
        if not really_signed(head):
            raise InvalidInput("receipt", f"head {head.seq}", "its signature is not its signer's")
    return heads


def _said(body: Json, name: str) -> str:
    return text_of({name: body.get(name)})


async def check_receipt(
    receipt: ReadReceipt, witness: Witness, auditors: Collection[str] = ()
) -> list[Check]:
    """Compare it with the chain. auditors: addresses whose heads count, whatever the vault says.

    Raises:
        SourceUnavailable: the chain could not be asked.
    """
    body = receipt.body
    kind = _KINDS.get(_STATUSES.get(body["outcome"]["stage"], VaultStatus.NONE))
    request = await witness.request(int(body["request"]["n"]))
    checks = [
        await _auditors(receipt, witness, {signer.lower() for signer in auditors}),
        _terms(body, request),
        await _asked(body, witness),
        Check("how it ended in the vault", _status(body, request)),
    ]
    if kind is not None or body["outcome"]["tx_hash"]:
        checks.append(await _paid(body, kind, witness))
    if request is not None and body["outcome"]["kind"] == ItemKind.SETTLE:
        other = _amounts(body, request, await witness.decimals())
        checks.append(Check("amounts from the fills", other))
        if kind is ItemKind.SETTLE:
            checks.append(await _kept(body, witness))
    return checks


async def _auditors(receipt: ReadReceipt, witness: Witness, known: Collection[str]) -> Check:
    what = "who signed for the log"
    for signer in sorted({head.signer for head in receipt.heads}):
        if signer.lower() not in known and not await witness.auditor(signer):
            return Check(what, f"{signer} does not hold AUDITOR_ROLE of the vault")
    return Check(what)


def _terms(body: Json, request: VaultRequest | None) -> Check:
    what, said = "the request in the vault", body["request"]
    if request is None:
        orphaned = body["outcome"]["stage"] == "ORPHANED"
        return Check(what, "" if orphaned else "the vault has no such request")
    there = {
        "n": request.n,
        "id": request.request_id.lower(),
        "owner": request.owner.lower(),
        "recipient": request.recipient.lower(),
        "side": request.side.value,
        "asset": request.asset.lower(),
        "amount": str(request.amount),
        "limit_price": str(request.limit_price),
        "deadline": request.deadline,
        "reclaim_at": request.reclaim_at,
        "fee_bps": request.fee_bps,
    }
    other = [name for name, value in there.items() if said[name] != value]
    return Check(what, f"the vault has another {', '.join(other)}" if other else "")


async def _asked(body: Json, witness: Witness) -> Check:
    what, request = "the transaction that asked", body["request"]
    if not request["tx_hash"]:
        return Check(what)
    name = "DepositRequested" if request["side"] == Side.BUY else "RedeemRequested"
    event = _event(await witness.transaction(request["tx_hash"]), name, body)
    return Check(what, "" if event is not None else f"no such {name} is in it")


def _status(body: Json, request: VaultRequest | None) -> str:
    wanted = _STATUSES.get(body["outcome"]["stage"])
    found = VaultStatus.NONE if request is None else request.status
    return "" if found is wanted else f"the vault says {found.name}"


async def _paid(body: Json, kind: ItemKind | None, witness: Witness) -> Check:
    """The vault's own event of what was settled or given back."""
    what, outcome = "the transaction that settled or refunded", body["outcome"]
    if kind is not None and outcome["kind"] != kind:
        return Check(what, f"no entry says what was to be done: a {kind.lower()}")
    if not outcome["tx_hash"]:
        return Check(what, "no entry names it")
    settled = outcome["kind"] == ItemKind.SETTLE
    name = "Settled" if settled else "Refunded"
    event = _event(await witness.transaction(outcome["tx_hash"]), name, body)
    if event is None or event.block_number != outcome["block_number"]:
        return Check(what, f"no such {name} is in it")
    there = {name: str(value).lower() for name, value in event.args.items()}
    if settled:
        names = {"taken": "taken", "out": "out", "fee": "fee", "fillHash": "fill_hash"}
        said = {name: str(outcome[ours]) for name, ours in names.items()}
    else:
        said = {"amount": body["request"]["amount"], "reason": str(outcome["reason_code"])}
    other = [name for name, value in said.items() if there[name] != value]
    return Check(what, f"its event has another {', '.join(other)}" if other else "")


async def _kept(body: Json, witness: Witness) -> Check:
    """What the vault itself keeps of the amounts, whoever names what transaction."""
    what, outcome = "what the vault keeps of the amounts", body["outcome"]
    said = SettleItem(
        n=body["request"]["n"],
        request_id=body["request"]["id"],
        taken=int(outcome["taken"]),
        out=int(outcome["out"]),
        fee=int(outcome["fee"]),
        fill_hash=outcome["fill_hash"],
    )
    same = terms_of(said) == await witness.settled_terms(said.n)
    return Check(what, "" if same else "the vault was told other amounts or fills")


def _event(found: TxReceipt | None, name: str, body: Json) -> VaultEvent | None:
    """The vault's event of this name about the request."""
    request = body["request"]
    for event in found.events if found is not None and found.ok else ():
        ours = (event.n, event.request_id.lower()) == (request["n"], request["id"])
        if ours and event.name == name:
            return event
    return None


def _amounts(body: Json, terms: VaultRequest, decimals: int) -> str:
    """Compute the settlement from the fills once more; what differs, empty when nothing does."""
    claims = [_claim(fill, body) for fill in body["fills"]]
    orders = [_order(fill, body) for fill in body["fills"]]
    request = OrderRequest(
        chain_id=terms.chain_id,
        vault=terms.vault,
        n=terms.n,
        request_id=terms.request_id,
        side=terms.side,
    )
    message = EnqueueInput(request=request, version=0, kind=ItemKind.SETTLE)
    item = settlement_item(message, terms, claims, orders, decimals, _EPOCH)
    if isinstance(item, Decline):
        return item.why
    return _unlike(item, body["outcome"])


def _unlike(item: SettlementItem, outcome: Json) -> str:
    names = ("taken", "out", "fee", "filled", "fill_hash")
    other = [name for name in names if str(getattr(item, name)) != str(outcome[name])]
    return f"the fills give another {', '.join(other)}" if other else ""


def _claim(fill: Json, body: Json) -> Placement:
    ratio = _ratio(str(fill["shares_per_token"]))
    return Placement(
        request_id=body["request"]["id"],
        attempt=fill["attempt"],
        remark=fill["remark"],
        symbol=body["request"]["symbol"],
        side=Side(body["request"]["side"]),
        quantity=fill["claimed"],
        state=ClaimState.PLACED,
        shares_numerator=ratio.numerator,
        shares_denominator=ratio.denominator,
        send_by=_EPOCH,
        created_at=_EPOCH,
    )


def _ratio(text: str) -> SharesPerToken:
    numerator, _, denominator = text.partition("/")
    return SharesPerToken(numerator=int(numerator), denominator=int(denominator or 1))


def _order(fill: Json, body: Json) -> BrokerOrder:
    return BrokerOrder(
        order_id=fill["broker_order_id"],
        remark=fill["remark"],
        symbol=body["request"]["symbol"],
        side=Side(body["request"]["side"]),
        quantity=fill["claimed"],
        price=Decimal(0),
        status=BrokerStatus.FILLED,
        vendor_status="",
        filled=fill["filled"],
        average_price=Decimal(fill["average_price"]),
    )
