"""OpenD itself: takes packets from connections, lets faults strike, asks the desks, answers."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from simulators.opend import log, protocol, quotes, schema, trade, wire
from simulators.opend.clock import Clock
from simulators.opend.errors import BadFrame, Rejected
from simulators.opend.faults import Armed
from simulators.opend.limits import CONNECTIONS, RateLimiter
from simulators.opend.link import Link
from simulators.opend.options import OpenDOptions
from simulators.opend.orders import Order
from simulators.opend.protocol import Frame
from simulators.opend.pushes import Pushes
from simulators.opend.record import Placement, Record
from simulators.opend.replay import Replay
from simulators.opend.schema import NUMBERS, Message
from simulators.opend.session import CLOSED
from simulators.opend.venue import Venue

SERVER_VERSION, BUILD = 1011, 7108  # of futu-api 10.11.7108's time
LOGIN_USER = 100001
PROGRAM_READY = 10  # Common.ProgramStatusType
PLACE_ORDER = "PlaceOrder"
DEFAULT_REJECT = "The order was rejected."
DEFAULT_BUSY = "系统繁忙"
# A client that says nothing for this many keep-alive intervals is gone.
SILENT_INTERVALS = 3


class Observer(Protocol):
    """Hears of requests before they are executed, and of every order update."""

    async def arrived(self, protocol: str) -> None:
        """A request, by the name of its protocol."""

    def changed(self, status: str) -> None:
        """The name of an order's new status."""


class Gateway:
    """All connections of one simulator."""

    def __init__(self, options: OpenDOptions) -> None:
        self._options = options
        self.record = Record()
        self.links: set[Link] = set()
        self.observers: list[Observer] = []
        self.replay: Replay | None = None
        self.clock = Clock(options.clock, options.speed)
        self.venue = Venue(options, publish=self.publish, now=self.clock.time)
        self.faults = self.venue.faults
        self._pushes = Pushes(self.faults)
        self._kept: list[Callable[[], None]] = []
        self.limits = RateLimiter(options.limits, options.limits_scale, time.monotonic)
        self.trade = trade.TradeDesk(self.venue, self.limits, options.unlock_password)
        self.quotes = quotes.QuoteDesk(self.venue, self.limits)
        self._handlers: dict[str, trade.Handler] = {
            "InitConnect": self._init_connect,
            "GetGlobalState": self._global_state,
            "KeepAlive": self._keep_alive,
            **self.trade.handlers,
            **self.quotes.handlers,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from accept to end."""
        link = Link(reader, writer, protocol.Cipher(self._options.rsa_key), self.faults)
        if len(self.links) >= CONNECTIONS:
            log.warning("connection_refused", limit=CONNECTIONS)
            link.cut()
            return
        self.links.add(link)
        log.event("connected", peer=link.peer)
        try:
            await self._read_all(link)
        except BadFrame as error:
            log.warning("bad_frame", peer=link.peer, error=str(error))
        except (asyncio.IncompleteReadError, ConnectionError):
            log.event("disconnected", peer=link.peer, client=link.client_id)
        finally:
            self.links.discard(link)
            link.cut()

    def publish(self, order: Order) -> None:
        """Tells subscribed connections about an order."""
        log.event("order", order_id=order.id, status=order.status.name, filled=order.filled)
        for observer in self.observers:
            observer.changed(order.status.name)
        if order.filled:
            self.quotes.push_traded(self.links, order.code)
        if self.faults.is_on("no_push"):
            return
        account = self.venue.book.accounts[order.account]
        number = NUMBERS["UpdateOrder"]
        message = schema.response(number)
        header = message.s2c.header
        header.trdEnv, header.accID = account.env, account.id
        header.trdMarket = account.markets[0]
        message.s2c.order.CopyFrom(wire.order_message(order, account.currency))
        self._pushes.send(order.id, lambda: self._push(account.id, number, message))

    def _push(self, account: int, number: int, message: Message) -> None:
        for link in self.links:
            if account in link.accounts:
                link.push(number, message)

    def drop_all(self) -> int:
        """Cuts every connection; how many there were."""
        for link in list(self.links):
            link.cut()
        return len(self.links)

    def send_kept(self) -> int:
        """Executes what the fault `kept` holds; how many requests that were."""
        kept, self._kept = self._kept, []
        for send in kept:
            send()
        return len(kept)

    def thaw(self) -> None:
        """Sends what waited while frozen; what was received meanwhile is served by itself."""
        for link in self.links:
            link.heard_at = time.monotonic()
            link.thaw()

    def step(self) -> None:
        """One step of every price, told to whoever registered for it."""
        self.venue.step_prices()
        self.push_quotes()

    def push_quotes(self) -> None:
        """Sends quote pushes to whoever registered for them."""
        self.quotes.push_all(self.links)

    def drop_silent(self) -> None:
        """Cuts connections whose keep-alive stopped."""
        if self.faults.is_on("frozen"):
            return
        patience = SILENT_INTERVALS * self._options.keepalive_seconds
        for link in list(self.links):
            if time.monotonic() - link.heard_at > patience:
                log.warning("keepalive_missed", peer=link.peer, client=link.client_id)
                link.cut()

    async def _read_all(self, link: Link) -> None:
        while True:
            frame = await protocol.read(link.reader, link.cipher)
            # Frozen: what has arrived stays unread and is executed on thaw, even if its sender
            # has given up by then. That is what SIGSTOP does to a real OpenD.
            await self.faults.thawed.wait()
            link.heard_at = time.monotonic()
            for observer in self.observers:
                await observer.arrived(schema.NAMES.get(frame.protocol, ""))
            self._serve(link, frame)

    def _serve(self, link: Link, frame: Frame) -> None:
        name = schema.NAMES.get(frame.protocol, str(frame.protocol))
        self.record.counts[name].received += 1
        try:
            request = schema.request(frame.protocol, frame.body)
        except Rejected as error:
            log.warning("bad_request", protocol=name, error=str(error))
            self._answer(link, frame, schema.refusal(frame.protocol, str(error)))
            return
        placement = self.record.placement(request.c2s) if name == PLACE_ORDER else None
        fault = self.faults.strike_request(name)
        log.event(
            "request", protocol=name, serial=frame.serial, fault=fault.name if fault else None
        )
        if fault:
            self._serve_faulty(link, frame, request, placement, fault)
        else:
            self._answer(link, frame, self._execute(link, frame, request, placement))

    def _serve_faulty(
        self,
        link: Link,
        frame: Frame,
        request: Message,
        placement: Placement | None,
        fault: Armed,
    ) -> None:
        def execute() -> Message:
            return self._execute(link, frame, request, placement)

        match fault.name:
            case "reject":
                sentence = fault.message or DEFAULT_REJECT
                refusal = self._reject(frame, sentence, placement)
                refusal.retType = fault.ret_type
                self._answer(link, frame, refusal)
            case "lost_before":
                self._lose(placement, fault)
                link.cut()
            case "silence":
                self._lose(placement, fault)
            case "late_execution":
                later = asyncio.get_running_loop().call_later
                later(fault.seconds, lambda: self._answer(link, frame, execute()))
            case "kept":
                self._kept.append(lambda: self._answer(link, frame, execute()))
            case _:
                self._answer_faulty(link, frame, execute(), fault)

    def _answer_faulty(self, link: Link, frame: Frame, message: Message, fault: Armed) -> None:
        """What was executed, told wrongly, late or never."""
        match fault.name:
            case "answer_lost_disconnect":
                link.cut()
            case "busy_after_execution":
                refusal = schema.refusal(frame.protocol, fault.message or DEFAULT_BUSY)
                refusal.retType = fault.ret_type
                self._answer(link, frame, refusal)
            case "answer_garbled":
                link.answer(frame.protocol, frame.serial, message, garbled=True)
            case "answer_without_id":
                message.s2c.ClearField("orderID")
                message.s2c.ClearField("orderIDEx")
                self._answer(link, frame, message)
            case "answer_twice":
                self._answer(link, frame, message)
                self._answer(link, frame, message)
            case "answer_then_cut":
                self._answer(link, frame, message)
                link.hang_up()
            case "delay":
                later = asyncio.get_running_loop().call_later
                later(fault.seconds, self._answer, link, frame, message)

    @staticmethod
    def _lose(placement: Placement | None, fault: Armed) -> None:
        if placement:
            placement.outcome = fault.name

    def _execute(
        self, link: Link, frame: Frame, request: Message, placement: Placement | None
    ) -> Message:
        name = schema.NAMES[frame.protocol]
        answer = schema.response(frame.protocol)
        answer.s2c.SetInParent()
        try:
            if not link.ready and name != "InitConnect":
                raise Rejected("InitConnect must come first.")
            self._handlers[name](link, request.c2s, answer.s2c)
        except Rejected as error:
            return self._reject(frame, str(error), placement)
        self.record.counts[name].executed += 1
        if placement:
            placement.outcome, placement.order_id = "accepted", answer.s2c.orderIDEx
        return answer

    def _reject(self, frame: Frame, sentence: str, placement: Placement | None) -> Message:
        self.record.counts[schema.NAMES[frame.protocol]].rejected += 1
        if placement:
            placement.outcome, placement.message = "rejected", sentence
        log.event("rejected", protocol=schema.NAMES[frame.protocol], message=sentence)
        return schema.refusal(frame.protocol, sentence)

    def _answer(self, link: Link, frame: Frame, message: Message) -> None:
        if link.closing:
            return
        name = schema.NAMES.get(frame.protocol, str(frame.protocol))
        self.record.counts[name].answered += 1
        link.answer(frame.protocol, frame.serial, message)

    def _init_connect(self, link: Link, c2s: Message, s2c: Message) -> None:
        if link.cipher.available and c2s.packetEncAlgo != protocol.AES_CBC:
            raise Rejected("This OpenD was given an RSA key: connect with is_encrypt=True.")
        link.ready, link.client_id = True, c2s.clientID
        s2c.serverVer, s2c.loginUserID, s2c.connID = SERVER_VERSION, LOGIN_USER, link.conn_id
        s2c.keepAliveInterval = self._options.keepalive_seconds
        s2c.connAESKey = link.cipher.aes_key
        s2c.aesCBCiv = link.cipher.aes_iv

    def _global_state(self, link: Link, c2s: Message, s2c: Message) -> None:
        for market in ("HK", "SH", "SZ", "HKFuture"):
            setattr(s2c, f"market{market}", CLOSED)
        s2c.marketUS = self.venue.session.state
        s2c.qotLogined = s2c.trdLogined = not self.faults.is_on("logged_out")
        s2c.serverVer, s2c.serverBuildNo = SERVER_VERSION, BUILD
        s2c.time, s2c.localTime = int(self.clock.time()), time.time()
        s2c.programStatus.type, s2c.connID = PROGRAM_READY, link.conn_id

    def _keep_alive(self, link: Link, c2s: Message, s2c: Message) -> None:
        s2c.time = int(time.time())
