"""What every client says to a transaction, word for word, and what follows from it."""

import re

import pytest

from clients.dialects import DIALECTS, BroadcastUnknown, call_failed, outcome_of
from models.chain import BroadcastOutcome

KNOWN, USED = BroadcastOutcome.ALREADY_KNOWN, BroadcastOutcome.NONCE_USED
CHEAP, POOR = BroadcastOutcome.UNDERPRICED, BroadcastOutcome.NO_FUNDS
BIG, REVERTS = BroadcastOutcome.TOO_BIG, BroadcastOutcome.REVERTS
LATER, NO = BroadcastOutcome.NOT_NOW, BroadcastOutcome.REFUSED

HASH = "0x7f657507aee0511e36d2d1972a6b22e917cc89f92b6c12c4dbd57eaabb236960"
GETH = [
    ("already known", KNOWN),
    (f"known transaction: {HASH}", KNOWN),
    ("nonce too low", USED),
    ("nonce too low: next nonce 5, tx nonce 4", USED),
    ("replacement transaction underpriced", CHEAP),
    ("replacement transaction underpriced: new tx gas fee cap 100 <= 100 queued", CHEAP),
    ("transaction underpriced", CHEAP),
    ("transaction underpriced: gas tip cap 1, minimum needed 1000000", CHEAP),
    ("max fee per gas less than block base fee", CHEAP),
    ("max fee per gas less than block base fee: address 0x71, maxFeePerGas: 1, baseFee: 9", CHEAP),
    ("insufficient funds for gas * price + value", POOR),
    ("insufficient funds for gas * price + value: balance 1, tx cost 9, overshot 8", POOR),
    ("insufficient funds for transfer", POOR),
    ("exceeds block gas limit", BIG),
    ("transaction gas limit too high (cap: 16777216, tx: 21000000)", BIG),
    ("oversized data", BIG),
    ("oversized data: transaction size 140000, limit 131072", BIG),
    ("txpool is full", LATER),
    ("account limit exceeded", LATER),
    ("in-flight transaction limit reached for delegated accounts", LATER),
    ("gapped-nonce tx from delegated accounts", LATER),
    ("future transaction tries to replace pending", LATER),
    ("address already reserved", LATER),
    ("nonce too high", LATER),
    ("intrinsic gas too low", NO),
    ("intrinsic gas too low: gas 20000, minimum needed 21000", NO),
    ("tx fee (2.00 ether) exceeds the configured cap (1.00 ether)", NO),
    ("max priority fee per gas higher than max fee per gas", NO),
    ("max fee per gas higher than 2^256-1", NO),
    ("gas uint64 overflow", NO),
    ("invalid sender", NO),
    ("invalid chain id for signer: have 1 want 31337", NO),
    ("sender not an eoa: address 0x71, len(code): 23", NO),
    ("transaction type not supported", NO),
    ("negative value", NO),
    ("nonce has max value", NO),
    ("rlp: value size exceeds available input length", NO),
]
ERIGON = [
    ("existing txn with same hash", KNOWN),
    ("existing tx with same hash", KNOWN),
    ("INTERNAL_ERROR: nonce too low", USED),
    ("underpriced", CHEAP),
    ("fee too low", CHEAP),
    ("INTERNAL_ERROR: fee too low", CHEAP),
    ("could not replace existing tx", CHEAP),
    ("insufficient funds", POOR),
    ("RLPTooLong", BIG),
    ("gas limit is too high", BIG),
    ("pending sub-pool is full", LATER),
    ("baseFee sub-pool is full", LATER),
    ("queued sub-pool is full", LATER),
    ("spammer", LATER),
    ("IntrinsicGas", NO),
    ("GasUintOverflow", NO),
    ("fork supporting this transaction type is not activated yet", NO),
]
NETHERMIND = [
    ("AlreadyKnown", KNOWN),
    ("OldNonce, Current nonce: 5, nonce of rejected tx: 4", USED),
    ("FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: 1, BaseFee: 9", CHEAP),
    ("FeeTooLowToCompete", CHEAP),
    ("InsufficientFunds, Account balance: 0, cumulative cost: 9", POOR),
    ("gas limit reached", BIG),
    ("transaction too large", BIG),
    ("nonce too far in future", LATER),
    ("pending transaction type conflict", LATER),
    ("node is syncing", LATER),
    ("failed to recover sender", NO),
    ("transaction cost overflow", NO),
    ("unsupported transaction type", NO),
]
BESU = [
    ("Known transaction", KNOWN),
    ("Nonce too low", USED),
    ("Replacement transaction underpriced", CHEAP),
    ("Gas price below current base fee", CHEAP),
    ("Gas price below configured minimum gas price", CHEAP),
    ("Upfront cost exceeds account balance", POOR),
    ("Transaction gas limit exceeds block gas limit", BIG),
    ("Nonce too high", LATER),
    ("Initial sync is still in progress", LATER),
    ("Transaction pool not enabled. (Either txpool explicitly disabled, or not in sync).", LATER),
    ("Intrinsic gas exceeds gas limit", NO),
    ("Invalid signature", NO),
    ("Invalid transaction type", NO),
    ("Wrong chainId", NO),
    ("Transaction fee cap exceeded", NO),
    ("Sender account not authorized to send transactions", NO),
]
RETH = [
    ("nonce too low: next nonce 5, tx nonce 4", USED),
    ("intrinsic gas too high", BIG),
    ("invalid chain ID", NO),
    ("sender is not an EOA", NO),
    ("failed to decode signed transaction", NO),
]
ANVIL = [
    (f"Tx: [{HASH}] already Imported", KNOWN),
    ("transaction already imported", KNOWN),
    (f"Tx: [{HASH}] insufficient gas price to replace existing transaction", CHEAP),
    ("Insufficient funds for gas * price + value", POOR),
    ("intrinsic gas too high -- tx.gas_limit > env.block.gas_limit", BIG),
    (
        "Transaction gas limit is greater than the block gas limit, gas_limit: 40000000, cap: 3",
        BIG,
    ),
    ("transaction gas limit (30000000) is greater than the cap (16777216)", BIG),
    ("Unknown transaction type not supported", NO),
    ("Failed to decode signed transaction", NO),
]
ROLLUPS = [
    ("transaction rejected: nonce too low", USED),
    ("invalid transaction nonce", USED),
    ("invalid transaction: nonce too low", USED),
    ("gas price too low", CHEAP),
    ("fee too low: 30365610000000, use at least tx.gasLimit = 5874374 and tx.gasPrice = 1", CHEAP),
    ("not enough funds for gas", POOR),
    ("invalid transaction: insufficient funds for gas * price + value", POOR),
    ("execution reverted: error code", REVERTS),
    ("tx dropped due to L2 congestion", LATER),
    ("Optimism sequencer sender global transaction limit exceeded.", LATER),
    ("fee too high: 5835750750000000, use less than 467550750000000 * 0.700000", NO),
    ("forbidden sender address", NO),
]
PROVIDERS = [
    ("Your app has exceeded its compute units per second capacity.", LATER),
    ("Your app has exceeded its concurrent requests capacity.", LATER),
    ("Transaction simulation failed", REVERTS),
    ("daily request count exceeded, request rate limited", LATER),
    ("project ID request rate exceeded", LATER),
    ("Too Many Requests", LATER),
]
PARITY = [
    ("Transaction with the same hash was already imported.", KNOWN),
    ("Transaction nonce is too low. Try incrementing the nonce.", USED),
    ("submit transaction to pool failed: Pool(Stale)", USED),
    ("submit transaction to pool failed: Pool(AlreadyImported)", KNOWN),
    ("Transaction gas price 100wei is too low. There is another transaction with it.", CHEAP),
    ("Transaction gas price is too low. It does not satisfy your node's minimal price.", CHEAP),
    ("Your transaction was dropped due to limit. Try increasing the fee.", CHEAP),
    ("Insufficient balance for transaction. Balance=100.25, Cost=200.50", POOR),
    ("The account you tried to send from does not have enough funds. Not enough funds", POOR),
    ("Transaction cost exceeds current gas limit. Limit: 50, got: 100.", BIG),
    ("Transaction is too big, see chain specification for the limit.", BIG),
    ("Transaction gas is too low. There is not enough gas to cover minimal cost.", NO),
    ("Invalid RLP data: some", NO),
]
SAID = [
    (client, text, outcome)
    for client, lines in {
        "geth": GETH,
        "erigon": ERIGON,
        "nethermind": NETHERMIND,
        "besu": BESU,
        "reth": RETH,
        "anvil": ANVIL,
        "rollups": ROLLUPS,
        "providers": PROVIDERS,
        "parity": PARITY,
    }.items()
    for text, outcome in lines
]


@pytest.mark.parametrize(("client", "text", "outcome"), SAID)
def test_outcome_of__what_a_client_says__is_known(
    client: str, text: str, outcome: BroadcastOutcome
) -> None:
    assert outcome_of(text, HASH) is outcome, client


@pytest.mark.parametrize(
    "text",
    [
        "",
        "internal error",
        "Internal server error",
        "timeout",
        "context deadline exceeded",
        "request timed out",
        "upstream connect error or disconnect/reset before headers",
        "no response",
        "method handler crashed",
        "we can't execute this request",
        "unknown block",
        "transaction accepted but not propagated",
        "moon phase wrong",
        "overlap",
        "the unknown transactional store is busy",
        "Transaction was added to the mempool but wasn't confirmed within 30s",
    ],
)
def test_outcome_of__words_never_heard__are_unknown_and_never_failed(text: str) -> None:
    with pytest.raises(BroadcastUnknown) as unknown:
        outcome_of(text, HASH)
    assert unknown.value.tx_hash == HASH
    assert unknown.value.detail == text


def test_dialects__every_line__is_said_by_somebody_and_reached_first() -> None:
    """A pattern that no listed text reaches is a guess, or hidden behind another one."""

    def first(text: str) -> str:
        return next(d.pattern for d in DIALECTS if re.search(d.pattern, text.lower()))

    reached = {first(text) for _, text, _ in SAID}
    unsourced = {d.pattern for d in DIALECTS if re.search("own words|tendermint", d.clients)}
    assert {d.pattern for d in DIALECTS} - reached <= unsourced


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (3, "execution reverted"),
        (-32000, "execution reverted: BatchGasTooLow"),
        (-32015, "VM execution error. Reverted"),
        (-32000, "out of gas"),
        (-32603, "EVM error OutOfGas"),
        (-32603, "EVM error InvalidFEOpcode"),
        (-32000, "invalid opcode: INVALID"),
        (-32000, "gas required exceeds allowance (640000)"),
    ],
)
def test_call_failed__the_call_came_to_nothing__is_the_batch_and_not_the_endpoint(
    code: int, text: str
) -> None:
    assert call_failed(code, text)


@pytest.mark.parametrize(
    "text", ["header not found", "missing trie node", "timeout", "internal error", ""]
)
def test_call_failed__the_endpoint_could_not_ask__blames_no_batch(text: str) -> None:
    assert not call_failed(-32000, text)
