"""Settings of what trades: the chain, the broker, and how an order lives."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import (
    BeforeValidator,
    Field,
    PositiveInt,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from bronco.sections import Address, Bps, HostPort, Port, Seconds, Section, from_json, listed
from models.assets import Asset, AssetBook
from models.chain import DEV_CHAIN_IDS
from models.confirmations import ConfirmationPolicy
from models.control import FailureLimit
from models.messages import OrderPolicy

_HEAD_STALL_SECONDS = 180.0


class ChainSettings(Section):
    """The chain, the vault on it, what can be traded, and who settles."""

    id: PositiveInt = Field(31337, description="chain id; 31337 and 1337 are dev chains")
    rpc_urls: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(listed)] = Field(
        description="HTTP endpoints, commas between them; at least two that must agree, three tell "
        "who is wrong, one is enough on a dev chain (secret: addresses often hold an API key)",
        min_length=1,
    )
    ws_urls: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(listed)] = Field(
        (),
        description="WebSocket endpoints whose new blocks wake the watcher, the first that "
        "works is used; none = it only looks every few seconds (secret)",
    )
    max_lag_blocks: PositiveInt = Field(
        5, description="blocks an endpoint may be behind the others before it is set aside"
    )
    head_stall_seconds: int | None = Field(
        None,
        ge=0,
        description="seconds without a new block until all trading is held; 0 = never; if empty "
        "180, and never on dev chains, which may mine on demand",
    )
    vault: Address = Field(description="address of BroncoVault")
    usdt: Address = Field(description="address of the USDT the vault takes")
    usdt_feed: Address | None = Field(
        None, description="Chainlink-style USDT/USD feed; required outside dev chains"
    )
    usdt_heartbeat_seconds: PositiveInt = Field(
        86_400, description="oldest answer of that feed that counts, seconds"
    )
    assets: Annotated[tuple[Asset, ...], NoDecode, BeforeValidator(from_json)] = Field(
        description='JSON list: [{"symbol": "AAPL", "token": "0x..", "feed": "0x..", '
        '"tick": "0.01", "lot": 1, "exchange": "XNAS"}]; exchange: whose holidays and half days '
        'count, XNAS if not told, "" = the broker alone says whether it trades',
        min_length=1,
    )
    monitor: Address | None = Field(
        None, description="address of SupplyMonitor; empty = nobody attests what backs the tokens"
    )
    confirmations: int = Field(
        2, ge=0, description="blocks on top before an order is placed, whatever it is worth"
    )
    confirmation_tiers: str = Field(
        "",
        description="blocks by worth instead: 1000:2,50000:12,*:final is 2 for up to 1000 USDT, "
        "12 for up to 50000, and the finalized block for more",
    )
    finality_blocks: int = Field(
        0, ge=0, description="blocks until a settlement is final; 0 = the chain's finalized tag"
    )
    call_timeout_seconds: Seconds = Field(10.0, description="seconds for one call to an endpoint")
    min_settler_gas_wei: int = Field(
        10**16, ge=0, description="wei the settler must hold before anything is placed"
    )
    max_fee_wei: PositiveInt = Field(
        500 * 10**9, description="wei per gas no settlement transaction goes above"
    )

    @field_validator("confirmation_tiers")
    @classmethod
    def _readable(cls, value: str) -> str:
        if value:
            ConfirmationPolicy.parse(value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.rpc_urls) < 2 and not self.is_dev:
            raise ValueError("rpc_urls: give two endpoints of different providers, they must agree")
        if self.usdt_feed is None and not self.is_dev:
            raise ValueError("usdt_feed: is required, or a broken peg would go unseen")
        return self

    @property
    def is_dev(self) -> bool:
        """Whether the chain holds no real money."""
        return self.id in DEV_CHAIN_IDS

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The HTTP endpoints in clear: never log them."""
        return tuple(url.get_secret_value() for url in self.rpc_urls)

    @property
    def confirmation_policy(self) -> ConfirmationPolicy:
        """How deep a request must be, by what it is worth."""
        if self.confirmation_tiers:
            return ConfirmationPolicy.parse(self.confirmation_tiers)
        return ConfirmationPolicy.of_blocks(self.confirmations)

    @property
    def wake_urls(self) -> tuple[str, ...]:
        """The WebSocket endpoints in clear: never log them."""
        return tuple(url.get_secret_value() for url in self.ws_urls)

    @property
    def stall_seconds(self) -> float:
        """Seconds without a new block that hold trading; 0 = never."""
        if self.head_stall_seconds is None:
            return 0.0 if self.is_dev else _HEAD_STALL_SECONDS
        return float(self.head_stall_seconds)

    @property
    def asset_book(self) -> AssetBook:
        """The assets by share token."""
        return AssetBook(assets=self.assets)


class MonitorSettings(Section):
    """Where the supply monitor is: of the section CHAIN, what tells whether there is one."""

    monitor: Address | None = Field(None, description="as in the section CHAIN")


class TradingEnvironment(StrEnum):
    """Paper or real trading at the broker."""

    SIMULATE = "SIMULATE"
    REAL = "REAL"


class RateWindow(NamedTuple):
    """At most `limit` calls in any `window_seconds`, each `gap_seconds` after the one before."""

    limit: int
    window_seconds: float
    gap_seconds: float


class BrokerSettings(Section):
    """Futu OpenD, or the simulator (`bronco opend`)."""

    host: str = Field("127.0.0.1", description="where OpenD listens")
    port: Port = Field(11111, description="its API port")
    standby: Annotated[tuple[HostPort, ...], NoDecode, BeforeValidator(listed)] = Field(
        (),
        description="further OpenDs of the same account, host:port, commas between them; the next "
        "one that answers is used when the one in use is lost",
    )
    failover_seconds: Seconds = Field(
        30.0, description="seconds without all links until the next OpenD is used"
    )
    account_id: int = Field(0, ge=0, description="trading account; 0 = the only one there is")
    environment: TradingEnvironment = Field(
        TradingEnvironment.SIMULATE, description="SIMULATE (paper) or REAL"
    )
    real_trading: str = Field(
        "",
        description="REAL only, in words: yes-<account id>, real money is traded on that account",
    )
    unlock_file: Path | None = Field(
        None,
        description="REAL only: sealed trading password, readable by us alone; "
        "see bronco broker --help",
    )
    unlock_password_file: Path | None = Field(
        None, description="REAL only: file with the password of unlock_file, readable by us alone"
    )
    rsa_key: Path | None = Field(
        None,
        description="file with OpenD's private RSA key (1024 bits, PKCS#1), readable by us alone; "
        "what is said is encrypted then",
    )
    connect_timeout_seconds: Seconds = Field(10.0, description="seconds to connect and log in")
    call_timeout_seconds: Seconds = Field(15.0, description="seconds for one call")
    poll_seconds: Seconds = Field(3.5, description="seconds between bulk reads of the order book")
    silent_seconds: float = Field(
        30.0,
        ge=0,
        description="no read of the book for so long holds all trading, seconds; 0 = never",
    )
    # Windows of one account: https://openapi.futunn.com/futu-api-doc/en/trade/place-order.html
    place_limit: PositiveInt = Field(15, description="orders placed per window")
    place_window_seconds: Seconds = Field(30.0, description="seconds")
    place_gap_seconds: float = Field(0.02, ge=0, description="seconds between two placements")
    change_limit: PositiveInt = Field(20, description="changes and cancels per window")
    change_window_seconds: Seconds = Field(30.0, description="seconds")
    change_gap_seconds: float = Field(0.04, ge=0, description="seconds between two changes")
    query_limit: PositiveInt = Field(10, description="refreshing reads of each kind per window")
    query_window_seconds: Seconds = Field(30.0, description="seconds")

    @property
    def place_window(self) -> RateWindow:
        """Window of place_order."""
        return RateWindow(self.place_limit, self.place_window_seconds, self.place_gap_seconds)

    @property
    def change_window(self) -> RateWindow:
        """Window of modify and cancel."""
        return RateWindow(self.change_limit, self.change_window_seconds, self.change_gap_seconds)

    @property
    def query_window(self) -> RateWindow:
        """Window of each refreshing read."""
        return RateWindow(self.query_limit, self.query_window_seconds, 0.0)


class OrderSettings(Section):
    """How an order lives."""

    order_timeout_seconds: Seconds = Field(
        300.0, description="seconds an order may work at the broker before we cancel it"
    )
    deadline_margin_seconds: Seconds = Field(
        120.0, description="nothing is placed or left working this close to the deadline, seconds"
    )
    tries: PositiveInt = Field(3, description="answers of the broker before a refund")
    try_pause_seconds: Seconds = Field(5.0, description="seconds between two tries")
    unknown_fence_seconds: Seconds = Field(
        60.0, description="seconds after the last moment to send before absence can be proven"
    )
    send_window_seconds: Seconds = Field(
        20.0, description="seconds a claim gives its holder to send"
    )
    hold_backstop_seconds: Seconds = Field(
        600.0, description="seconds until a held order re-checks without being woken"
    )
    backstop_seconds: Seconds = Field(
        60.0, description="seconds until any other wait re-checks without being woken"
    )
    place_timeout_seconds: Seconds = Field(
        60.0, description="longest a placing activity may take, seconds"
    )
    line_per_owner: PositiveInt = Field(
        100, description="orders of one owner and side that may wait in line for the broker"
    )
    reference_band_bps: Bps = Field(
        300, description="market orders stay this close to the reference, basis points"
    )
    usdt_band_bps: Bps = Field(
        50, description="USDT further than this from one dollar holds everything, basis points"
    )

    open_spread_seconds: float = Field(
        20.0, ge=0, le=600, description="what waited for the open is placed within this, seconds"
    )
    feed_jump_bps: Bps = Field(
        1500, description="a feed that moves further than this at once is doubted, basis points"
    )
    feed_jump_hold_seconds: Seconds = Field(
        900.0, description="seconds such an answer must stand until it is believed"
    )
    spread_bps: Bps = Field(
        100, description="bid and ask further apart than this hold the order, basis points"
    )
    split_margin_seconds: Seconds = Field(
        3600.0,
        description="nothing is placed or left working this long before a share split, seconds",
    )
    breaker_failures: int = Field(
        10,
        ge=0,
        description="so many orders failed by broker or system hold all trading; 0 = never",
    )
    breaker_window_seconds: Seconds = Field(
        600.0, description="within so many seconds; it opens again when they have passed"
    )
    approval_lifetime_seconds: PositiveInt = Field(
        259_200, description="how long an approver's signature counts at least, seconds"
    )

    @property
    def failures(self) -> FailureLimit:
        """When failing orders hold trading."""
        return FailureLimit(self.breaker_failures, timedelta(seconds=self.breaker_window_seconds))

    @property
    def policy(self) -> OrderPolicy:
        """What an order carries in its input."""
        return OrderPolicy(
            order_timeout=self.order_timeout_seconds,
            deadline_margin=self.deadline_margin_seconds,
            tries=self.tries,
            try_pause=self.try_pause_seconds,
            gate_backstop=self.hold_backstop_seconds,
            backstop=self.backstop_seconds,
            place_timeout=self.place_timeout_seconds,
        )
