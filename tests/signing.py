"""Transactions to sign, good ones: each test spoils one in its own way."""

from typing import Any

from clients.keys import SettlePolicy, UnsignedTx
from clients.ledger import HourLimits
from clients.vault import settle_calldata
from models.chain import RefundItem, SettleItem
from models.money import SHARE_SCALE

# A published key of every dev chain: https://getfoundry.sh/anvil/overview#default-accounts
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
VAULT_ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
OTHER = "0x" + "77" * 20
USDT = 10**6
GWEI = 10**9
POLICY = SettlePolicy(
    chain_id=31337,
    vault=VAULT_ADDRESS,
    max_cost=10**17,
    max_fee=100 * GWEI,
    max_gas=5_000_000,
    max_items=10,
    max_usdt=10_000 * USDT,
    max_shares=100 * SHARE_SCALE,
)
HOUR = HourLimits(usdt=20_000 * USDT, shares=200 * SHARE_SCALE, batches=20, cost=10**18)
LIMITS = {
    "BRONCO_LIMITS_MAX_COST_WEI": str(POLICY.max_cost),
    "BRONCO_LIMITS_MAX_FEE_WEI": str(POLICY.max_fee),
    "BRONCO_LIMITS_MAX_GAS": str(POLICY.max_gas),
    "BRONCO_LIMITS_MAX_ITEMS": str(POLICY.max_items),
    "BRONCO_LIMITS_MAX_USDT": "10000",
    "BRONCO_LIMITS_MAX_SHARES": "100",
    "BRONCO_LIMITS_HOUR_USDT": "20000",
    "BRONCO_LIMITS_HOUR_SHARES": "200",
    "BRONCO_LIMITS_HOUR_BATCHES": str(HOUR.batches),
    "BRONCO_LIMITS_HOUR_COST_WEI": str(HOUR.cost),
}
"""The same limits as settings."""


def request_id(n: int) -> str:
    return f"0x{n:062x}1f"


def bought(n: int, shares: int = 5 * SHARE_SCALE, price: int = 190 * USDT) -> SettleItem:
    """A deposit that got so many share units."""
    taken = -(-shares * price // SHARE_SCALE)
    return SettleItem(n=n, request_id=request_id(n), taken=taken, out=shares, fee=taken // 500)


def sold(n: int, usdt: int = 950 * USDT, price: int = 190 * USDT) -> SettleItem:
    """A redeem that got so many USDT units."""
    taken = usdt * SHARE_SCALE // price
    return SettleItem(n=n, request_id=request_id(n), taken=taken, out=usdt, fee=usdt // 500)


def back(n: int, reason: int = 3) -> RefundItem:
    return RefundItem(n=n, request_id=request_id(n), reason=reason)


def batch(*items: SettleItem | RefundItem) -> str:
    settles = [item for item in items if isinstance(item, SettleItem)]
    return settle_calldata(settles, [item for item in items if isinstance(item, RefundItem)])


FILLER = settle_calldata([], [RefundItem(n=0, request_id="0x" + "0" * 64, reason=0)])
BATCH = batch(bought(1), sold(2), back(3))


def tx(**changes: Any) -> UnsignedTx:
    fields: dict[str, Any] = {
        "chain_id": 31337,
        "to": VAULT_ADDRESS,
        "nonce": 7,
        "gas": 1_000_000,
        "max_fee": 40 * GWEI,
        "max_priority_fee": GWEI,
        "data": BATCH,
    }
    return UnsignedTx.model_validate({**fields, **changes})
