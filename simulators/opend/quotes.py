"""The quote half of OpenD: snapshots, subscriptions and pushes of US stocks."""

from collections.abc import Iterable

from simulators.opend import wire
from simulators.opend.errors import Rejected
from simulators.opend.limits import SNAPSHOT_CODES, RateLimiter
from simulators.opend.link import Link
from simulators.opend.orders import Side
from simulators.opend.schema import NUMBERS, Message, module, response
from simulators.opend.trade import Handler
from simulators.opend.venue import Venue

BASIC, ORDER_BOOK = 1, 2  # Qot_Common.SubType
PUSHES = {BASIC: "UpdateBasicQot", ORDER_BOOK: "UpdateOrderBook"}
PUSH_DEPTH = 10
# https://openapi.futunn.com/futu-api-doc/en/intro/authority.html
QUOTA = 100


class QuoteDesk:
    """Answers Qot_* requests out of one venue's market."""

    def __init__(self, venue: Venue, limits: RateLimiter) -> None:
        self._venue, self._market, self._limits = venue, venue.market, limits
        self.handlers: dict[str, Handler] = {
            "Sub": self.subscribe,
            "RegQotPush": self.register_push,
            "GetSubInfo": self.subscriptions,
            "GetBasicQot": self.basic,
            "GetOrderBook": self.order_book,
            "GetStaticInfo": self.static_info,
            "GetSecuritySnapshot": self.snapshot,
            "GetMarketState": self.market_state,
        }

    def snapshot(self, link: Link, c2s: Message, s2c: Message) -> None:
        """Prices now, no subscription needed."""
        self._limits.check("GetSecuritySnapshot")
        if len(c2s.securityList) > SNAPSHOT_CODES:
            raise Rejected(f"At most {SNAPSHOT_CODES} stocks in one snapshot.")
        now = self._venue.now()
        for code in self._codes(c2s.securityList):
            stock = self._market.stock(code)
            quote, tick = self._market.quote(code), self._market.tick(stock.last)
            s2c.snapshotList.add().basic.CopyFrom(wire.snapshot_message(stock, quote, tick, now))

    def subscribe(self, link: Link, c2s: Message, s2c: Message) -> None:
        """Adds or removes subscriptions; with push registered they also push at once."""
        if c2s.isUnsubAll:
            link.quotes.clear()
            link.pushed_quotes.clear()
            return
        wanted = {(c, s) for c in self._codes(c2s.securityList) for s in c2s.subTypeList}
        if unsupported := sorted({kind for _, kind in wanted} - set(PUSHES)):
            raise Rejected(f"Subscription types {unsupported} are not simulated.")
        if not c2s.isSubOrUnSub:
            link.quotes -= wanted
            link.pushed_quotes -= wanted
            return
        link.quotes |= wanted
        if c2s.isRegOrUnRegPush:
            link.pushed_quotes |= wanted
            if c2s.isFirstPush or not c2s.HasField("isFirstPush"):
                self.push([link], wanted)

    def register_push(self, link: Link, c2s: Message, s2c: Message) -> None:
        """Switches pushes of what is subscribed on or off."""
        wanted = {(c, s) for c in self._codes(c2s.securityList) for s in c2s.subTypeList}
        if not c2s.isRegOrUnReg:
            link.pushed_quotes -= wanted
            return
        if wanted - link.quotes:
            raise Rejected("Subscribe before registering pushes.")
        link.pushed_quotes |= wanted

    def subscriptions(self, link: Link, c2s: Message, s2c: Message) -> None:
        """What this connection has subscribed."""
        s2c.totalUsedQuota, s2c.remainQuota = len(link.quotes), max(0, QUOTA - len(link.quotes))
        info = s2c.connSubInfoList.add(usedQuota=len(link.quotes), isOwnConnData=True)
        for kind in sorted({kind for _, kind in link.quotes}):
            codes = sorted(code for code, of in link.quotes if of == kind)
            info.subInfoList.add(subType=kind, securityList=[wire.security(c) for c in codes])

    def basic(self, link: Link, c2s: Message, s2c: Message) -> None:
        """Quotes of subscribed stocks."""
        for code in self._codes(c2s.securityList):
            self._check_subscribed(link, code, BASIC)
            s2c.basicQotList.append(self._basic(code))

    def order_book(self, link: Link, c2s: Message, s2c: Message) -> None:
        """Bids and asks of one subscribed stock."""
        (code,) = self._codes([c2s.security])
        self._check_subscribed(link, code, ORDER_BOOK)
        self._fill_book(s2c, code, max(1, min(c2s.num, 60)))

    def static_info(self, link: Link, c2s: Message, s2c: Message) -> None:
        """The listed stocks, all or those asked for."""
        asked = self._codes(c2s.securityList) or list(self._market.codes)
        for number, code in enumerate(self._market.codes, start=1):
            if code in asked:
                s2c.staticInfoList.add().basic.CopyFrom(_static_info(code, number))

    def market_state(self, link: Link, c2s: Message, s2c: Message) -> None:
        """Open or closed."""
        for code in self._codes(c2s.securityList):
            s2c.marketInfoList.add(
                security=wire.security(code), name=code, marketState=self._venue.session.state
            )

    def push_all(self, links: Iterable[Link]) -> None:
        """Sends every connection what it registered for."""
        for link in links:
            self.push([link], link.pushed_quotes)

    def push_traded(self, links: Iterable[Link], code: str) -> None:
        """Sends what an execution changed to those who registered for it."""
        for link in links:
            self.push([link], {wanted for wanted in link.pushed_quotes if wanted[0] == code})

    def push(self, links: Iterable[Link], wanted: Iterable[tuple[str, int]]) -> None:
        """Sends those quotes and books."""
        for code, kind in sorted(wanted):
            number = NUMBERS[PUSHES[kind]]
            message = response(number)
            if kind == BASIC:
                message.s2c.basicQotList.append(self._basic(code))
            else:
                self._fill_book(message.s2c, code, PUSH_DEPTH)
            for link in links:
                link.push(number, message)

    def _basic(self, code: str) -> Message:
        stock = self._market.stock(code)
        return wire.basic_quote(stock, self._market.tick(stock.last), self._venue.now())

    def _fill_book(self, target: Message, code: str, depth: int) -> None:
        book = self._market.depth(code)
        asks, bids = book.against(Side.BUY)[:depth], book.against(Side.SELL)[:depth]
        wire.fill_order_book(target, code, asks, bids)

    def _codes(self, securities: Iterable[Message]) -> list[str]:
        for security in securities:
            if security.market != wire.US_STOCKS:
                raise Rejected(f"Unknown stock {security.code}: US stocks only.")
            self._market.stock(security.code)
        return [security.code for security in securities]

    @staticmethod
    def _check_subscribed(link: Link, code: str, kind: int) -> None:
        if (code, kind) not in link.quotes:
            raise Rejected(f"Subscribe to {code} first.")


def _static_info(code: str, number: int) -> Message:
    return module("Qot_Common").SecurityStaticBasic(
        security=wire.security(code),
        id=number,
        lotSize=1,
        secType=wire.EQUITY,
        name=code,
        listTime=wire.LISTED_ON,
        delisting=False,
        exchType=wire.NASDAQ,
    )
