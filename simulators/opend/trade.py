"""The trading half of OpenD: accounts, money, orders, as requests and answers."""

import hashlib
from collections.abc import Callable, Iterable
from decimal import Decimal

from simulators.opend import wire
from simulators.opend.accounts import Account
from simulators.opend.errors import Rejected
from simulators.opend.limits import RateLimiter
from simulators.opend.link import Link
from simulators.opend.orders import Env, Fill, Order, OrderType, Ticket
from simulators.opend.schema import Message
from simulators.opend.venue import Venue

Handler = Callable[[Link, Message, Message], None]
NORMAL, CANCEL = 1, 2  # Trd_Common.ModifyOrderOp


class TradeDesk:
    """Answers Trd_* requests out of one venue."""

    def __init__(self, venue: Venue, limits: RateLimiter, unlock_password: str) -> None:
        self._venue, self._book, self._limits = venue, venue.book, limits
        self._password = hashlib.md5(unlock_password.encode()).hexdigest()
        self._unlocked = False
        self._stale: dict[int, list[Message]] = {}
        self.handlers: dict[str, Handler] = {
            "GetAccList": self.accounts,
            "UnlockTrade": self.unlock,
            "SubAccPush": self.subscribe,
            "GetFunds": self.funds,
            "GetPositionList": self.positions,
            "GetMaxTrdQtys": self.max_quantities,
            "GetOrderList": self.order_list,
            "GetHistoryOrderList": self.history,
            "PlaceOrder": self.place,
            "ModifyOrder": self.modify,
            "GetOrderFillList": self.fill_list,
            "GetHistoryOrderFillList": self.fill_list,
            "GetOrderFee": self.order_fee,
        }

    def accounts(self, link: Link, c2s: Message, s2c: Message) -> None:
        """All accounts, paper and real."""
        s2c.accList.extend(wire.account_message(a) for a in self._book.accounts.values())

    def unlock(self, link: Link, c2s: Message, s2c: Message) -> None:
        """Unlocks the real account's trading for the whole OpenD; paper needs none."""
        self._limits.check("UnlockTrade")
        if c2s.unlock and c2s.pwdMD5.lower() != self._password:
            raise Rejected("Wrong trading password.")
        self._unlocked = c2s.unlock

    def subscribe(self, link: Link, c2s: Message, s2c: Message) -> None:
        """Replaces the accounts whose orders this connection hears of."""
        link.accounts = set(c2s.accIDList)

    def funds(self, link: Link, c2s: Message, s2c: Message) -> None:
        """Cash, assets and buying power, in the account's own currency."""
        account = self._account(c2s, s2c)
        if c2s.refreshCache:
            self._limits.check("GetFunds", account.id)
        value = account.market_value(self._venue.market.last_prices)
        hold, power = self._book.hold(account.id), self._book.power(account)
        wire.fill_funds(s2c.funds, account, value, hold, power)

    def positions(self, link: Link, c2s: Message, s2c: Message) -> None:
        """What is held, longs and shorts."""
        account = self._account(c2s, s2c)
        if c2s.refreshCache:
            self._limits.check("GetPositionList", account.id)
        wanted = set(c2s.filterConditions.codeList)
        for number, (code, held) in enumerate(sorted(account.positions.items()), start=1):
            if wanted and code not in wanted:
                continue
            price = self._venue.market.stock(code).last
            sellable = self._venue.sellable(account, code) if held.quantity > 0 else 0
            s2c.positionList.append(
                wire.position_message(number, code, held, price, sellable, account.currency)
            )

    def max_quantities(self, link: Link, c2s: Message, s2c: Message) -> None:
        """How many shares could be bought or sold at a price."""
        account = self._account(c2s, s2c)
        self._limits.check("GetMaxTrdQtys", account.id)
        quote = self._venue.market.quote(c2s.code)
        price = quote.ask if c2s.orderType == OrderType.MARKET else wire.exact(c2s.price)
        if not price.is_finite() or price <= 0:
            raise Rejected(f"Price {price} is out of range.")
        cash = account.cash - self._book.hold(account.id)
        answer = s2c.maxTrdQtys
        answer.maxCashBuy = float(max(Decimal(0), cash // price))
        answer.maxCashAndMarginBuy = float(self._book.power(account) // price)
        answer.maxPositionSell = float(self._venue.sellable(account, c2s.code))
        answer.maxBuyBack = float(max(0, -account.held(c2s.code)))

    def order_list(self, link: Link, c2s: Message, s2c: Message) -> None:
        """The day's orders; from the cache unless `refreshCache` asks the venue."""
        account = self._account(c2s, s2c)
        if c2s.refreshCache:
            self._limits.check("GetOrderList", account.id)
        faults = self._venue.faults
        if faults.strike_list(link.opened_at, c2s.refreshCache):
            return
        if faults.is_on("stale_list") and not c2s.refreshCache:
            orders = self._stale.get(account.id, [])
        else:
            day = _wanted(self._venue.day_list(account.id), c2s)
            orders = self._messages(day, account)
        s2c.orderList.extend(_filtered(orders, c2s))

    def keep_stale(self) -> None:
        """Fixes the order list's cache at what it holds now (fault stale_list)."""
        self._stale = {
            account.id: self._messages(self._venue.day_list(account.id), account)
            for account in self._book.accounts.values()
        }

    def history(self, link: Link, c2s: Message, s2c: Message) -> None:
        """Ended orders and those of earlier days, in a time range."""
        account = self._account(c2s, s2c)
        self._limits.check("GetHistoryOrderList", account.id)
        orders = self._messages(self._venue.history(account.id), account)
        s2c.orderList.extend(_filtered(orders, c2s))

    def place(self, link: Link, c2s: Message, s2c: Message) -> None:
        """Places an order, once for each packet id."""
        account = self._account(c2s, s2c)
        self._check_trade(link, c2s, account, "PlaceOrder")
        if c2s.HasField("secMarket") and c2s.secMarket != wire.US_SECURITIES:
            raise Rejected("This simulator trades US stocks only.")
        order = self._venue.place(
            Ticket(
                account=account.id,
                code=c2s.code,
                side=c2s.trdSide,
                order_type=c2s.orderType,
                quantity=wire.exact(c2s.qty),
                price=wire.exact(c2s.price),
                time_in_force=c2s.timeInForce,
                outside_rth=c2s.fillOutsideRTH,
                session=c2s.session,
                remark=c2s.remark,
            )
        )
        s2c.orderID, s2c.orderIDEx = order.id, str(order.id)

    def modify(self, link: Link, c2s: Message, s2c: Message) -> None:
        """Changes or cancels an order, or cancels all; accepted now, effective later."""
        account = self._account(c2s, s2c)
        self._check_trade(link, c2s, account, "ModifyOrder")
        if c2s.modifyOrderOp not in (NORMAL, CANCEL):
            raise Rejected("Paper trading supports modifying and cancelling orders only.")
        s2c.orderID = 0
        if c2s.forAll:
            for order in self._book.working(account.id):
                self._venue.cancel(order)
            return
        order = self._venue.find(account.id, c2s.orderIDEx or str(c2s.orderID))
        s2c.orderID, s2c.orderIDEx = order.id, str(order.id)
        if c2s.modifyOrderOp == CANCEL:
            self._venue.cancel(order)
        else:
            self._venue.modify(order, wire.exact(c2s.qty), wire.exact(c2s.price))

    def fill_list(self, link: Link, c2s: Message, s2c: Message) -> None:
        """Executions of the real account; paper trading has none to ask for."""
        account = self._account(c2s, s2c)
        if account.env is Env.SIMULATE:
            raise Rejected("Paper trading does not support deal queries.")
        fills: Iterable[Fill] = (f for f in self._book.fills if f.account == account.id)
        wanted = set(c2s.filterConditions.codeList)
        s2c.orderFillList.extend(
            wire.fill_message(fill) for fill in fills if not wanted or fill.code in wanted
        )

    def order_fee(self, link: Link, c2s: Message, s2c: Message) -> None:
        """Fees are asked of real accounts only, and this simulator charges none."""
        account = self._account(c2s, s2c)
        if account.env is Env.SIMULATE:
            raise Rejected("Paper trading does not support order fee queries.")
        for order_id in c2s.orderIdExList:
            self._venue.find(account.id, order_id)
            s2c.orderFeeList.add(orderIDEx=order_id, feeAmount=0.0)

    def _account(self, c2s: Message, s2c: Message) -> Account:
        header = c2s.header
        s2c.header.CopyFrom(header)
        account = self._book.accounts.get(header.accID)
        if account is None:
            raise Rejected(f"Account {header.accID} does not exist.")
        if account.env != header.trdEnv or header.trdMarket not in account.markets:
            raise Rejected(f"Account {account.id} is not of that environment and market.")
        return account

    def _check_trade(self, link: Link, c2s: Message, account: Account, protocol: str) -> None:
        packet = c2s.packetID
        if packet.connID != link.conn_id:
            raise Rejected("packetID carries the connID of another connection.")
        if packet.serialNo in link.packets:
            raise Rejected("packetID was used before: replayed request.")
        link.packets.add(packet.serialNo)
        self._limits.check(protocol, account.id)
        if account.env is Env.REAL and not self._unlocked:
            raise Rejected("Unlock trade first.")

    def _messages(self, orders: Iterable[Order], account: Account) -> list[Message]:
        return [wire.order_message(order, account.currency) for order in orders]


def _wanted(orders: Iterable[Order], c2s: Message) -> Iterable[Order]:
    """Those of these ids and statuses, if any are given: few are asked for out of thousands."""
    ids, statuses = set(c2s.filterConditions.orderIDExList), set(c2s.filterStatusList)
    return [
        order
        for order in orders
        if (not ids or str(order.id) in ids) and (not statuses or order.status in statuses)
    ]


def _filtered(orders: Iterable[Message], c2s: Message) -> list[Message]:
    conditions, statuses = c2s.filterConditions, set(c2s.filterStatusList)
    ids, numbers = set(conditions.orderIDExList), set(conditions.idList)
    codes = set(conditions.codeList)
    # Naive exchange times sort as text; ends are given to the second.
    begin, end = conditions.beginTime[:19], conditions.endTime[:19]
    return [
        order
        for order in orders
        if (not statuses or order.orderStatus in statuses)
        and (not codes or order.code in codes)
        and (not (ids or numbers) or order.orderIDEx in ids or order.orderID in numbers)
        and (not begin or order.createTime[: len(begin)] >= begin)
        and (not end or order.createTime[: len(end)] <= end)
    ]
