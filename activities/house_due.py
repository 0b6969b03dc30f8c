"""What the house is due of the broker's fills, and what is booked for it although it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activities.observations import no_longer_due
from activities.reconcile_view import View, busy
from models.cases import FOREIGN, Case, HouseDue, house_due, house_missing

if TYPE_CHECKING:
    from clients.store.store import Store


async def due_and_stale(view: View, store: Store) -> tuple[list[HouseDue], list[HouseDue]]:
    """Fills that no request may claim and that are not booked yet; and what is too much."""
    quiet = quiet_cases(view)
    due = [*view.traded, *(one for case in quiet.values() for one in house_due(case))]
    named = {one.broker_order_id for one in due}
    booked = [row for one in sorted(named) for row in await store.house.booked(one)]
    missing, stale = house_missing(due, booked)
    stale += [
        no_longer_due(row)
        for row in view.house
        if row.request_id in quiet
        and row.broker_order_id not in named
        # Its order has no claim that would bring it back into view.
        and row.cause != FOREIGN
    ]
    return missing, stale


def quiet_cases(view: View) -> dict[str, Case]:
    """Requests whose vault status is known, and that have no step in flight."""
    return {case.request_id: case for case in view.cases if case.asked and not busy(case)}
