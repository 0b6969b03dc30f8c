"""What a simulator is started with, and its command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

from simulators.opend.orders import Env, Market

DEFAULT_PRICES = "AAPL=190 MSFT=420 NVDA=120 TSLA=250 SIRI=0.85"
SESSIONS = ("always-open", "calendar", "closed")
LIST_SCOPES = ("day", "open")


@dataclass(frozen=True, slots=True)
class AccountOptions:
    """One account to offer."""

    id: int
    env: Env
    markets: tuple[Market, ...]


# The third id is of the size real accounts have.
DEFAULT_ACCOUNTS = (
    AccountOptions(1001, Env.SIMULATE, (Market.HK,)),
    AccountOptions(1002, Env.SIMULATE, (Market.US,)),
    AccountOptions(281756479999, Env.REAL, (Market.HK, Market.US)),
)


def decimals(text: str) -> dict[str, Decimal]:
    """`AAPL=190 MSFT=420` as a mapping."""
    return dict(_pair(item) for item in text.split())


@dataclass(frozen=True, slots=True)
class OpenDOptions:
    """Everything `serve` needs. Seconds are real seconds, money is dollars."""

    host: str = "127.0.0.1"
    port: int = 11111
    # None: the port after `port`, or any free one when `port` is 0.
    control_port: int | None = None
    accounts: tuple[AccountOptions, ...] = DEFAULT_ACCOUNTS
    # https://openapi.moomoo.com/moomoo-api-doc/en/qa/trade.html: paper accounts start at $1M
    cash: Decimal = Decimal(1_000_000)
    # Of the first simulated US account; cost is the start price.
    positions: dict[str, int] = field(default_factory=dict)
    prices: dict[str, Decimal] = field(default_factory=lambda: decimals(DEFAULT_PRICES))
    seed: int = 7
    tick: Decimal = Decimal("0.01")
    spread_ticks: int = 2
    price_interval_seconds: float = 1.0
    price_move_ticks: int = 3
    ack_seconds: float = 0.02
    fill_seconds: float = 0.05
    partial_rate: float = 0.2
    session: str = "always-open"
    list_scope: str = "day"
    limits: bool = True
    limits_scale: float = 1.0
    leverage: int = 2
    shorting: bool = True
    keepalive_seconds: int = 10
    unlock_password: str = "123456"
    rsa_key: Path | None = None
    state: Path | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        if self.session not in SESSIONS:
            raise ValueError(f"session {self.session!r} is none of {', '.join(SESSIONS)}")
        if self.list_scope not in LIST_SCOPES:
            raise ValueError(f"list scope {self.list_scope!r} is none of {', '.join(LIST_SCOPES)}")
        if unknown := sorted(set(self.positions) - set(self.prices)):
            raise ValueError(f"position in {', '.join(unknown)} needs a --price for it")
        if bad := sorted(code for code, price in self.prices.items() if price <= 0):
            raise ValueError(f"price of {', '.join(bad)} must be above 0")
        if not 0 <= self.partial_rate <= 1:
            raise ValueError(f"partial rate {self.partial_rate} is not between 0 and 1")


def _pair(text: str) -> tuple[str, Decimal]:
    code, _, number = text.partition("=")
    try:
        value = Decimal(number)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not CODE=NUMBER") from None
    if not code or not value.is_finite():
        raise argparse.ArgumentTypeError(f"{text!r} is not CODE=NUMBER")
    return code.upper().removeprefix("US."), value


def _holding(text: str) -> tuple[str, int]:
    code, value = _pair(text)
    if value != value.to_integral_value():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of whole shares")
    return code, int(value)


def _account(text: str) -> AccountOptions:
    try:
        number, _, rest = text.partition("=")
        env, _, markets = rest.partition(":")
        names = tuple(Market[name] for name in markets.split(","))
        return AccountOptions(int(number), Env[env], names)
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not ID=SIMULATE|REAL:HK|US[,...], e.g. 1002=SIMULATE:US"
        ) from None


def parser() -> argparse.ArgumentParser:
    """The command line; every default is that of `OpenDOptions`."""
    new = argparse.ArgumentParser("opend", description="Futu OpenD simulator")
    add = new.add_argument
    none = argparse.SUPPRESS  # an option not given leaves the default to OpenDOptions
    add("--host", default=none, help="address to listen on (default 127.0.0.1)")
    add("--port", type=int, default=none, help="API port, 0 = any free one (default 11111)")
    add("--control-port", type=int, default=none, help="JSON-lines control (default port + 1)")
    add("--account", action="append", type=_account, help="ID=ENV:MARKETS, repeatable")
    add("--cash", type=Decimal, default=none, help="start cash of every account")
    add("--position", action="append", type=_holding, help="AAPL=100, repeatable")
    add("--price", action="append", type=_pair, help="AAPL=190, repeatable; adds a symbol")
    add("--seed", type=int, default=none, help="of the price path and partial fills")
    add("--tick", type=Decimal, default=none, help="price step from $1 up (default 0.01)")
    add("--spread-ticks", type=int, default=none, help="ask minus bid in ticks")
    add("--price-interval", type=float, default=none, dest="price_interval_seconds")
    add("--price-move-ticks", type=int, default=none, help="largest move a step")
    add("--ack", type=float, default=none, dest="ack_seconds", help="seconds to SUBMITTED")
    add("--fill", type=float, default=none, dest="fill_seconds", help="seconds to each fill")
    add("--partial-rate", type=float, default=none, help="share of fills that are partial, 0..1")
    add("--session", choices=SESSIONS, default=none)
    add("--list-scope", choices=LIST_SCOPES, default=none, help="what the order list holds")
    add("--limits", action=argparse.BooleanOptionalAction, default=none)
    add("--limits-scale", type=float, default=none, help="0.1 makes 30 s windows 3 s")
    add("--leverage", type=int, default=none, help="1 = cash account (default 2)")
    add("--shorting", action=argparse.BooleanOptionalAction, default=none)
    add("--keepalive", type=int, default=none, dest="keepalive_seconds")
    add("--unlock-password", default=none, help="of the simulated real account")
    add("--rsa-key", type=Path, default=none, help="PKCS#1 key file: encrypts the protocol")
    add("--state", type=Path, default=none, help="SQLite file that survives kill -9")
    add("--quiet", action="store_true", default=none, help="log warnings only")
    return new


def parse(argv: Sequence[str]) -> OpenDOptions:
    """Options from a command line; exits with a usage line on a wrong one."""
    command = parser()
    given = vars(command.parse_args(argv))
    accounts, positions = given.pop("account"), given.pop("position")
    prices = given.pop("price")
    if accounts:
        given["accounts"] = tuple(accounts)
    if prices:
        given["prices"] = decimals(DEFAULT_PRICES) | dict(prices)
    given["positions"] = dict(positions or [])
    try:
        return OpenDOptions(**given)
    except ValueError as error:
        command.error(str(error))
