"""Transactions out, receipts and events in.

What the endpoint says to a broadcast proves little; whether something happened is read from the
vault. So the answers fall into three kinds: taken or certainly not (a Broadcast), never received
(RpcUnreachable), and unknown (BroadcastUnknown), after which the same bytes may be sent again.
"""

from collections.abc import Callable, Sequence
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from clients.dialects import BroadcastUnknown, call_failed, outcome_of
from clients.fan_out import Endpoints, first_error
from clients.rpc import Rpc, RpcRefused, RpcUnreachable
from clients.vault import VAULT
from models.chain import (
    Broadcast,
    BroadcastOutcome,
    Fees,
    RefundItem,
    Rejection,
    SettleItem,
    TxReceipt,
    VaultEvent,
)
from models.errors import SourceUnavailable
from models.requests import BlockRef, VaultRequest

_REQUESTED = (VAULT.topic("DepositRequested"), VAULT.topic("RedeemRequested"))
_ENDED = (VAULT.topic("Settled"), VAULT.topic("Refunded"), VAULT.topic("Reclaimed"))

# Measured by tests/integration/test_vault_gas.py: the dearest item (a deposit whose recipient and
# owner hold nothing yet, a redeem that is owed) stays below ITEM; BroncoVault.ITEM_GAS must be left
# before the last one.
_BASE_GAS = 60_000
_ITEM_GAS = 160_000
_RESERVE_GAS = 420_000
ONE_ITEM_GAS = _BASE_GAS + _RESERVE_GAS + _ITEM_GAS
"""Gas limit of a batch of one."""


# What a block producer asks at least, by default; the median of empty blocks is nothing.
# https://github.com/ethereum/go-ethereum/blob/v1.16.0/miner/miner.go#L52
_LEAST_TIP = 10**6
# Below this many blocks a refusal is not about the range: the strictest endpoints allow 1,000.
_LOG_RANGE = 1_000


# From what proves most to what leaves least: of several answers the first kind here counts.
_BY_WEIGHT = (
    BroadcastOutcome.ACCEPTED,
    BroadcastOutcome.ALREADY_KNOWN,
    BroadcastOutcome.NONCE_USED,
    BroadcastOutcome.UNDERPRICED,
    BroadcastOutcome.NOT_NOW,
    BroadcastOutcome.NO_FUNDS,
    BroadcastOutcome.TOO_BIG,
    BroadcastOutcome.REVERTS,
    BroadcastOutcome.REFUSED,
)
_PROVEN = frozenset(_BY_WEIGHT[:3])
_AGAINST = frozenset({BroadcastOutcome.REVERTS, BroadcastOutcome.TOO_BIG})


class ChainSender:
    """Sends signed bytes and reads what became of them, for one vault.

    Bytes are handed to every endpoint; nonces, receipts and what a mempool holds are asked from
    every one, so that one that is down, behind or forgetful changes nothing. Logs come from the
    first. Every one: of those that `heard` names at that moment, all where it is not given. Who is
    not heard gets no bytes either: it could keep them, say that it refused them and send them
    later, and "refused by all" would no longer mean "not sent".
    """

    def __init__(
        self,
        rpc: Rpc,
        *,
        vault: str,
        others: Sequence[Rpc] = (),
        heard: Callable[[], Sequence[Rpc]] | None = None,
        log_range: int = _LOG_RANGE,
    ) -> None:
        self.rpc = rpc
        everyone = (rpc, *others)
        self._endpoints = Endpoints(heard or (lambda: everyone))
        self._log_range = log_range
        self.vault = to_checksum_address(vault)

    async def latest_nonce(self, address: str) -> int:
        """Transactions of the address that are in a block, as far as all who answer agree.

        Also the lowest unused nonce. One endpoint that is ahead, or lies, proves nothing.
        """
        return min(
            await self._endpoints.answers(
                lambda rpc: rpc.quantity("eth_getTransactionCount", address, "latest")
            )
        )

    async def balance(self, address: str) -> int:
        """Wei of the address, as far as all who answer agree."""
        return min(
            await self._endpoints.answers(
                lambda rpc: rpc.quantity("eth_getBalance", address, "latest")
            )
        )

    async def pending_nonce(self, address: str) -> int:
        """latest_nonce and what this endpoint's mempool holds on top; a hint, not a truth."""
        return await self._endpoints.first.quantity("eth_getTransactionCount", address, "pending")

    async def fee_suggestion(self) -> Fees:
        """Fees for the next blocks: median tip of the last ten, room for the base fee to double."""
        return (await self._endpoints.answers(self._fees))[0]

    async def _fees(self, rpc: Rpc) -> Fees:
        history = await rpc.call("eth_feeHistory", hex(10), "latest", [50])
        try:
            base = int(history["baseFeePerGas"][-1], 16)
            tips = sorted(int(block[0], 16) for block in history.get("reward") or [] if block)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            detail = "eth_feeHistory gave no fees"
            raise SourceUnavailable(rpc.name, "reading fees", detail) from error
        tip = max(tips[len(tips) // 2] if tips else 0, _LEAST_TIP)
        return Fees(base_fee=base, max_priority_fee=tip, max_fee=2 * base + tip)

    async def broadcast(self, raw: str) -> Broadcast:
        """Hand signed bytes to every endpoint. Sending the same bytes twice is harmless.

        Taken by one = sent. Refused by all that were reached = not sent, and the mildest refusal
        is told.

        Raises:
            RpcUnreachable: no connection to any, so certainly not sent.
            BroadcastUnknown: it may have been sent.
        """
        tx_hash = "0x" + keccak(HexBytes(raw)).hex()
        told = await self._endpoints.ask(
            lambda rpc: _hand_over(rpc, raw, tx_hash), lambda sent: sent.outcome in _PROVEN
        )
        answers = [sent for sent in told if isinstance(sent, Broadcast)]
        best = min(answers, key=lambda sent: _BY_WEIGHT.index(sent.outcome), default=None)
        if best is not None and best.outcome in _PROVEN:
            return best
        doubts = [error for error in told if isinstance(error, BroadcastUnknown)]
        if doubts:
            raise doubts[0]
        if best is not None:
            return best
        raise first_error(told)

    async def known(self, tx_hash: str) -> bool:
        """Whether any endpoint holds the transaction, in a block or waiting."""
        found = await self._endpoints.answers(
            lambda rpc: rpc.call("eth_getTransactionByHash", tx_hash)
        )
        return any(transaction is not None for transaction in found)

    async def refusal(self, sender: str, data: str, gas: int) -> BroadcastOutcome | None:
        """What stands against this call to the vault just now: REVERTS or TOO_BIG.

        None: nothing, or nobody can say; then sending it is what finds out.
        """
        refused = await self._refused(sender, data, gas)
        if refused is None:
            return None
        if call_failed(refused.code, refused.text):
            return BroadcastOutcome.REVERTS
        try:
            outcome = outcome_of(refused.text, "")
        except BroadcastUnknown:
            return None
        return outcome if outcome in _AGAINST else None

    async def refusal_of_item(self, sender: str, data: str, gas: int) -> str | None:
        """Why a call with one approved item would revert just now.

        The vault's code for the item; "" where it is not the item: the approvals count no more.
        None: nothing stands against it, or nobody can say.
        """
        refused = await self._refused(sender, data, gas)
        if refused is None or not call_failed(refused.code, refused.text):
            return None
        error = VAULT.decode_error(refused.data)
        if error is None or error.name != "ItemRefused":
            return ""
        return Rejection(int(error.args["code"])).name

    async def _refused(self, sender: str, data: str, gas: int) -> RpcRefused | None:
        """The endpoint's error for this call; None also where none could be asked."""
        call = {"from": sender, "to": self.vault, "data": data, "gas": hex(gas)}
        try:
            await self._endpoints.first.call("eth_call", call, "latest")
        except RpcRefused as refused:
            return refused
        except SourceUnavailable:
            return None
        return None

    async def receipt(self, tx_hash: str) -> TxReceipt | None:
        """What became of a transaction; None while it is in no block."""
        return (await self.receipts([tx_hash]))[0]

    async def receipts(self, tx_hashes: Sequence[str]) -> list[TxReceipt | None]:
        """What became of each, in the order asked; None for one that no endpoint has in a block.

        A receipt may be of a block that is orphaned by now: whoever books it looks at the block.
        """
        if not tx_hashes:
            return []
        told = await self._endpoints.answers(lambda rpc: self._receipts(rpc, tx_hashes))
        return [next((r for r in found if r), None) for found in zip(*told, strict=True)]

    async def _receipts(self, rpc: Rpc, tx_hashes: Sequence[str]) -> list[TxReceipt | None]:
        found = await rpc.batch([("eth_getTransactionReceipt", (h,)) for h in tx_hashes])
        return [None if raw is None else self._receipt(raw) for raw in found]

    async def request_tx_hash(self, request: VaultRequest) -> str:
        """Hash of the transaction that made a request; "" when its log is not there (any more)."""
        topics = [list(_REQUESTED), _word(request.n), request.request_id]
        logs = await self._logs(request.created_block, request.created_block, topics)
        return logs[0].tx_hash if logs else ""

    async def ending(self, request: VaultRequest, at: BlockRef) -> VaultEvent | None:
        """The Settled, Refunded or Reclaimed event of a request up to a block; None: not there."""
        topics = [list(_ENDED), _word(request.n), request.request_id]
        logs = await self._search(request.created_block, at.number, topics)
        return logs[-1] if logs else None

    async def _search(self, first: int, last: int, topics: list[Any]) -> list[VaultEvent]:
        """Logs of the newest part of a range that has any: endpoints refuse ranges too long."""
        try:
            return await self._logs(first, last, topics)
        except RpcRefused:
            if last - first < self._log_range:
                raise
        middle = (first + last) // 2
        newer = await self._search(middle + 1, last, topics)
        return newer or await self._search(first, middle, topics)

    async def _logs(self, first: int, last: int, topics: list[Any]) -> list[VaultEvent]:
        blocks = {"fromBlock": hex(first), "toBlock": hex(last)}
        logs = await self._endpoints.first.call(
            "eth_getLogs", {"address": self.vault, "topics": topics, **blocks}
        )
        try:
            return vault_events(logs, self.vault)
        except (KeyError, TypeError, ValueError) as error:
            raise SourceUnavailable(self.rpc.name, "eth_getLogs", "not a list of logs") from error

    def _receipt(self, raw: dict[str, Any]) -> TxReceipt:
        try:
            return TxReceipt(
                tx_hash=raw["transactionHash"],
                block_number=int(raw["blockNumber"], 16),
                block_hash=raw["blockHash"],
                ok=int(raw["status"], 16) == 1,
                gas_used=int(raw["gasUsed"], 16),
                gas_price=int(raw.get("effectiveGasPrice") or "0x0", 16),
                events=tuple(vault_events(raw["logs"], self.vault)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SourceUnavailable(self.rpc.name, "reading a receipt", "not a receipt") from error


async def _hand_over(rpc: Rpc, raw: str, tx_hash: str) -> Broadcast:
    try:
        answer = await rpc.call("eth_sendRawTransaction", raw)
    except RpcUnreachable:
        raise
    except RpcRefused as refused:
        outcome = outcome_of(refused.text, tx_hash)
        return Broadcast(tx_hash=tx_hash, outcome=outcome, detail=refused.text)
    except SourceUnavailable as error:
        raise BroadcastUnknown(tx_hash, error.detail) from error
    if answer != tx_hash:
        raise BroadcastUnknown(tx_hash, f"the endpoint answered {answer}")
    return Broadcast(tx_hash=tx_hash, outcome=BroadcastOutcome.ACCEPTED)


def gas_limit_for(items: Sequence[SettleItem], refunds: Sequence[RefundItem]) -> int:
    """Gas limit of a batch: enough for its dearest course, whatever the accounts hold by then."""
    return _BASE_GAS + _RESERVE_GAS + _ITEM_GAS * (len(items) + len(refunds))


def vault_events(logs: Sequence[dict[str, Any]], vault: str) -> list[VaultEvent]:
    """The vault's own events among these logs; anything else, removed ones included, is dropped."""
    found: list[VaultEvent] = []
    for log in logs:
        if to_checksum_address(log["address"]) != vault or log.get("removed"):
            continue
        event = VAULT.decode_log(log)
        if event is None:
            continue
        found.append(
            VaultEvent(
                name=event.name,
                n=int(event.args.get("n", 0)),
                request_id=str(event.args.get("id", "")),
                args={name: _flat(value) for name, value in event.args.items()},
                tx_hash=log["transactionHash"],
                block_number=int(log["blockNumber"], 16),
                block_hash=log["blockHash"],
            )
        )
    return found


def _flat(value: Any) -> int | str:
    return ",".join(map(str, value)) if isinstance(value, list) else value


def _word(value: int) -> str:
    return f"0x{value:064x}"
