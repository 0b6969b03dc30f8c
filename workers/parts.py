"""What the activities of orders, the house and reconcile are made of: readers, guards, limits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial

from activities.backing import Supplies
from activities.confirming import Confirming
from activities.fees import FeeLimits
from activities.finality import Finality
from activities.flattening import HousePlacing
from activities.guards import GuardLimits, Guards
from activities.house import HouseActivities
from activities.house_guards import HouseGuards
from activities.peg import Peg, PegFeed
from activities.quoting import QuoteSources, QuotingActivities
from activities.reconcile import ReconcileActivities
from activities.reconcile_view import ReconcileReader
from activities.reserves import Reserving
from activities.splitting import Splitting
from bronco.trading import BrokerSettings
from clients.broker import BrokerClient
from clients.calendar import TradingCalendar
from clients.monitor import MonitorReader
from clients.reserve_file import ReserveFolder
from clients.sender import ONE_ITEM_GAS
from workers.clients import Clients
from workers.reports import ReconcileLog

_RECONCILE_WINDOW = timedelta(days=2)


def answer_time(broker: BrokerSettings) -> timedelta:
    """One answer at the longest: what the client adds to its bound, and Redis."""
    return timedelta(seconds=broker.call_timeout_seconds + 5)


def house_placing(clients: Clients, broker: BrokerClient) -> HousePlacing:
    """Where the house's own orders are sent from."""
    settings = clients.settings
    own = HouseGuards(
        clients.vault,
        clients.oracle,
        broker,
        clients.store,
        settings.chain.asset_book,
        guard_limits(clients),
        clients.splits,
        _calendar(clients),
        two_persons_above=Decimal(settings.house.two_persons_above_usd),
    )
    return HousePlacing(
        own,
        broker,
        clients.store,
        clients.flags,
        place_window=settings.broker.place_window,
        send_window=timedelta(seconds=settings.orders.send_window_seconds),
        line_per_owner=settings.orders.line_per_owner,
        fence=timedelta(seconds=settings.orders.unknown_fence_seconds),
        answer=answer_time(settings.broker),
    )


def house(clients: Clients, broker: BrokerClient) -> HouseActivities:
    """What an operator decides about house positions."""
    limit = Decimal(clients.settings.house.two_persons_above_usd)
    reader = _reader(clients, broker)
    return HouseActivities(reader, clients.store, clients.gateway, two_persons_above=limit)


def reconcile(clients: Clients, broker: BrokerClient) -> ReconcileActivities:
    """Comparing chain, workflows, store and broker."""
    assets = clients.settings.chain.asset_book
    reader = _reader(clients, broker)
    return ReconcileActivities(
        reader,
        clients.store,
        clients.gateway,
        assets,
        ReconcileLog(),
        failures=clients.settings.orders.failures,
        reserving=_reserving(clients),
    )


def _reserving(clients: Clients) -> Reserving:
    chosen = clients.settings.reserves
    return Reserving(
        clients.vault,
        clients.store,
        clients.settings.chain.asset_book,
        folder=ReserveFolder(chosen.directory) if chosen.directory else None,
        max_age=timedelta(seconds=chosen.max_age_seconds),
    )


def _reader(clients: Clients, broker: BrokerClient) -> ReconcileReader:
    return ReconcileReader(
        clients.vault,
        clients.shares,
        clients.store,
        broker,
        clients.gateway,
        clients.settings.chain.asset_book,
        finality=finality(clients),
        window=_RECONCILE_WINDOW,
        splitting=splitting(clients),
        supplies=_supplies(clients),
    )


def guards(clients: Clients, broker: BrokerClient) -> Guards:
    """Everything that is asked before an order is sent."""
    return Guards(
        clients.vault,
        clients.oracle,
        broker,
        clients.store,
        clients.settings.chain.asset_book,
        guard_limits(clients),
        clients.sender,
        confirming(clients),
        clients.splits,
        calendar=_calendar(clients),
    )


def quoting(clients: Clients, broker: BrokerClient) -> QuotingActivities:
    """Prices before anybody deposits, by guards of their own: what they remember is not shared."""
    orders = clients.settings.orders
    sources = QuoteSources(
        clients.vault,
        clients.oracle,
        broker,
        clients.splits,
        _calendar(clients),
        guards(clients, broker),
        confirming(clients),
        finality(clients),
    )
    return QuotingActivities(
        sources,
        clients.settings.chain.asset_book,
        band_bps=orders.reference_band_bps,
        deadline_margin=orders.deadline_margin_seconds,
    )


def _calendar(clients: Clients) -> TradingCalendar:
    return TradingCalendar(asset.exchange for asset in clients.settings.chain.assets)


def guard_limits(clients: Clients) -> GuardLimits:
    """What the guards hold prices, feeds and the settler against."""
    chain, orders = clients.settings.chain, clients.settings.orders
    signs = clients.settings.limits
    return GuardLimits(
        deadline_margin=orders.deadline_margin_seconds,
        band_bps=orders.reference_band_bps,
        usdt_band_bps=orders.usdt_band_bps,
        min_gas_wei=chain.min_settler_gas_wei,
        settler=clients.signer.address,
        batch_gas=ONE_ITEM_GAS,
        fees=fees(clients),
        usdt_feed=chain.usdt_feed or "",
        usdt_heartbeat=chain.usdt_heartbeat_seconds,
        signed_shares=signs.max_shares,
        signed_usdt=signs.max_usdt * 10**signs.usdt_decimals,
        split_margin=orders.split_margin_seconds,
        spread_bps=orders.spread_bps,
        open_spread=orders.open_spread_seconds,
        jump_bps=orders.feed_jump_bps,
        jump_hold=orders.feed_jump_hold_seconds,
    )


def splitting(clients: Clients) -> Splitting:
    """Knows of share splits."""
    margin = clients.settings.orders.split_margin_seconds
    return Splitting(clients.vault, clients.splits, margin=margin)


def _supplies(clients: Clients) -> Supplies:
    monitor = clients.settings.chain.monitor
    return Supplies(MonitorReader(clients.vault, monitor) if monitor else None)


def fees(clients: Clients) -> FeeLimits:
    """What a settlement transaction may cost."""
    return FeeLimits(max_fee=clients.settings.chain.max_fee_wei)


def finality(clients: Clients) -> Finality:
    """Knows what cannot be reorganised away any more."""
    return Finality(clients.vault, clients.settings.chain.finality_blocks)


def confirming(clients: Clients) -> Confirming:
    """Knows how deep a request must be."""
    policy = clients.settings.chain.confirmation_policy
    return Confirming(clients.vault, policy, finality(clients))


def peg(clients: Clients) -> Callable[[], Peg] | None:
    """Measures what USDT is worth; None where no feed says so."""
    chain, band = clients.settings.chain, clients.settings.orders.usdt_band_bps
    if not chain.usdt_feed:
        return None
    feed = PegFeed(clients.oracle, chain.usdt_feed, chain.usdt_heartbeat_seconds)
    return partial(Peg, clients.gateway, feed, band)
