"""Things of the domain with everything filled in that a test does not care about."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from models.broker import BookSnapshot, BrokerOrder, BrokerStatus, MarketState, Quote
from models.messages import ClaimView, PlaceOrderResult, PlaceOutcome
from models.records import ClaimState, Placement
from models.requests import BlockRef, OrderRequest, Side, VaultRequest, VaultStatus, remark_of
from models.reserves import (
    Cover,
    Float,
    InFlight,
    MoneyReserve,
    Reserves,
    ShareReserve,
    forecast,
)

CHAIN_ID = 31337
VAULT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
TOKEN = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
OWNER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
SYMBOL = "US.AAPL"
USDT = 10**6
SHARE = 10**18
_AT = datetime(2026, 1, 5, 15, tzinfo=UTC)


def request_id_of(n: int, salt: int = 0) -> str:
    return f"0x{(salt << 64) + n:064x}"


def order_request(n: int = 1, side: Side = Side.BUY, **changes: Any) -> OrderRequest:
    fields: dict[str, Any] = {
        "chain_id": CHAIN_ID,
        "vault": VAULT,
        "n": n,
        "request_id": request_id_of(n),
        "side": side,
        "user": OWNER,
        "symbol": SYMBOL,
    }
    return OrderRequest(**(fields | changes))


def vault_request(n: int = 1, side: Side = Side.BUY, **changes: Any) -> VaultRequest:
    """1,000 USDT to buy with, or 5 shares to sell, at 200 USDT all-in."""
    fields: dict[str, Any] = {
        "chain_id": CHAIN_ID,
        "vault": VAULT,
        "n": n,
        "request_id": request_id_of(n),
        "owner": OWNER,
        "recipient": OWNER,
        "side": side,
        "asset": TOKEN,
        "amount": 1_000 * USDT if side is Side.BUY else 5 * SHARE,
        "limit_price": 200 * USDT,
        "deadline": 4_000_000_000,
        "reclaim_at": 4_000_604_800,
        "fee_bps": 50,
        "created_block": 10,
        "cancel_requested": False,
        "status": VaultStatus.OPEN,
    }
    return VaultRequest(**(fields | changes))


def block(number: int = 20, fork: str = "a") -> BlockRef:
    return BlockRef(number=number, hash=f"0x{fork}{number}", timestamp=1_700_000_000 + number)


def broker_order(
    request_id: str = request_id_of(1), attempt: int = 1, **changes: Any
) -> BrokerOrder:
    """4 shares at 199 dollars, working and not filled."""
    fields: dict[str, Any] = {
        "order_id": f"F{int(request_id, 16) % 10**6}-{attempt}",
        "remark": remark_of(request_id, attempt),
        "symbol": SYMBOL,
        "side": Side.BUY,
        "quantity": 4,
        "price": Decimal(199),
        "status": BrokerStatus.WORKING,
        "vendor_status": "SUBMITTED",
    }
    return BrokerOrder(**(fields | changes))


def filled(order: BrokerOrder, shares: int | None = None) -> BrokerOrder:
    """The order with so many shares filled at its price; all of them when not told."""
    done = order.quantity if shares is None else shares
    status = BrokerStatus.FILLED if done >= order.quantity else BrokerStatus.PART_FILLED
    return order.model_copy(
        update={
            "filled": done,
            "average_price": order.price,
            "status": status,
            "vendor_status": "FILLED_ALL" if status is BrokerStatus.FILLED else "FILLED_PART",
        }
    )


def ended(order: BrokerOrder, status: BrokerStatus = BrokerStatus.CANCELLED) -> BrokerOrder:
    """The order with what it has filled so far, dead."""
    return order.model_copy(update={"status": status, "vendor_status": status.value})


def claim_view(
    request_id: str, attempt: int = 1, state: ClaimState = ClaimState.CLAIMED
) -> ClaimView:
    return ClaimView(attempt=attempt, state=state, remark=remark_of(request_id, attempt))


def placement(
    request_id: str = request_id_of(1),
    attempt: int = 1,
    state: ClaimState = ClaimState.PLACED,
    **changes: Any,
) -> Placement:

    fields: dict[str, Any] = {
        "request_id": request_id,
        "attempt": attempt,
        "remark": remark_of(request_id, attempt),
        "symbol": SYMBOL,
        "side": Side.BUY,
        "quantity": 4,
        "price": Decimal(199),
        "state": state,
        "send_by": _AT.replace(tzinfo=None),
        "created_at": _AT.replace(tzinfo=None),
    }
    return Placement(**(fields | changes))


def quote(**changes: Any) -> Quote:

    fields: dict[str, Any] = {
        "symbol": SYMBOL,
        "bid": Decimal("198.99"),
        "ask": Decimal("199.01"),
        "last": Decimal(199),
        "tick": Decimal("0.01"),
        "state": MarketState.OPEN,
        "at": _AT,
    }
    return Quote(**(fields | changes))


def not_placed(outcome: PlaceOutcome, **changes: Any) -> PlaceOrderResult:
    fields: dict[str, Any] = {"outcome": outcome, "detail": f"said {outcome.value}"}
    return PlaceOrderResult(**(fields | changes))


def read_at(begun: datetime) -> BookSnapshot:
    """A complete read of an empty book of the broker's."""
    return BookSnapshot(
        orders=(), begun_at=begun, ended_at=begun, connection=1, connected_at=begun, complete=True
    )


def statement(**changes: Any) -> Reserves:
    """5 tokens backed by 6 shares, one of them the house's; 1,500 USDT, 300 of them owed."""
    shares = ShareReserve(
        symbol=SYMBOL,
        token=TOKEN,
        held=6,
        house=1,
        in_flight=0,
        held_units=5 * SHARE,
        issued_units=5 * SHARE,
        cover=Cover.COVERED,
        price_units=190 * USDT,
    )
    money = MoneyReserve(
        decimals=6,
        vault_units=1_500 * USDT,
        escrow_units=200 * USDT,
        claimable_units=100 * USDT,
        owed_units=0,
        liabilities_units=300 * USDT,
        free_units=1_200 * USDT,
        fees_units=USDT,
        floor_units=0,
    )
    fields: dict[str, Any] = {
        "chain_id": CHAIN_ID,
        "vault": VAULT,
        "block": block(),
        "taken_at": _AT.replace(tzinfo=None),
        "broker_at": _AT.replace(tzinfo=None),
        "book_at": _AT.replace(tzinfo=None),
        "usdt": money,
        "float": Float(usdt_units=1_200 * USDT, usd_cents=100_000, working_cents=0),
        "shares": (shares,),
        "forecast": forecast(0, {}, 1_200 * USDT),
        "in_flight": InFlight(placements=0, orders=0, settlements=0, requests=0),
    }
    return Reserves(**(fields | changes))
