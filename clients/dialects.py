"""What endpoints say to a transaction they do not take, client by client.

Three kinds follow. Known: they hold it, or its nonce is used. Not sent: they say why, so what is
tried next is known as well. Anything nobody has said before is unknown, never "failed": the bytes
may have been taken, so they are looked for and may be sent again.

Texts are from the clients' own sources:
geth https://github.com/ethereum/go-ethereum/blob/v1.16.0/core/txpool/errors.go
geth, rules https://github.com/ethereum/go-ethereum/blob/v1.16.0/core/error.go
erigon https://github.com/erigontech/erigon/blob/v3.0.0/txnprovider/txpool/txpoolcfg/txpoolcfg.go
nethermind https://github.com/NethermindEth/nethermind/blob/cbea1e0df0d72beb044980af5bb8bf6319509bd0/src/Nethermind/Nethermind.TxPool/TxPoolErrorMessages.cs
besu https://github.com/hyperledger/besu/blob/25.7.0/ethereum/api/src/main/java/org/hyperledger/besu/ethereum/api/jsonrpc/internal/response/RpcErrorType.java
reth https://github.com/paradigmxyz/reth/blob/v1.5.0/crates/rpc/rpc-eth-types/src/error/mod.rs
anvil https://github.com/foundry-rs/foundry/blob/02ad6dec76ae99381b8d555e9a38b256a6847317/crates/anvil/src/eth/error.rs
op-stack https://github.com/ethereum-optimism/optimism/blob/develop/op-service/txmgr/txmgr.go
Alchemy https://www.alchemy.com/docs/reference/error-reference
Infura https://docs.metamask.io/services/how-to/avoid-rate-limiting
arbitrum, parity https://github.com/smartcontractkit/chainlink/blob/v1.0.0/core/services/eth/errors_test.go
"""

import re
from typing import NamedTuple

from models.chain import BroadcastOutcome
from models.errors import UnknownOutcome

_KNOWN = BroadcastOutcome.ALREADY_KNOWN
_USED = BroadcastOutcome.NONCE_USED
_CHEAP = BroadcastOutcome.UNDERPRICED
_POOR = BroadcastOutcome.NO_FUNDS
_BIG = BroadcastOutcome.TOO_BIG
_REVERTS = BroadcastOutcome.REVERTS
_LATER = BroadcastOutcome.NOT_NOW
_NO = BroadcastOutcome.REFUSED


class Dialect(NamedTuple):
    """A pattern (searched in the text in lower case) and what it means."""

    pattern: str
    outcome: BroadcastOutcome
    clients: str


# The first match wins. Words, not letters: "unknown transaction type" is no "known transaction".
DIALECTS: tuple[Dialect, ...] = (
    # --- known
    Dialect(r"\balready ?known\b", _KNOWN, "geth, nethermind, reth"),
    Dialect(r"\bknown transaction\b", _KNOWN, "besu, old geth"),
    Dialect(r"\balready ?imported\b", _KNOWN, "anvil, parity, substrate"),
    Dialect(r"\bexisting txn? with same hash\b", _KNOWN, "erigon"),
    Dialect(r"\balready exists\b", _KNOWN, "tendermint-based"),
    Dialect(r"\balready in (the )?(mempool|cache)\b", _KNOWN, "nethermind, tendermint-based"),
    Dialect(r"\bnonce( is)? too low\b", _USED, "geth, erigon, nethermind, besu, reth, parity"),
    Dialect(r"\boldnonce\b", _USED, "old nethermind"),
    Dialect(r"\bnonce has already been used\b", _USED, "providers' own words"),
    Dialect(r"\binvalid transaction nonce\b", _USED, "arbitrum"),
    Dialect(r"\bpool\(stale\)", _USED, "substrate"),
    # --- not sent: fees
    Dialect(r"\bunderpriced\b", _CHEAP, "geth, erigon, nethermind, besu, reth, anvil"),
    Dialect(r"\bfee ?too ?low", _CHEAP, "erigon, old nethermind"),
    Dialect(r"\binsufficient gas price to replace\b", _CHEAP, "anvil"),
    Dialect(r"\bcould not replace existing\b", _CHEAP, "erigon"),
    Dialect(r"\breplacement fee too low\b", _CHEAP, "providers' own words"),
    Dialect(r"\bless than block base ?fee\b", _CHEAP, "geth, reth, anvil"),
    Dialect(r"\bgas price below\b", _CHEAP, "besu"),
    Dialect(r"\bgas price( \w+)? (is )?too low\b", _CHEAP, "arbitrum, parity"),
    Dialect(r"\btransaction was dropped due to limit\b", _CHEAP, "parity"),
    # --- not sent: money
    Dialect(r"\binsufficient ?funds\b", _POOR, "geth, erigon, nethermind, reth, anvil"),
    Dialect(r"\binsufficient balance\b", _POOR, "parity"),
    Dialect(r"\bnot enough funds\b", _POOR, "arbitrum"),
    Dialect(r"\bupfront cost exceeds\b", _POOR, "besu"),
    Dialect(r"\bfunds to (pay|cover)\b", _POOR, "providers' own words"),
    # --- not sent: a smaller batch may pass
    Dialect(r"\bexceeds (the )?block('s)? gas limit\b", _BIG, "geth, besu, reth"),
    Dialect(r"\bgas limit is greater than the (block|cap)\b", _BIG, "anvil, revm"),
    Dialect(r"\bis greater than the cap\b", _BIG, "revm (EIP-7825)"),
    Dialect(r"\bgas limit (is )?too high\b", _BIG, "geth (EIP-7825), erigon"),
    Dialect(r"\bintrinsic gas too high\b", _BIG, "reth, anvil"),
    Dialect(r"\bgas limit reached\b", _BIG, "nethermind"),
    Dialect(r"\bexceeds (current|maximum) (transaction )?gas limit\b", _BIG, "parity, providers"),
    Dialect(r"\boversized data\b", _BIG, "geth, erigon, reth"),
    Dialect(r"\btransaction (is )?too (large|big)\b", _BIG, "nethermind, parity"),
    Dialect(r"\brlptoolong\b", _BIG, "erigon"),
    Dialect(r"\bexecution reverted\b", _REVERTS, "sequencers that simulate first"),
    Dialect(r"\btransaction simulation failed\b", _REVERTS, "Alchemy"),
    # --- not sent: the same bytes may pass later
    Dialect(r"\b(tx|transaction )?pool is full\b", _LATER, "geth, reth, erigon"),
    Dialect(r"\bspammer\b", _LATER, "erigon"),
    Dialect(r"\baccount limit exceeded\b", _LATER, "geth"),
    Dialect(r"\bin-flight transaction limit\b", _LATER, "geth"),
    Dialect(r"\b(address|authority) already reserved\b", _LATER, "geth, reth, op-stack"),
    Dialect(r"\bpending transaction type conflict\b", _LATER, "nethermind"),
    Dialect(r"\bfuture transaction tries to replace pending\b", _LATER, "geth"),
    Dialect(r"\bgapped-nonce\b", _LATER, "geth"),
    Dialect(r"\bnonce too (high|far in future)\b", _LATER, "geth, besu, nethermind, reth"),
    Dialect(r"\b(nodeis|node is |initial )sync", _LATER, "nethermind, besu"),
    Dialect(r"\btransaction pool not enabled\b", _LATER, "besu"),
    Dialect(r"\bl2 congestion\b", _LATER, "arbitrum"),
    Dialect(r"\bglobal transaction limit exceeded\b", _LATER, "op-stack behind Alchemy"),
    Dialect(r"\bcompute units per second\b", _LATER, "Alchemy"),
    Dialect(r"\bconcurrent requests capacity\b", _LATER, "Alchemy"),
    Dialect(r"\b(request|rate) (rate )?(limited|limit exceeded|exceeded)\b", _LATER, "Infura"),
    Dialect(r"\btoo many requests\b", _LATER, "Infura, QuickNode"),
    # --- not sent: never
    Dialect(r"\bintrinsic ?gas\b", _NO, "geth, erigon, besu, reth, anvil"),
    Dialect(r"\bgas (is )?too low\b", _NO, "anvil, parity"),
    Dialect(r"\bexceeds the configured cap\b", _NO, "geth, op-stack"),
    Dialect(r"\bfee cap exceeded\b", _NO, "besu"),
    Dialect(r"\bfee too high\b", _NO, "old op-stack"),
    Dialect(r"\bhigher than max fee per gas\b", _NO, "geth, reth, anvil"),
    Dialect(r"\bhigher than 2\^256-1\b", _NO, "geth, reth"),
    Dialect(r"\bgas ?uint(64)? ?overflow\b", _NO, "geth, erigon, reth, anvil"),
    Dialect(r"\btransaction cost overflow\b", _NO, "nethermind"),
    Dialect(r"\bnonce has max value\b", _NO, "geth, anvil"),
    Dialect(r"\binvalid (sender|signature|chain ?id)\b", _NO, "geth, erigon, besu, reth, anvil"),
    Dialect(r"\bfailed to recover sender\b", _NO, "nethermind"),
    Dialect(r"\bsender (is )?not an eoa\b", _NO, "geth, nethermind, reth, anvil"),
    Dialect(r"\bnot authorized to send transactions\b", _NO, "besu"),
    Dialect(r"\bforbidden sender address\b", _NO, "arbitrum"),
    Dialect(r"\bwrong chain ?id\b", _NO, "besu"),
    Dialect(r"\btype not supported\b", _NO, "geth, reth, anvil"),
    Dialect(r"\bunsupported transaction type\b", _NO, "nethermind"),
    Dialect(r"\binvalid transaction type\b", _NO, "besu"),
    Dialect(r"\btype is not activated\b", _NO, "erigon"),
    Dialect(r"\bnegative value\b", _NO, "geth, erigon, reth"),
    Dialect(r"\brlp\b", _NO, "geth, parity"),
    Dialect(r"\bfailed to decode\b", _NO, "reth, anvil"),
)
_COMPILED = tuple((re.compile(dialect.pattern), dialect.outcome) for dialect in DIALECTS)

# The call itself came to nothing: geth's code 3, and what each says when gas or sense ran out.
# https://github.com/ethereum/go-ethereum/blob/v1.16.0/internal/ethapi/errors.go
_REVERTED_CODE = 3
_CALL_FAILED = re.compile(
    r"\brevert(ed)?\b|\bout ?of ?gas\b|\bevm error\b|\binvalid opcode\b"
    r"|\bgas required exceeds allowance\b|\binvalid jump\b|\bstack (under|over)flow\b"
)


class BroadcastUnknown(UnknownOutcome):
    """The transaction may or may not have reached the network; the same bytes may be sent again."""

    def __init__(self, tx_hash: str, detail: str) -> None:
        super().__init__(f"transaction {tx_hash} may have been sent ({detail})")
        self.tx_hash = tx_hash
        self.detail = detail


def outcome_of(text: str, tx_hash: str) -> BroadcastOutcome:
    """What an endpoint's refusal means.

    Raises:
        BroadcastUnknown: nobody has said it in these words before.
    """
    lowered = text.lower()
    for pattern, outcome in _COMPILED:
        if pattern.search(lowered):
            return outcome
    raise BroadcastUnknown(tx_hash, text)


def call_failed(code: int, text: str) -> bool:
    """Whether an error says that a call was carried out and failed, not that it could not be."""
    return code == _REVERTED_CODE or _CALL_FAILED.search(text.lower()) is not None
