"""What is read from the chain and sent to it, in our own words. Addresses are checksummed."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum

from pydantic import BaseModel, ConfigDict

from models.requests import VaultStatus

ZERO_HASH = "0x" + "0" * 64
# https://eips.ethereum.org/EIPS/eip-7825
GAS_CAP = 2**24
"""Most gas that one transaction may use."""
DEV_CHAIN_IDS = frozenset({31337, 1337})
"""Chains that hold no money: plain keys and a single endpoint are allowed only here."""


class ChainModel(BaseModel):
    """Base of the frozen values here."""

    model_config = ConfigDict(frozen=True)


class Rejection(IntEnum):
    """Why the vault refused one item; numbers are the contract's enum."""

    NONE = 0
    UNKNOWN_REQUEST = 1
    ID_MISMATCH = 2
    ALREADY_ENDED = 3
    CONFLICT = 4
    AMOUNT = 5
    FEE = 6
    LIMIT = 7
    STALE_REFERENCE = 8
    BAND = 9
    PAYOUT = 10
    CAP = 11
    RETURN_LIMIT = 12


class RejectionKind(StrEnum):
    """What a refusal asks for: try again later, a human, or nothing any more."""

    RETRY = "RETRY"
    OPERATOR = "OPERATOR"
    LOST = "LOST"


REJECTION_KINDS: Mapping[Rejection, RejectionKind] = {
    # Unknown: the settling node may be behind, or the request is orphaned and may come back.
    Rejection.UNKNOWN_REQUEST: RejectionKind.RETRY,
    Rejection.STALE_REFERENCE: RejectionKind.RETRY,
    # The reference follows the market, so a fill outside the band today may be inside tomorrow.
    Rejection.BAND: RejectionKind.RETRY,
    # What was used of the window drains away; approvals go past it at once.
    Rejection.CAP: RejectionKind.RETRY,
    Rejection.ALREADY_ENDED: RejectionKind.LOST,
    Rejection.ID_MISMATCH: RejectionKind.OPERATOR,
    Rejection.CONFLICT: RejectionKind.OPERATOR,
    Rejection.AMOUNT: RejectionKind.OPERATOR,
    Rejection.FEE: RejectionKind.OPERATOR,
    Rejection.LIMIT: RejectionKind.OPERATOR,
    Rejection.PAYOUT: RejectionKind.OPERATOR,
    # Only M-of-N approvals give back that much.
    Rejection.RETURN_LIMIT: RejectionKind.OPERATOR,
}


class SettleItem(ChainModel):
    """One fill for the vault. taken, out, fee: see models.money.Settlement."""

    n: int
    request_id: str
    taken: int
    out: int
    fee: int
    fill_hash: str = ZERO_HASH


class RefundItem(ChainModel):
    """One request to give back whole. reason: 0 to 255, models.order.REFUND_CODES."""

    n: int
    request_id: str
    reason: int


class RequestState(ChainModel):
    """How far request n is in the vault. request_id is "" where there is no such request.

    terms: the vault's 6-byte hash of what it was settled with. owed: USDT units still to be paid.
    """

    n: int
    request_id: str
    status: VaultStatus
    terms: str
    owed: int


class VaultBooks(ChainModel):
    """What the vault holds and owes, USDT units. balance = escrow + claimable + free."""

    count: int
    balance: int
    escrow: int
    claimable: int
    free: int
    owed: int
    floor: int
    fees: int
    min_deposit: int
    fee_bps: int
    paused: bool

    @property
    def payable(self) -> int:
        """What a redeem settled now would be paid at once."""
        return max(0, self.free - self.owed)

    @property
    def payable_debt(self) -> int:
        """What the vault owes and has the money for."""
        return min(self.free, self.owed)


class AssetTerms(ChainModel):
    """How the vault treats one asset. heartbeat: seconds; band, gap: basis points."""

    token: str
    feed: str
    heartbeat: int
    band_bps: int
    gap_bps: int
    feed_decimals: int
    open: bool


class Approvers(ChainModel):
    """Who may approve what settlers may not do alone: `threshold` of `signers` must sign.

    epoch: raised whenever they change, which voids every signature given before. threshold 0:
    nobody can approve anything.
    """

    epoch: int
    threshold: int
    signers: tuple[str, ...] = ()


class Lifetimes(ChainModel):
    """Seconds: from deadline to reclaim; least and most that a request may live."""

    grace: int
    shortest: int
    longest: int


class SettlerState(ChainModel):
    """Whether the settler could settle: its role, gas money (wei), and what it has in flight."""

    address: str
    has_role: bool
    balance: int
    latest_nonce: int
    pending_nonce: int


class Fees(ChainModel):
    """EIP-1559 fees, wei per gas. base_fee: of the next block."""

    base_fee: int
    max_priority_fee: int
    max_fee: int


class BroadcastOutcome(StrEnum):
    """What the endpoint said to a transaction. Whether it is mined is read from the vault.

    The first three: it was sent, or its nonce is used. Not sent: UNDERPRICED (more fees may do),
    NO_FUNDS, TOO_BIG and REVERTS (a smaller batch may do), NOT_NOW (the same bytes may do later),
    REFUSED (these bytes never will).
    """

    ACCEPTED = "ACCEPTED"
    ALREADY_KNOWN = "ALREADY_KNOWN"
    NONCE_USED = "NONCE_USED"
    UNDERPRICED = "UNDERPRICED"
    NO_FUNDS = "NO_FUNDS"
    TOO_BIG = "TOO_BIG"
    REVERTS = "REVERTS"
    NOT_NOW = "NOT_NOW"
    REFUSED = "REFUSED"


class Broadcast(ChainModel):
    """The endpoint's answer; detail is its own text."""

    tx_hash: str
    outcome: BroadcastOutcome
    detail: str = ""


class VaultEvent(ChainModel):
    """One event of the vault, e.g. Settled, SettlementRejected. n is 0 where it has none.

    A list among its arguments, as the approvers are, is text: its parts with commas between.
    """

    name: str
    n: int
    request_id: str
    args: dict[str, int | str]
    tx_hash: str
    block_number: int
    block_hash: str

    @property
    def rejection(self) -> Rejection:
        """Code of a SettlementRejected; NONE for any other event."""
        return Rejection(int(self.args.get("code", 0)))


class TxReceipt(ChainModel):
    """A mined transaction. ok False: reverted, nothing in it happened. gas_price: wei per gas."""

    tx_hash: str
    block_number: int
    block_hash: str
    ok: bool
    gas_used: int
    gas_price: int
    events: tuple[VaultEvent, ...] = ()
