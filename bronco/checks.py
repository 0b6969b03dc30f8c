"""What a request's end must look like: vault, event, wallet, broker and row, to the unit."""

from __future__ import annotations

from bronco.play import Balances, Ended, SceneFailed
from models.money import (
    Settlement,
    affordable_shares,
    buy_settlement,
    price_from_wire,
    sell_settlement,
    shares_to_units,
)
from models.order import REFUND_CODES, OrderStatus, Reason, Stage
from models.requests import VaultStatus
from simulators.opend.control import VenueOrder

_DECIMALS = 6


def check_bought(ended: Ended) -> Settlement:
    """A deposit ended in shares: broker, vault, wallet and row agree to the unit.

    Raises:
        SceneFailed: they do not; the sentence names where.
    """
    order = _the_filled_order(ended)
    fee_bps, amount = ended.terms.fee_bps, ended.asked.amount
    most = affordable_shares(amount, order.price, fee_bps, _DECIMALS)
    same("shares ordered", order.quantity, most)
    average = price_from_wire(float(order.average))
    wanted = buy_settlement(order.filled, average, fee_bps, _DECIMALS)
    before = ended.asked.before
    after = Balances(before.usdt - wanted.taken, before.shares + wanted.out)
    _check_settled(ended, wanted, returned=amount - wanted.taken, after=after)
    return wanted


def check_sold(ended: Ended) -> Settlement:
    """A redeem ended in USDT. Raises as `check_bought`."""
    order = _the_filled_order(ended)
    same("shares ordered", shares_to_units(order.quantity), ended.asked.amount)
    average = price_from_wire(float(order.average))
    wanted = sell_settlement(order.filled, average, ended.terms.fee_bps, _DECIMALS)
    before = ended.asked.before
    after = Balances(before.usdt + wanted.out, before.shares - wanted.taken)
    _check_settled(ended, wanted, returned=ended.asked.amount - wanted.taken, after=after)
    return wanted


def check_refunded(ended: Ended, reason: Reason) -> None:
    """A request ended with everything back, for this reason. Raises as `check_bought`."""
    same("status in the vault", ended.terms.status, VaultStatus.REFUNDED)
    same("reason on chain", ended.event.args["reason"], REFUND_CODES[reason])
    same("amount given back", ended.event.args["amount"], ended.asked.amount)
    same("balances", ended.after, ended.asked.before)
    same("shares filled at the broker", sum(order.filled for order in ended.orders), 0)
    row = ended.row
    same("row", (row.status, row.reason), (OrderStatus.FAILED, reason))
    same("refund transaction on the row", row.refund_tx_hash, ended.event.tx_hash)


def _check_settled(ended: Ended, wanted: Settlement, *, returned: int, after: Balances) -> None:
    args, row = ended.event.args, ended.row
    same("status in the vault", ended.terms.status, VaultStatus.SETTLED)
    same("settled on chain", (args["taken"], args["out"], args["fee"]), tuple(wanted))
    same("returned on chain", args["returned"], returned)
    same("balances", ended.after, after)
    same("row", (row.status, row.stage), (OrderStatus.EXECUTED, Stage.SETTLED))
    same("amounts on the row", (row.spent, row.received, row.fee), tuple(wanted))
    same("transaction on the row", row.settle_tx_hash, ended.event.tx_hash)


def _the_filled_order(ended: Ended) -> VenueOrder:
    """The one order of the request, wholly filled."""
    states = [f"{order.id} {order.status}" for order in ended.orders]
    same("orders at the broker", len(states), 1)
    order = ended.orders[0]
    same("shares filled", order.filled, order.quantity)
    same("broker order on the row", ended.row.futu_order_id, order.id)
    return order


def same(what: str, found: object, wanted: object) -> None:
    """Fail the scene unless they are equal."""
    require(found == wanted, f"{what}: {found}, should be {wanted}")


def require(condition: bool, sentence: str) -> None:
    """Fail the scene unless it is so."""
    if not condition:
        raise SceneFailed(sentence)
