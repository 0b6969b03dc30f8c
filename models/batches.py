"""Messages of settlement: one batch is one nonce, from taking its items to its receipt."""

from datetime import datetime

from models.chain import BroadcastOutcome, Fees
from models.messages import Message


class PrepareBatchInput(Message):
    """Take what is to be settled next.

    in_use: nonces of the batches in flight; the lowest free one is taken, so a gap that a batch
    which was never sent left behind is filled first. committed: wei those may cost.
    """

    batch: str
    in_use: tuple[int, ...] = ()
    limit: int = 50
    committed: int = 0


class PreparedBatch(Message):
    """One unsigned transaction. data "" = nothing to do. Fees in wei.

    signer: the address whose nonce it is. count 0 with data: it settles nothing, and fills a gap in
    the nonces or has the vault pay what it owes. waiting_for: what is missing before anything can
    be sent, in words. more: as many as were asked for were there, so there may be others. retired:
    the worker that was asked signs with another key.
    """

    batch: str
    count: int
    nonce: int = 0
    to: str = ""
    data: str = ""
    gas: int = 0
    max_fee: int = 0
    max_priority_fee: int = 0
    chain_id: int = 0
    waiting_for: str = ""
    signer: str = ""
    more: bool = False
    retired: bool = False


class SignBatchInput(Message):
    """Sign these very bytes: pure, so signing twice gives the same transaction.

    first: nothing was signed under this nonce yet, so an item that is refused can be set aside.
    """

    prepared: PreparedBatch
    first: bool = False


class SignedBatch(Message):
    """Signed bytes, in history before any broadcast. raw "" = only the hash is of interest."""

    batch: str
    raw: str
    tx_hash: str
    max_fee: int = 0
    max_priority_fee: int = 0


class SendBatchInput(Message):
    """Broadcast the newest of these (all one nonce, one calldata) and wait for any of them.

    Of the older ones only the hash is needed. count: items in it.
    """

    batch: str
    nonce: int
    signed: tuple[SignedBatch, ...]
    gas: int = 0
    wait_seconds: float = 20.0
    signer: str = ""
    count: int = 0


class SendBatchResult(Message):
    """mined = a transaction of ours is in a block and its items are marked and signalled.

    nonce_used_by_other: the vault's status of each item was read and the rest went back to PENDING.
    returned: items that went back to PENDING. reverted: mined, and nothing in it happened. Neither:
    outcome is what the endpoints last said, suggested and fee_ceiling are for the next signature,
    and affordable is what the purse could pay, wei per gas.
    """

    mined: bool
    tx_hash: str = ""
    block_number: int = 0
    settled: int = 0
    rejected: int = 0
    returned: int = 0
    nonce_used_by_other: bool = False
    outcome: BroadcastOutcome | None = None
    detail: str = ""
    suggested: Fees | None = None
    fee_ceiling: int = 0
    affordable: int = 0
    reverted: bool = False


class BatchInFlight(Message):
    """One nonce: what is to be signed next, and what was signed so far, oldest first."""

    prepared: PreparedBatch
    signed: tuple[SignedBatch, ...] = ()


class SettlementInput(Message):
    """What one run of SettlementWorkflow hands to the next, and how it works.

    limit: items in a batch. max_in_flight: batches (nonces) at once. wait_seconds: before a
    transaction that is not mined is signed again with higher fees. sweep_seconds: between looks at
    everything that is not final. run_events: continue as new from so many events of history on;
    0 = when the server suggests it. size: items in a batch just now, after some were refused for
    their size; 0 = limit. gather_seconds: between two batches for each that is in flight, so that
    under load the next one is fuller. retire_seconds: how long nobody may have the key before it
    counts as retired; retired_at: since when nobody has. drain_seconds: how long what a retired
    key sent is still waited for.
    """

    in_flight: tuple[BatchInFlight, ...] = ()
    limit: int = 50
    max_in_flight: int = 4
    wait_seconds: float = 20.0
    sweep_seconds: float = 30.0
    run_events: int = 0
    size: int = 0
    gather_seconds: float = 0.25
    retire_seconds: float = 120.0
    drain_seconds: float = 900.0
    retired_at: datetime | None = None


class SweepInput(Message):
    """Look after everything that is not final: vanished, forgotten, or final by now.

    prefix: of the batches of whoever asks; "" = of the key of the worker that is asked.
    """

    in_flight: tuple[str, ...] = ()
    prefix: str = ""


class SweepResult(Message):
    """Counts. pending > 0 = there is work; stuck = refused items that only an operator can free.

    owed = the vault could pay some of what it owes, which any batch makes it do. retired = the
    worker that was asked signs with another key.
    """

    pending: int = 0
    owed: bool = False
    finalized: int = 0
    returned: int = 0
    mined: int = 0
    stuck: int = 0
    retired: bool = False
