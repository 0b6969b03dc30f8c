"""A request as the vault knows it, and the ids that derive from it.

Ids derive from the event alone, so anything upstream may deliver more than once.
"""

import base64
import re
from enum import IntEnum, StrEnum

from pydantic import BaseModel, ConfigDict

REMARK_PREFIX = "b1"
_REMARK = re.compile(r"^b1:([A-Za-z0-9_-]{43}):([1-9][0-9]{0,5})$")
_REQUEST_ID = re.compile(r"^0x[0-9a-f]{64}$")


class Side(StrEnum):
    """BUY serves a deposit, SELL a redeem."""

    BUY = "BUY"
    SELL = "SELL"


class VaultStatus(IntEnum):
    """Status of a request in the vault; numbers are the contract's enum."""

    NONE = 0
    OPEN = 1
    SETTLED = 2
    REFUNDED = 3
    RECLAIMED = 4


class BlockRef(BaseModel):
    """One block, by number and hash. timestamp: Unix seconds."""

    model_config = ConfigDict(frozen=True)

    number: int
    hash: str
    timestamp: int


class VaultRequest(BaseModel):
    """One request read from the vault at one block.

    amount: USDT units (BUY) or share units (SELL). limit_price: USDT units per whole share, fee
    included; MARKET_BUY_LIMIT or 0 = market. deadline, reclaim_at: Unix seconds. owed: USDT units
    of a settled redeem that the vault could not pay yet.
    """

    model_config = ConfigDict(frozen=True)

    chain_id: int
    vault: str
    n: int
    request_id: str
    owner: str
    recipient: str
    side: Side
    asset: str
    amount: int
    limit_price: int
    deadline: int
    reclaim_at: int
    fee_bps: int
    created_block: int
    cancel_requested: bool
    status: VaultStatus
    owed: int = 0


class OrderRequest(BaseModel):
    """Input of DepositWorkflow and RedeemWorkflow: which request, not its terms.

    user, symbol and tx_hash only decorate (search attributes, links); terms come from the vault.
    created_block: where it was seen; a node that has not come that far cannot say that it is gone.
    """

    model_config = ConfigDict(frozen=True)

    chain_id: int
    vault: str
    n: int
    request_id: str
    side: Side
    user: str = ""
    symbol: str = ""
    tx_hash: str = ""
    created_block: int = 0


def order_workflow_id(chain_id: int, vault: str, request_id: str) -> str:
    """Workflow id of a request; one for both sides."""
    return f"order-{chain_id}-{vault.lower()}-{request_id}"


def remark_of(request_id: str, attempt: int) -> str:
    """The broker remark of one attempt: at most 53 of the 64 bytes allowed.

    Raises:
        ValueError: request_id is not 0x + 64 lower-case hex digits, or attempt is below 1.
    """
    if not _REQUEST_ID.match(request_id) or attempt < 1:
        raise ValueError(f"no remark for request {request_id!r} attempt {attempt}")
    raw = bytes.fromhex(request_id[2:])
    digest = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return f"{REMARK_PREFIX}:{digest}:{attempt}"


def parse_remark(remark: str) -> tuple[str, int] | None:
    """(request id, attempt) of one of our remarks; None for anybody else's."""
    found = _REMARK.match(remark)
    if not found:
        return None
    raw = base64.urlsafe_b64decode(found.group(1) + "=")
    return "0x" + raw.hex(), int(found.group(2))


CONTROL_WORKFLOW_ID = "trading-control"
CHAIN_WATCH_WORKFLOW_ID = "chain-watch"
BROKER_WATCH_WORKFLOW_ID = "broker-watch"
RECONCILE_SCHEDULE_ID = "reconcile"
AUDIT_SCHEDULE_ID = "audit-head"


def settlement_workflow_id(chain_id: int, signer: str) -> str:
    """One settlement workflow per signing address."""
    return f"settlement-{chain_id}-{signer.lower()}"


def batch_prefix(settlement_id: str) -> str:
    """How the batch ids of one settlement workflow begin: whose they are can be told later."""
    return f"{settlement_id[-8:]}-"


QUEUE_MAIN = "bronco"
"""Workflows and short activities: one queue, so that eager execution applies."""
QUEUE_HOLDS = "bronco-holds"
"""Trading control alone: behind a burst of orders its query would be late, and the lease end."""
QUEUE_WATCH = "bronco-watch"
QUEUE_AUDIT = "bronco-audit"
"""Where the folder of signed heads is."""
QUEUE_PLACE = "broker-place"
QUEUE_CONTROL = "broker-control"
