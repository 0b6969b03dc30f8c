"""Every Prometheus metric of ours, named once. Labels are few and bounded: never an id."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

HTTP_REQUESTS = Counter(
    "bronco_http_requests_total",
    "Requests the API answered, by route template.",
    ("method", "route", "status"),
    registry=REGISTRY,
)
HTTP_SECONDS = Histogram(
    "bronco_http_request_seconds",
    "Time the API took to answer.",
    ("method", "route"),
    buckets=_SECONDS,
    registry=REGISTRY,
)
STREAMS = Gauge(
    "bronco_http_streams", "Readers that follow changes at this moment.", registry=REGISTRY
)
ACTIVITY_SECONDS = Histogram(
    "bronco_activity_seconds",
    "Time one attempt of an activity took; outcome is ok, retryable, unknown, final or error.",
    ("activity", "outcome"),
    buckets=_SECONDS,
    registry=REGISTRY,
)
ORDERS_BY_STATUS = Gauge(
    "bronco_orders", "Orders in the store, by status.", ("status",), registry=REGISTRY
)
ORDERS_BY_STAGE = Gauge(
    "bronco_orders_stage", "Orders in the store, by stage.", ("stage",), registry=REGISTRY
)
ITEMS_BY_STATE = Gauge(
    "bronco_settlement_items", "Settlement items, by state.", ("state",), registry=REGISTRY
)
PAUSED = Gauge(
    "bronco_paused", "1 while a hold covers all trading, or nobody can say.", registry=REGISTRY
)
HOLDS = Gauge("bronco_holds", "Holds that are set, by kind.", ("kind",), registry=REGISTRY)
HALTED = Gauge("bronco_halted", "1 while the break-glass halt is set.", registry=REGISTRY)
IN_FLIGHT = Gauge(
    "bronco_placements_in_flight", "Placements that began and have not ended.", registry=REGISTRY
)
SOURCE_UP = Gauge(
    "bronco_source_up", "1 while this source answers.", ("source",), registry=REGISTRY
)
ENDPOINT_TRUSTED = Gauge(
    "bronco_chain_endpoint_trusted",
    "1 while the watcher trusts this endpoint, 0 while it is set aside, by reason.",
    ("endpoint", "reason"),
    registry=REGISTRY,
)
BROKER_ENDPOINT_UP = Gauge(
    "bronco_broker_endpoint_up",
    "1 while this OpenD answers and is logged in; of the one in use, while all links to it are up.",
    ("endpoint",),
    registry=REGISTRY,
)
BROKER_ENDPOINT_USED = Gauge(
    "bronco_broker_endpoint_in_use",
    "1 for the OpenD that this process trades through.",
    ("endpoint",),
    registry=REGISTRY,
)
CHAIN_BACKLOG = Gauge(
    "bronco_chain_backlog",
    "Requests in the vault that the watcher has not looked at yet.",
    registry=REGISTRY,
)
CHAIN_STARTED = Gauge(
    "bronco_chain_started",
    "Workflows asked for since this watcher began.",
    registry=REGISTRY,
)
CHAIN_HEAD = Gauge(
    "bronco_chain_head_block", "Newest block that two endpoints agree on.", registry=REGISTRY
)
CHAIN_STALLED = Gauge(
    "bronco_chain_stalled_seconds", "Since when that block has not moved.", registry=REGISTRY
)
FINDINGS = Gauge(
    "bronco_findings",
    "Mismatches that two consecutive reconcile runs saw and that still stand, by kind.",
    ("kind",),
    registry=REGISTRY,
)
RECONCILE_ALARMS = Counter(
    "bronco_reconcile_alarms_total",
    "Findings that somebody has to look at, counted once each, by kind.",
    ("kind",),
    registry=REGISTRY,
)
SETTLEMENT_ALARMS = Counter(
    "bronco_settlement_alarms_total",
    "What stood in the way of a settlement, counted each time it did, by kind.",
    ("kind",),
    registry=REGISTRY,
)
RECONCILED_AT = Gauge(
    "bronco_reconciled_timestamp_seconds",
    "When the last reconcile run ended; alarm when that is 3 minutes ago.",
    registry=REGISTRY,
)
AUDIT_BROKEN = Gauge(
    "bronco_audit_broken",
    "1 while the audit log is not what its last signed head says it was.",
    registry=REGISTRY,
)
AUDIT_CHECKED_AT = Gauge(
    "bronco_audit_checked_timestamp_seconds",
    "When the audit log was last found whole and signed for; alarm when that is 5 minutes ago.",
    registry=REGISTRY,
)
SIGNATURES = Counter(
    "bronco_signatures_total",
    "Transactions the signer was asked to sign; outcome is signed or refused.",
    ("outcome",),
    registry=REGISTRY,
)
RESERVE_USDT = Gauge(
    "bronco_reserve_usdt_units",
    "USDT units in the vault, at the last statement.",
    registry=REGISTRY,
)
LIABILITY_USDT = Gauge(
    "bronco_liability_usdt_units",
    "USDT units that the vault owes: escrow, claimable and owed.",
    registry=REGISTRY,
)
FREE_USDT = Gauge(
    "bronco_float_usdt_units",
    "USDT units in the vault that are the house's, less what is owed.",
    registry=REGISTRY,
)
FLOAT_USD = Gauge(
    "bronco_float_usd_cents",
    "Settled dollars at the broker, cents; NaN while the broker did not say.",
    registry=REGISTRY,
)
RESERVE_SHARES = Gauge(
    "bronco_reserve_shares",
    "Whole shares at the broker less the house's; NaN while the broker did not say.",
    ("symbol",),
    registry=REGISTRY,
)
ISSUED_SHARES = Gauge(
    "bronco_issued_shares",
    "Shares that the tokens minted stand for.",
    ("symbol",),
    registry=REGISTRY,
)
REDEEM_FORECAST = Gauge(
    "bronco_redeem_forecast_usdt_units",
    "USDT units that redeems will need until so many days from now.",
    ("days",),
    registry=REGISTRY,
)
RESERVED_AT = Gauge(
    "bronco_reserves_timestamp_seconds",
    "When the last statement of the reserves was made.",
    registry=REGISTRY,
)
