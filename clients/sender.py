"""Transactions out, receipts and events in.

What the endpoint says to a broadcast proves little; whether something happened is read from the
vault. So the answers fall into three kinds: taken or certainly not (a Broadcast), never received
(RpcUnreachable), and unknown (BroadcastUnknown), after which the same bytes may be sent again.
"""

from collections.abc import Sequence
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from clients.rpc import Rpc, RpcRefused, RpcUnreachable
from clients.vault import VAULT
from models.chain import (
    Broadcast,
    BroadcastOutcome,
    Fees,
    RefundItem,
    SettleItem,
    TxReceipt,
    VaultEvent,
)
from models.errors import SourceUnavailable, UnknownOutcome
from models.requests import BlockRef, VaultRequest

# What clients say, lower case; the first match wins. geth, erigon, nethermind, besu, reth, anvil:
# https://github.com/ethereum/go-ethereum/blob/v1.16.0/core/txpool/errors.go
# https://github.com/OpenZeppelin/openzeppelin-relayer/blob/v1.1.0/src/services/provider/evm/mod.rs
_DIALECTS: tuple[tuple[str, BroadcastOutcome], ...] = (
    ("already known", BroadcastOutcome.ALREADY_KNOWN),
    ("alreadyknown", BroadcastOutcome.ALREADY_KNOWN),
    ("known transaction", BroadcastOutcome.ALREADY_KNOWN),
    ("already imported", BroadcastOutcome.ALREADY_KNOWN),
    ("already exists", BroadcastOutcome.ALREADY_KNOWN),
    ("already in mempool", BroadcastOutcome.ALREADY_KNOWN),
    ("nonce too low", BroadcastOutcome.NONCE_USED),
    ("nonce is too low", BroadcastOutcome.NONCE_USED),
    ("oldnonce", BroadcastOutcome.NONCE_USED),
    ("nonce has already been used", BroadcastOutcome.NONCE_USED),
    ("underpriced", BroadcastOutcome.UNDERPRICED),
    ("fee too low", BroadcastOutcome.UNDERPRICED),
    ("feetoolow", BroadcastOutcome.UNDERPRICED),
    ("could not replace", BroadcastOutcome.UNDERPRICED),
    ("less than block base fee", BroadcastOutcome.UNDERPRICED),
    ("max fee per gas less than", BroadcastOutcome.UNDERPRICED),
    ("gas price too low", BroadcastOutcome.UNDERPRICED),
    ("insufficient funds", BroadcastOutcome.NO_FUNDS),
    ("insufficientfunds", BroadcastOutcome.NO_FUNDS),
    ("insufficient balance", BroadcastOutcome.NO_FUNDS),
    ("enough funds", BroadcastOutcome.NO_FUNDS),
    ("upfront cost exceeds", BroadcastOutcome.NO_FUNDS),
    ("intrinsic gas", BroadcastOutcome.REFUSED),
    ("exceeds block gas limit", BroadcastOutcome.REFUSED),
    ("exceeds the configured cap", BroadcastOutcome.REFUSED),
    ("gas too low", BroadcastOutcome.REFUSED),
    ("gas too high", BroadcastOutcome.REFUSED),
    ("higher than max fee", BroadcastOutcome.REFUSED),
    ("nonce too high", BroadcastOutcome.REFUSED),
    ("invalid sender", BroadcastOutcome.REFUSED),
    ("invalid signature", BroadcastOutcome.REFUSED),
    ("invalid chain", BroadcastOutcome.REFUSED),
    ("type not supported", BroadcastOutcome.REFUSED),
    ("oversized", BroadcastOutcome.REFUSED),
    ("rlp", BroadcastOutcome.REFUSED),
    ("failed to decode", BroadcastOutcome.REFUSED),
)
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


class BroadcastUnknown(UnknownOutcome):
    """The transaction may or may not have reached the network; the same bytes may be sent again."""

    def __init__(self, tx_hash: str, detail: str) -> None:
        super().__init__(f"transaction {tx_hash} may have been sent ({detail})")
        self.tx_hash = tx_hash


class ChainSender:
    """Sends signed bytes and reads what became of them, for one vault through one endpoint."""

    def __init__(self, rpc: Rpc, *, vault: str, log_range: int = _LOG_RANGE) -> None:
        self.rpc = rpc
        self._log_range = log_range
        self.vault = to_checksum_address(vault)

    async def latest_nonce(self, address: str) -> int:
        """Transactions of the address that are in a block; also the lowest unused nonce."""
        return await self.rpc.quantity("eth_getTransactionCount", address, "latest")

    async def pending_nonce(self, address: str) -> int:
        """latest_nonce and what this endpoint's mempool holds on top; a hint, not a truth."""
        return await self.rpc.quantity("eth_getTransactionCount", address, "pending")

    async def fee_suggestion(self) -> Fees:
        """Fees for the next blocks: median tip of the last ten, room for the base fee to double."""
        history = await self.rpc.call("eth_feeHistory", hex(10), "latest", [50])
        try:
            base = int(history["baseFeePerGas"][-1], 16)
            tips = sorted(int(block[0], 16) for block in history.get("reward") or [] if block)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            detail = "eth_feeHistory gave no fees"
            raise SourceUnavailable(self.rpc.name, "reading fees", detail) from error
        tip = max(tips[len(tips) // 2] if tips else 0, _LEAST_TIP)
        return Fees(base_fee=base, max_priority_fee=tip, max_fee=2 * base + tip)

    async def broadcast(self, raw: str) -> Broadcast:
        """Hand signed bytes to the endpoint. Sending the same bytes twice is harmless.

        Raises:
            RpcUnreachable: no connection, so certainly not sent.
            BroadcastUnknown: it may have been sent.
        """
        tx_hash = "0x" + keccak(HexBytes(raw)).hex()
        try:
            answer = await self.rpc.call("eth_sendRawTransaction", raw)
        except RpcUnreachable:
            raise
        except RpcRefused as refused:
            return Broadcast(
                tx_hash=tx_hash, outcome=outcome_of(refused.text, tx_hash), detail=refused.text
            )
        except SourceUnavailable as error:
            raise BroadcastUnknown(tx_hash, error.detail) from error
        if answer != tx_hash:
            raise BroadcastUnknown(tx_hash, f"the endpoint answered {answer}")
        return Broadcast(tx_hash=tx_hash, outcome=BroadcastOutcome.ACCEPTED)

    async def known(self, tx_hash: str) -> bool:
        """Whether the endpoint holds the transaction, in a block or waiting."""
        return await self.rpc.call("eth_getTransactionByHash", tx_hash) is not None

    async def receipt(self, tx_hash: str) -> TxReceipt | None:
        """What became of a transaction; None while it is in no block."""
        return (await self.receipts([tx_hash]))[0]

    async def receipts(self, tx_hashes: Sequence[str]) -> list[TxReceipt | None]:
        """What became of each, in the order asked; None for one that is in no block."""
        if not tx_hashes:
            return []
        found = await self.rpc.batch([("eth_getTransactionReceipt", (h,)) for h in tx_hashes])
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
        logs = await self.rpc.call(
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


def gas_limit_for(items: Sequence[SettleItem], refunds: Sequence[RefundItem]) -> int:
    """Gas limit of a batch: enough for its dearest course, whatever the accounts hold by then."""
    return _BASE_GAS + _RESERVE_GAS + _ITEM_GAS * (len(items) + len(refunds))


def outcome_of(text: str, tx_hash: str) -> BroadcastOutcome:
    """What an endpoint's refusal means.

    Raises:
        BroadcastUnknown: nobody has said it in these words before.
    """
    lowered = text.lower()
    for phrase, outcome in _DIALECTS:
        if phrase in lowered:
            return outcome
    raise BroadcastUnknown(tx_hash, text)


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
                args=event.args,
                tx_hash=log["transactionHash"],
                block_number=int(log["blockNumber"], 16),
                block_hash=log["blockHash"],
            )
        )
    return found


def _word(value: int) -> str:
    return f"0x{value:064x}"
