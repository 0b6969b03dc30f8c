"""futu-api, imported with its side effects contained, and its contexts kept on a leash.

The package itself is not modified. What is overridden here, and why, was measured with 10.11.7108:
its own reconnect wedges and sends stale orders, so a context lives for exactly one connection.
Never fork after `load`: a child's contexts block for ever (no network thread there); spawn.
"""

import importlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from clients.futu_dial import Dial
from clients.futu_maps import SUCCEEDED, Reply
from models.errors import ConfigurationError

# common/constant.py, ProtoId
PLACE_ORDER, MODIFY_ORDER = 2202, 2205
_SUBSCRIBE, _KEEP_ALIVE = 2008, 1004
_PLACED = "Trd_PlaceOrder"
_NOT_ASKED = (-1, "not asked: the order id is known", None)
_LOADING = threading.Lock()


class NotSent(Exception):
    """Raised inside the vendor's call, before anything is written: never leaves clients."""


class Fence:
    """Decides at the very moment of sending whether one request may still go out.

    A thread that the client blocks cannot be stopped; it can be made harmless. After `seal` it
    never sends, whatever wakes it up.
    """

    def __init__(self, protocol: int, deadline: float | None = None) -> None:
        self.protocol = protocol
        self._deadline = deadline
        self._lock = threading.Lock()
        self._sent = self._sealed = False

    @property
    def sent(self) -> bool:
        """Whether the request was handed to the network."""
        return self._sent

    def admit(self) -> None:
        """Let the request pass, once.

        Raises:
            NotSent: sealed, sent before, or past its deadline (time.monotonic()).
        """
        with self._lock:
            late = self._deadline is not None and time.monotonic() >= self._deadline
            if self._sealed or self._sent or late:
                raise NotSent("its time to be sent had passed")
            self._sent = True

    def seal(self) -> bool:
        """Let nothing pass from now on; True if it has passed already."""
        with self._lock:
            self._sealed = True
            return self._sent


def _nothing() -> None:
    return None


@dataclass
class Notes:
    """What a leashed context heard; written by its own thread, and on_lost by the network's."""

    on_lost: Callable[[], None] = _nothing
    fence: Fence | None = None
    replies: dict[str, Reply] = field(default_factory=dict)
    unanswered: int = 0
    accounts: Any = None
    subscribed: threading.Event = field(default_factory=threading.Event)

    def begin(self, fence: Fence | None) -> None:
        """A new call of ours begins."""
        self.fence = fence
        self.replies.clear()
        self.unanswered = 0

    def hear(self, packet: Any) -> None:
        """An answer arrived, before the client throws most of it away."""
        protocol = packet.DESCRIPTOR.full_name.partition(".")[0]
        order_id = str(packet.s2c.orderIDEx) if protocol == _PLACED else ""
        self.replies[protocol] = Reply(protocol, packet.retType, packet.retMsg, order_id)
        self.unanswered -= 1

    @property
    def placed(self) -> bool:
        """Whether this call's order was accepted."""
        reply = self.replies.get(_PLACED)
        return reply is not None and reply.ret_type == SUCCEEDED


class Leash:
    """Mixed in before a vendor context class; `notes` is set before the vendor's __init__ runs."""

    notes: Notes

    # The vendor's reconnect: retries for ever, wedges when the log-in fails, replays blocked calls.
    @property
    def _auto_reconnect(self) -> bool:
        return False

    @_auto_reconnect.setter
    def _auto_reconnect(self, _wanted: bool) -> None:
        return

    # The vendor's manager lets nobody out of its connect.
    @property
    def _net_mgr(self) -> Dial:
        return self._dial

    @_net_mgr.setter
    def _net_mgr(self, manager: Any) -> None:
        self._dial = Dial(manager)

    def can_send_proto(self, proto_id: int) -> bool:
        """The last thing the vendor asks before it hands a request to the network."""
        vendor: Any = super()
        if not vendor.can_send_proto(proto_id):
            return False
        notes = self.notes
        if notes.fence is not None and notes.fence.protocol == proto_id:
            notes.fence.admit()
        if proto_id not in (_KEEP_ALIVE, _SUBSCRIBE):
            notes.unanswered += 1
        return True

    def _get_sync_query_processor(self, pack: Any, unpack: Any) -> Any:
        notes = self.notes
        if notes.placed:
            # place_order would now ask for the order's row up to three times, for 12 s each.
            return lambda **_: _NOT_ASKED

        def noting(packet: Any) -> Any:
            notes.hear(packet)
            return unpack(packet)

        vendor: Any = super()
        return vendor._get_sync_query_processor(pack, noting)

    def get_acc_list(self) -> Any:
        """Asked once a connection: the vendor asks before every call, and that list races."""
        if self.notes.accounts is None:
            vendor: Any = super()
            code, table = vendor.get_acc_list()
            if code != SUCCEEDED:
                return code, table
            self.notes.accounts = table
        return SUCCEEDED, self.notes.accounts

    def handle_packet(self, **packet: Any) -> None:
        """Answers to what the vendor asks without waiting; it ignores the one to 2008."""
        body = packet["rsp_pb"]
        if packet["proto_id"] == _SUBSCRIBE and body is not None and body.retType == SUCCEEDED:
            self.notes.subscribed.set()
        vendor: Any = super()
        vendor.handle_packet(**packet)

    def on_disconnect(self, *reason: Any) -> None:
        """The connection is gone, for good."""
        vendor: Any = super()
        vendor.on_disconnect(*reason)
        self.notes.on_lost()


class Vendor(NamedTuple):
    """The package, and its two context classes on a leash."""

    futu: Any
    trade: Any
    quote: Any


def load(log_home: Path, rsa_key: Path | None) -> Vendor:
    """Import futu-api, its log under `log_home`. Takes seconds the first time: not on the loop.

    The first caller's log_home counts for the process, the last caller's rsa_key does: the vendor
    keeps one for all connections.

    Raises:
        ConfigurationError: the package cannot be imported here.
    """
    with _LOADING:
        if "futu" not in sys.modules:
            _import(log_home)
        futu = importlib.import_module("futu")
        futu.SysConfig.set_all_thread_daemon(True)
        key_file = str(rsa_key or "")
        if key_file != futu.SysConfig.INIT_RSA_FILE:
            # With a file set the vendor encrypts the log-in of every connection, asked to or not.
            futu.SysConfig.set_init_rsa_file(key_file)
    return Vendor(futu, _leashed(futu.OpenSecTradeContext), _leashed(futu.OpenQuoteContext))


def drop(context: Any) -> None:
    """Close a context in whatever state it is, and end the threads that wait for it."""
    dial = getattr(context, "_net_mgr", None)
    if dial is not None:
        dial.forget_unsent(getattr(context, "_conn_id", 0))
    context.close()
    if dial is not None:
        dial.give_up()
    executor = getattr(context, "_callback_executor", None)
    if executor is not None:
        # close() forgets it when the connection never came up.
        executor.close()


def order_pushes(futu: Any, account_id: int, on_row: Callable[[dict[str, Any]], None]) -> Any:
    """A handler that passes on the order pushes of one account: all visible ones are subscribed."""
    unpack = importlib.import_module("futu.trade.trade_query").UpdateOrderPush.unpack_rsp

    def on_recv_rsp(_handler: Any, packet: Any) -> Any:
        if packet.s2c.header.accID != account_id:
            return SUCCEEDED, None
        code, row = unpack(packet)
        if code == SUCCEEDED:
            on_row(row)
        return code, row

    return type("OrderPushes", (futu.TradeOrderHandlerBase,), {"on_recv_rsp": on_recv_rsp})()


def _leashed(vendor_class: type) -> Any:
    return type(f"Leashed{vendor_class.__name__}", (Leash, vendor_class), {})


def _import(log_home: Path) -> None:
    log_home.mkdir(parents=True, exist_ok=True)
    try:
        with _home(log_home), _interrupt_kept():
            futu = importlib.import_module("futu")
    except (ImportError, OSError, SystemExit) as error:
        # A missing dependency makes the package call sys.exit.
        raise ConfigurationError("futu-api", f"cannot be imported: {error}") from error
    _quieten(futu.common.ft_logger.logger)


@contextmanager
def _home(directory: Path) -> Iterator[None]:
    """The import opens a log under $HOME, and fails where that cannot be written."""
    # Two processes that import it at once must not both make its folder: it fails on the second.
    (directory / ".com.futunn.FutuOpenD" / "Log").mkdir(parents=True, exist_ok=True)
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(directory)
    try:
        yield
    finally:
        if before is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = before


@contextmanager
def _interrupt_kept() -> Iterator[None]:
    """On the main thread the import makes Ctrl-C end the process without any clean-up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _quieten(vendor_log: Any) -> None:
    """Warnings to the vendor's file, nothing to the console (it writes to stdout)."""
    vendor_log.file_level = logging.WARNING
    vendor_log.console_level = logging.CRITICAL + 1
    vendor_log.enable_console_log(False)
    # Without a handler of its own, logging's last resort would write to stderr.
    vendor_log.console_logger.addHandler(logging.NullHandler())
