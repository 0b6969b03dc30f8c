"""What a simulator is started with; arguments.py is its command line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

from simulators.opend.orders import Env, Market

DEFAULT_PRICES: Mapping[str, Decimal] = MappingProxyType(
    {
        "AAPL": Decimal(190),
        "MSFT": Decimal(420),
        "NVDA": Decimal(120),
        "TSLA": Decimal(250),
        "SIRI": Decimal("0.85"),
    }
)
SESSIONS = ("always-open", "calendar", "closed")
LIST_SCOPES = ("day", "open")
# Below a dollar US prices move in hundredths of a cent.
# https://www.law.cornell.edu/cfr/text/17/242.612 (Rule 612)
SUB_DOLLAR_TICK = Decimal("0.0001")
HIGHEST_PORT = 65535


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


@dataclass(frozen=True, slots=True)
class OpenDOptions:
    """Everything `serve` needs. Seconds are real seconds, money is dollars.

    Raises:
        ValueError: a value that no simulator can work with, in one sentence.
    """

    host: str = "127.0.0.1"
    port: int = 11111
    # None: the port after `port`, or any free one when `port` is 0.
    control_port: int | None = None
    accounts: tuple[AccountOptions, ...] = DEFAULT_ACCOUNTS
    # https://openapi.moomoo.com/moomoo-api-doc/en/qa/trade.html: paper accounts start at $1M
    cash: Decimal = Decimal(1_000_000)
    # Of the first simulated US account; cost is the start price.
    positions: dict[str, int] = field(default_factory=dict)
    prices: dict[str, Decimal] = field(default_factory=lambda: dict(DEFAULT_PRICES))
    seed: int = 7
    tick: Decimal = Decimal("0.01")
    spread_ticks: int = 2
    # Levels on each side, shares that rest at each on average, and ticks between two of them. By
    # default the best price alone is good for the largest order there may be.
    depth_levels: int = 10
    depth_shares: int = 1_000_000
    depth_gap_ticks: int = 1
    price_interval_seconds: float = 1.0
    price_move_ticks: int = 3
    ack_seconds: float = 0.02
    fill_seconds: float = 0.05
    partial_rate: float = 0.2
    session: str = "always-open"
    # The simulator's own time at its start, in seconds since 1970; it runs at `speed` from there.
    # None: the machine's clock.
    clock: float | None = None
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
    # Commands to run at their moments (its own options are already among these), and a file to
    # write such a scenario of this run to.
    scenario: Path | None = None
    record: Path | None = None
    # Divides the seconds of prices, order steps and the scenario; not those of clients or limits.
    speed: float = 1.0

    def __post_init__(self) -> None:
        self._check_words()
        self._check_ports()
        self._check_numbers()
        self._check_prices()

    def tick_at(self, price: Decimal) -> Decimal:
        """The smallest price step at that price."""
        return self.tick if price >= 1 else SUB_DOLLAR_TICK

    def _check_words(self) -> None:
        if self.session not in SESSIONS:
            raise ValueError(f"session {self.session!r} is none of {', '.join(SESSIONS)}")
        if self.list_scope not in LIST_SCOPES:
            raise ValueError(f"list scope {self.list_scope!r} is none of {', '.join(LIST_SCOPES)}")

    def _check_ports(self) -> None:
        for name, port in (("--port", self.port), ("--control-port", self.control_port or 0)):
            if not 0 <= port <= HIGHEST_PORT:
                raise ValueError(f"{name} {port} is not between 0 and {HIGHEST_PORT}")
        if self.port == HIGHEST_PORT and self.control_port is None:
            raise ValueError(f"no port follows --port {self.port}: choose a --control-port too")
        if self.port and self.port == self.control_port:
            raise ValueError(f"--port and --control-port are both {self.port}")

    def _check_numbers(self) -> None:
        above_zero: dict[str, float | Decimal] = {
            "--tick": self.tick,
            "--spread-ticks": self.spread_ticks,
            "--depth-levels": self.depth_levels,
            "--depth-shares": self.depth_shares,
            "--depth-gap-ticks": self.depth_gap_ticks,
            "--limits-scale": self.limits_scale,
            "--leverage": self.leverage,
            "--keepalive": self.keepalive_seconds,
            "--speed": self.speed,
        }
        from_zero: dict[str, float | Decimal] = {
            "--cash": self.cash,
            "--price-interval": self.price_interval_seconds,
            "--price-move-ticks": self.price_move_ticks,
            "--ack": self.ack_seconds,
            "--fill": self.fill_seconds,
        }
        for name, number in above_zero.items():
            if not 0 < number < float("inf"):
                raise ValueError(f"{name} {number} must be above 0")
        for name, number in from_zero.items():
            if not 0 <= number < float("inf"):
                raise ValueError(f"{name} {number} must be 0 or more")
        if not 0 <= self.partial_rate <= 1:
            raise ValueError(f"partial rate {self.partial_rate} is not between 0 and 1")

    def _check_prices(self) -> None:
        if unknown := sorted(set(self.positions) - set(self.prices)):
            raise ValueError(f"position in {', '.join(unknown)} needs a --price for it")
        for code, price in sorted(self.prices.items()):
            if price <= 0:
                raise ValueError(f"price of {code} must be above 0")
            if price % self.tick_at(price):
                step = self.tick_at(price)
                raise ValueError(f"price {price} of {code} is not a multiple of its tick {step}")
