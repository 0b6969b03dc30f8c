"""How a report about a broker order changes what is known of it.

    live ──▶ dead        stays dead, except by more fill
    any  ──▶ FILL_CANCELLED, for ever
    filled only grows, except by FILL_CANCELLED

So the reports of one order's life come to the same end in whatever order they arrive.
"""

from models.broker import BrokerOrder, BrokerStatus

_CANCELLED_FILL = BrokerStatus.FILL_CANCELLED
_FIRST = frozenset({BrokerStatus.SUBMITTING, BrokerStatus.UNKNOWN})


def merged(known: BrokerOrder, report: BrokerOrder) -> BrokerOrder:
    """What is known of an order after a report that may be older than what was known."""
    if _CANCELLED_FILL in (known.status, report.status):
        return _named(report, known) if report.status is _CANCELLED_FILL else known
    if report.filled > known.filled:
        return _named(report, known)
    if report.filled < known.filled:
        return _only_ended(known, report)
    if known.dead and report.status is not known.status:
        return known
    if report.status is BrokerStatus.SUBMITTING and known.status not in _FIRST:
        return known
    return _named(report, known)


def _only_ended(known: BrokerOrder, report: BrokerOrder) -> BrokerOrder:
    """A report with less fill is old; only that the order has ended can be news in it."""
    if known.dead or not report.dead:
        return known
    news = {"status": report.status, "vendor_status": report.vendor_status, "error": report.error}
    return known.model_copy(update=news)


def _named(report: BrokerOrder, known: BrokerOrder) -> BrokerOrder:
    """A push may lack the remark, a list the price of a fill; once known both stay."""
    kept: dict[str, object] = {} if report.remark else {"remark": known.remark}
    if report.filled == known.filled and not report.average_price:
        kept["average_price"] = known.average_price
    return report.model_copy(update=kept) if kept else report
