"""What the control port tells of a running simulator; nothing here changes it."""

from typing import Any

from simulators.opend.accounts import Account
from simulators.opend.errors import ControlError
from simulators.opend.gateway import Gateway
from simulators.opend.orders import Fill, Order, Side

Answer = dict[str, Any]


class Questions:
    """The commands that only ask; a method `on_<verb>` each."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._venue, self._book, self._faults = gateway.venue, gateway.venue.book, gateway.faults

    async def on_faults(self) -> Answer:
        """What is armed, on, and how often each struck."""
        return self._faults.describe()

    async def on_counts(self) -> Answer:
        """Requests by protocol since the start of the process."""
        return {"counts": self._gateway.record.counts_json()}

    async def on_placements(self) -> Answer:
        """Every PlaceOrder that arrived since the start of the process."""
        return {"placements": self._gateway.record.placements_json()}

    async def on_orders(self, account: int | None = None) -> Answer:
        """All orders of all days, oldest first; of one account, or of all."""
        orders = self._book.orders.values()
        return {"orders": [order_row(o) for o in orders if account in (None, o.account)]}

    async def on_fills(self, account: int | None = None) -> Answer:
        """All executions, oldest first; a reversal has a negative quantity."""
        return {"fills": [fill_row(f) for f in self._book.fills if account in (None, f.account)]}

    async def on_account(self, account: int | None = None) -> Answer:
        """Cash, cash on order, and positions."""
        found = self.find_account(account)
        positions = [
            {"code": code, "quantity": p.quantity, "cost": str(p.cost)}
            for code, p in sorted(found.positions.items())
        ]
        hold = self._book.hold(found.id)
        cash = {"cash": str(found.cash), "hold": str(hold)}
        return {"account": found.id, **cash, "positions": positions}

    async def on_quote(self, code: str) -> Answer:
        """Last, bid and ask."""
        quote, last = self._venue.market.quote(code), self._venue.market.stock(code).last
        return {"last": str(last), "bid": str(quote.bid), "ask": str(quote.ask)}

    async def on_book(self, code: str) -> Answer:
        """Shares that rest at each price, best first."""
        depth = self._venue.market.depth(code)
        sides = {"asks": depth.against(Side.BUY), "bids": depth.against(Side.SELL)}
        return {
            name: [{"price": str(level.price), "size": level.size} for level in levels]
            for name, levels in sides.items()
        }

    async def on_scenario(self) -> Answer:
        """How far the scenario is: lines done, left, and what was refused."""
        replay = self._gateway.replay
        if replay is None:
            raise ControlError("no scenario runs: start with bronco opend --scenario FILE")
        return {"done": replay.done, "left": replay.left, "refused": replay.refused}

    async def on_connections(self) -> Answer:
        """Who is connected."""
        links = [
            {"peer": k.peer, "conn_id": str(k.conn_id), "accounts": sorted(k.accounts)}
            for k in self._gateway.links
        ]
        return {"connections": links}

    def find_account(self, account: int | None) -> Account:
        """One account, or the first simulated US one.

        Raises:
            ControlError: no such account.
        """
        if account is None:
            return self._book.default_account()
        if account not in self._book.accounts:
            raise ControlError(f"account {account} is none of {list(self._book.accounts)}")
        return self._book.accounts[account]


def order_row(order: Order) -> Answer:
    """An order as the control port tells it."""
    return {
        **order.to_json(),
        "id": str(order.id),
        "side": order.side.name,
        "order_type": order.order_type.name,
        "status": order.status.name,
        "average": str(order.average),
    }


def fill_row(fill: Fill) -> Answer:
    """An execution as the control port tells it."""
    return {**fill.to_json(), "order_id": str(fill.order_id), "side": fill.side.name}
