"""Opening a context: connect, log in, find the account, unlock. Runs on the lane's thread."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from clients.futu_calls import TradeCalls
from clients.futu_maps import BROKER, SUCCEEDED, order_of
from clients.futu_vendor import Notes, Vendor, load, order_pushes
from clients.unlocking import Unlock
from models.broker import BrokerOrder
from models.errors import SourceUnavailable

_log = structlog.get_logger(__name__)
# The link has no reconnect to wait for: only the moment between two states is waited out.
_BETWEEN_STATES_SECONDS = 0.5
_SUBSCRIBED_WITHIN_SECONDS = 1.0


@dataclass(frozen=True)
class Access:
    """How OpenD is entered. unlock: REAL only; None = trading stays locked."""

    port: int
    account_id: int
    environment: str
    call_timeout: float
    log_home: Path
    rsa_key: Path | None = None
    unlock: Unlock | None = None


class ContextOpener:
    """Opens the quote context; TradeOpener does more."""

    def __init__(self, address: str, access: Access) -> None:
        self._address = address
        self._access = access
        self._vendor: Vendor | None = None

    @property
    def hint(self) -> str:
        """What a log-in that OpenD leaves unanswered may be about: it never says so itself."""
        if self._access.rsa_key is None:
            return "does it want an RSA key, see BRONCO_BROKER_RSA_KEY?"
        return "has it the RSA key of BRONCO_BROKER_RSA_KEY?"

    @property
    def vendor(self) -> Vendor:
        """futu-api, imported at first use."""
        if self._vendor is None:
            self._vendor = load(self._access.log_home, self._access.rsa_key)
        return self._vendor

    def create(self, on_lost: Callable[[], None]) -> Any:
        """The bare object, with its leash on before it does anything."""
        kind = self._kind(self.vendor)
        context = kind.__new__(kind)
        context.notes = Notes(on_lost=on_lost)
        return context

    def connect(self, context: Any) -> None:
        """Log in, and bound every later call.

        Raises:
            SourceUnavailable: OpenD did not log the connection in.
        """
        context.__init__(**self._arguments(self.vendor))
        if context.status != self.vendor.futu.ContextStatus.READY:
            problem = f"OpenD refused to log the connection in ({self.hint})"
            raise SourceUnavailable(BROKER, "connecting", problem)
        context.set_sync_query_connect_timeout(_BETWEEN_STATES_SECONDS)
        # 12 s unless set, and no public setter; the lane has a bound of its own.
        context._query_timeout = self._access.call_timeout

    def _kind(self, vendor: Vendor) -> Any:
        return vendor.quote

    def _arguments(self, vendor: Vendor) -> dict[str, Any]:
        return {
            "host": self._address,
            "port": self._access.port,
            "is_encrypt": self._access.rsa_key is not None,
        }


class TradeOpener(ContextOpener):
    """Opens a trade context for one account and says what can be called on it."""

    def __init__(
        self,
        address: str,
        access: Access,
        on_calls: Callable[[TradeCalls], None],
        on_order: Callable[[BrokerOrder], None] | None = None,
    ) -> None:
        super().__init__(address, access)
        self._on_calls = on_calls
        self._on_order = on_order

    def connect(self, context: Any) -> None:
        """Log in, find the account, listen to its orders, unlock.

        Raises:
            SourceUnavailable: not logged in, or OpenD does not offer the account (yet).
            ConfigurationError: the trading password is wrong: asked once, never again.
        """
        super().connect(context)
        account_id = self._account(context)
        if self._on_order is not None:
            self._listen(context, account_id)
        if self._access.unlock is not None:
            self._access.unlock.show(context)
        self._on_calls(TradeCalls(self.vendor, account_id, self._access.environment))

    def _kind(self, vendor: Vendor) -> Any:
        return vendor.trade

    def _arguments(self, vendor: Vendor) -> dict[str, Any]:
        futu = vendor.futu
        market = {"filter_trdmarket": futu.TrdMarket.US, "security_firm": futu.SecurityFirm.NONE}
        return super()._arguments(vendor) | market

    def _account(self, context: Any) -> int:
        code, table = context.get_acc_list()
        if code != SUCCEEDED:
            raise SourceUnavailable(BROKER, "listing its accounts", str(table))
        wanted, environment = self._access.account_id, self._access.environment
        rows = table.to_dict("records")
        offered = [int(row["acc_id"]) for row in rows if row["trd_env"] == environment]
        return _chosen(wanted, offered, environment)

    def _listen(self, context: Any, account_id: int) -> None:
        context.set_handler(order_pushes(self.vendor.futu, account_id, self._pushed))
        if not context.notes.subscribed.wait(_SUBSCRIBED_WITHIN_SECONDS):
            # The vendor never looks at this answer; without pushes the polls still tell.
            _log.warning("broker_pushes_not_subscribed", account=str(account_id))

    def _pushed(self, row: dict[str, Any]) -> None:
        order = order_of(row)
        if order is not None and self._on_order is not None:
            self._on_order(order)


def _chosen(wanted: int, offered: Sequence[int], environment: str) -> int:
    """The account to use; 0 wants the only one there is."""
    if wanted in offered:
        return wanted
    if wanted == 0 and len(offered) == 1:
        return offered[0]
    listed = ", ".join(map(str, offered)) or "none"
    problem = f"account {wanted or '(any)'} wanted, US {environment} accounts offered: {listed}"
    raise SourceUnavailable(BROKER, "choosing the account", problem)
