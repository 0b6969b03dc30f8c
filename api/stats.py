"""How much goes on: counts, volumes and how long a settlement takes."""

from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from api.errors import described
from api.views import Units, View
from models.order import OrderStatus, Stage
from models.stats import percentile

if TYPE_CHECKING:
    from clients.store import Store

_PERCENTS = (50, 90, 99)
_EXAMPLE: dict[str, Any] = {
    "by_status": {"EXECUTED": 41, "PENDING": 2},
    "by_stage": {"SETTLED": 41, "HELD": 2},
    "days": [
        {
            "day": "2026-01-05",
            "orders": 41,
            "deposited": "41000000000",
            "redeemed": "0",
            "fees": "41000000",
        }
    ],
    "settle_milliseconds": {"orders": 41, "p50": 9_200, "p90": 14_000, "p99": 31_500},
    "since": "2026-01-05T00:00:00Z",
}


class DayView(View):
    """One day in New York. deposited: spent by buys; redeemed: paid to sells; USDT units."""

    day: date
    orders: int
    deposited: Units
    redeemed: Units
    fees: Units


class SettleMilliseconds(BaseModel):
    """From a request's row to its end, of what was executed; null where nothing was."""

    orders: int
    p50: int | None
    p90: int | None
    p99: int | None


class StatsView(BaseModel):
    """Counts of all orders there are; days and times of those executed since `since`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    by_status: dict[OrderStatus, int]
    by_stage: dict[Stage, int]
    days: list[DayView]
    settle_milliseconds: SettleMilliseconds
    since: datetime


def routes(store: "Store") -> APIRouter:
    """The route."""
    router = APIRouter(tags=["orders"])

    @router.get("/stats", responses=described(HTTPStatus.SERVICE_UNAVAILABLE))
    async def stats(
        days: Annotated[int, Query(ge=1, le=92, description="how many days back")] = 7,
    ) -> StatsView:
        """Counts by status and stage, volumes by day, percentiles of the time to settle."""
        return await read_stats(store, days, datetime.now(UTC))

    return router


async def read_stats(store: "Store", days: int, now: datetime) -> StatsView:
    """Two statements, however many orders there are."""
    since = now - timedelta(days=days)
    counts = await store.orders.counts()
    volumes = await store.stats.executed_since(since)
    p50, p90, p99 = (percentile(volumes.took, percent) for percent in _PERCENTS)
    newest = sorted(volumes.days.values(), key=lambda each: each.day, reverse=True)
    return StatsView(
        by_status=counts.by_status,
        by_stage=counts.by_stage,
        days=[DayView.model_validate(day) for day in newest],
        settle_milliseconds=SettleMilliseconds(orders=len(volumes.took), p50=p50, p90=p90, p99=p99),
        since=since,
    )
