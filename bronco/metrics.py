"""Every Prometheus metric of ours, named once. Labels are few and bounded: never an id.

Each process tells what it knows. A gauge without labels is not there until it was told something,
so that no process that knows nothing reads as "fine"; rules take max() or min() over processes.
"""

import math
import time
from collections.abc import Iterable
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
)

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
# The watch of the chain may go on in another process: what this one last saw of it is then no news.
WATCHED_SECONDS = 15.0
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Told(Gauge):
    """A gauge that is absent until somebody sets it, and again `lasts` seconds after that."""

    lasts = math.inf
    _at = -math.inf

    def set(self, value: float) -> None:
        """Take the value."""
        super().set(value)
        self._at = time.monotonic()

    def clear(self) -> None:
        """Nobody knows any more: absent is better than old."""
        self._at = -math.inf

    def collect(self) -> Iterable[Metric]:
        """The sample, if there is one."""
        known = time.monotonic() - self._at <= self.lasts and self._at > -math.inf
        return super().collect() if known else []


class ToldBy(Gauge):
    """A gauge with labels, each of whose samples may be absent again some seconds after `tell`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._until: dict[str, float] = {}

    def tell(self, label: str, value: float, lasts: float = math.inf) -> None:
        """Take the value of this label for so many seconds."""
        self.labels(label).set(value)
        self._until[label] = time.monotonic() + lasts

    def collect(self) -> Iterable[Metric]:
        """The samples that are not too old."""
        now = time.monotonic()
        for label in [label for label, until in self._until.items() if until < now]:
            del self._until[label]
            self.remove(label)
        return super().collect()


def _told(name: str, meaning: str, lasts: float = math.inf) -> Told:
    gauge = Told(f"bronco_{name}", meaning, registry=REGISTRY)
    gauge.lasts = lasts
    return gauge


def _by(name: str, meaning: str, *labels: str) -> Gauge:
    return Gauge(f"bronco_{name}", meaning, labels, registry=REGISTRY)


def _count(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(f"bronco_{name}_total", meaning, labels, registry=REGISTRY)


def _times(name: str, meaning: str, *labels: str) -> Histogram:
    return Histogram(f"bronco_{name}", meaning, labels, buckets=_SECONDS, registry=REGISTRY)


# --- the API, and what it reads from the store, Redis and Temporal when it is asked

HTTP_REQUESTS = _count(
    "http_requests", "Requests the API answered, by route template.", "method", "route", "status"
)
HTTP_SECONDS = _times("http_request_seconds", "Time the API took to answer.", "method", "route")
STREAMS = _told("http_streams", "Readers that follow changes at this moment.")
ORDERS_BY_STATUS = _by("orders", "Orders in the store, by status.", "status")
ORDERS_BY_STAGE = _by("orders_stage", "Orders in the store, by stage.", "stage")
ORDERS_FAILED = _by("orders_failed", "Orders in the store that ended FAILED, by reason.", "reason")
ORDERS_OLDEST = _by(
    "orders_oldest_seconds",
    "Age of the oldest order that has not ended, by the stage it is in; 0 = none.",
    "stage",
)
UNKNOWN_OLDEST = _told(
    "unknown_oldest_seconds",
    "Since when the oldest placement is claimed of which nobody knows what came of it; 0 = none.",
)
ITEMS_BY_STATE = _by("settlement_items", "Settlement items, by kind and state.", "kind", "state")
ITEMS_OLDEST = _by(
    "settlement_oldest_seconds",
    "Age of the oldest settlement item, by kind and state; 0 = none.",
    "kind",
    "state",
)
BOOK_READ_AT = _told(
    "broker_book_read_timestamp_seconds", "When the last complete read of the broker's book ended."
)
HOUSE_POSITIONS = _told("house_positions", "House positions that nobody has decided about.")
AUDIT_UNSEALED = _told(
    "audit_unsealed_entries", "Entries of the audit log that have no place in its chain yet."
)
AUDIT_UNSEALED_OLDEST = _told(
    "audit_oldest_unsealed_seconds",
    "Age of the oldest entry of the audit log without a place in its chain; 0 = there is none.",
)
PAUSED = _told("paused", "1 while a hold covers all trading, or nobody can say.")
HOLDS = _by("holds", "Holds that are set, by kind.", "kind")
HOLD_OLDEST = _by("hold_oldest_seconds", "Age of the oldest hold, by kind; 0 = none.", "kind")
HALTED = _told("halted", "1 while the break-glass halt is set.")
IN_FLIGHT = _told("placements_in_flight", "Placements that began and have not ended.")
SOURCE_UP = ToldBy(
    "bronco_source_up", "1 while this source answers.", ("source",), registry=REGISTRY
)
ENDPOINT_TRUSTED = _by(
    "chain_endpoint_trusted",
    "1 while the watcher trusts this endpoint, 0 while it is set aside, by reason.",
    "endpoint",
    "reason",
)
ENDPOINT_LAG = _by(
    "chain_endpoint_lag_blocks", "Blocks that an endpoint is behind the foremost one.", "endpoint"
)

# --- every worker

ACTIVITY_SECONDS = _times(
    "activity_seconds",
    "Time one attempt of an activity took; outcome is ok, retryable, unknown, final or error.",
    "activity",
    "outcome",
)
MEASURED_AT = _by(
    "measured_timestamp_seconds",
    "When a worker last measured this; what could not be measured is absent.",
    "what",
)
CLOCK_SKEW = _by(
    "clock_skew_seconds",
    "How far the clock of a source is ahead of this machine's; of the chain, see its head's age.",
    "source",
)

# --- role watch

CHAIN_BACKLOG = _told(
    "chain_backlog",
    "Requests in the vault that the watcher has not looked at yet.",
    WATCHED_SECONDS,
)
CHAIN_STARTED = _told(
    "chain_started", "Workflows asked for since this watcher began.", WATCHED_SECONDS
)
CHAIN_HEAD = _told("chain_head_block", "Newest block that two endpoints agree on.", WATCHED_SECONDS)
CHAIN_HEAD_AT = _told(
    "chain_head_timestamp_seconds", "Time of that block by the chain's own clock."
)
CHAIN_STALLED = _told(
    "chain_stalled_seconds", "Since when that block has not moved.", WATCHED_SECONDS
)
FEED_UPDATED_AT = _by(
    "feed_updated_timestamp_seconds", "Time of the newest answer of a price feed.", "symbol"
)
FEED_HEARTBEAT = _by("feed_heartbeat_seconds", "Oldest answer of that feed that counts.", "symbol")
AUDIT_BROKEN = _told(
    "audit_broken", "1 while the audit log is not what its last signed head says it was."
)
AUDIT_CHECKED_AT = _told(
    "audit_checked_timestamp_seconds",
    "When the audit log was last found whole and signed for, at first when whoever does it began; "
    "alarm when that is 5 minutes ago.",
)

# --- role broker

BROKER_ENDPOINT_UP = _by(
    "broker_endpoint_up",
    "1 while this OpenD answers and is logged in; of the one in use, while all links to it are up.",
    "endpoint",
)
BROKER_ENDPOINT_USED = _by(
    "broker_endpoint_in_use", "1 for the OpenD that this process trades through.", "endpoint"
)
QUOTED_AT = _by(
    "quote_timestamp_seconds", "When this process last had a quote of the broker.", "symbol"
)
WINDOW_USED = _by(
    "broker_window_used", "Calls of the account that its window holds just now.", "call"
)
WINDOW_LIMIT = _by("broker_window_limit", "Calls that the window holds at most.", "call")
LINE_ORDERS = _by("line_orders", "Orders that wait in line for a call of the window.", "side")
FINDINGS = _by(
    "findings",
    "Mismatches that two consecutive reconcile runs saw and that still stand, by kind.",
    "kind",
)
RECONCILE_ALARMS = _count(
    "reconcile_alarms",
    "Findings that somebody has to look at, counted once each, by kind.",
    "kind",
)
RECONCILED_AT = _told(
    "reconciled_timestamp_seconds",
    "When the last reconcile run ended; alarm when that is 3 minutes ago.",
)

RESERVE_USDT = _told("reserve_usdt_units", "USDT units in the vault, at the last statement.")
LIABILITY_USDT = _told(
    "liability_usdt_units", "USDT units that the vault owes: escrow, claimable and owed."
)
FREE_USDT = _told(
    "float_usdt_units", "USDT units in the vault that are the house's, less what is owed."
)
FLOAT_USD = _told(
    "float_usd_cents", "Settled dollars at the broker, cents; NaN while the broker did not say."
)
RESERVE_SHARES = _by(
    "reserve_shares",
    "Whole shares at the broker less the house's; NaN while the broker did not say.",
    "symbol",
)
ISSUED_SHARES = _by("issued_shares", "Shares that the tokens minted stand for.", "symbol")
SOLD_SHARES = _by(
    "sold_shares",
    "Shares sold for redeems that are open: their tokens are not burned yet.",
    "symbol",
)
REDEEM_FORECAST = _by(
    "redeem_forecast_usdt_units",
    "USDT units that redeems will need until so many days from now.",
    "days",
)
RESERVED_AT = _told(
    "reserves_timestamp_seconds", "When the last statement of the reserves was made."
)

# --- role orders

SETTLEMENT_ALARMS = _count(
    "settlement_alarms",
    "What stood in the way of a settlement, counted each time it did, by kind.",
    "kind",
)
SETTLER_GAS = _told("settler_gas_wei", "Ether of the settling address.")
SETTLER_GAS_LOW = _told(
    "settler_gas_low_wei", "Ether below which nothing is placed: BRONCO_CHAIN_MIN_SETTLER_GAS_WEI."
)
SETTLER_NONCE = _told("settler_nonce", "Transactions of the settling address that are in a block.")
SETTLER_PENDING = _told(
    "settler_pending_transactions",
    "Transactions of the settling address that a mempool could mine next; 0 while items are SENT "
    "is a gap in the nonces, or nothing was taken.",
)
SIGNER_UP = _told("signer_up", "1 while the signer answers and signs for our address.")
SIGNER_HOUR_USED = _by(
    "signer_hour_used_ratio", "Part of what the signer signs in an hour that is used up.", "limit"
)

# --- the signer

SIGNATURES = _count(
    "signatures",
    "Transactions the signer was asked to sign; outcome is signed or refused.",
    "outcome",
)

# --- webhooks

WEBHOOK_SENDS = _count("webhook_sends", "Posts to webhooks; outcome is ok or failed.", "outcome")
WEBHOOK_PENDING = _told("webhook_pending", "Deliveries that active webhooks still wait for.")
WEBHOOK_FAILED = _told("webhook_failed", "Deliveries that were given up and are kept.")
WEBHOOK_OLDEST = _told(
    "webhook_oldest_pending_seconds", "Age of the oldest delivery that is pending; 0 = none is."
)
WEBHOOK_DISABLED = _told("webhook_disabled", "Webhooks that are disabled, by whomever.")
