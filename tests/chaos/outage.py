"""An outage of OpenD that takes its real time, on a stack of its own, beside other tests."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bronco.stack import stack
from clients.wallet import Requested
from models.order import Order, Stage
from tests.e2e.desk import ONE_SHARE, QUICK, Desk, opened, options
from tests.e2e.ledger import Holdings, holdings
from tests.waiting import eventually

WAITING = 20
DOWN_SECONDS = 60.0
TRIES = 3
"""As in production: so many answers of the broker end an order."""
# The account's windows have tests of their own; every wait and every number of tries is as a
# deployment has them.
_WINDOWS = {
    name: value for name, value in QUICK.items() if name.endswith(("_LIMIT", "_GAP_SECONDS"))
}


@dataclass(frozen=True)
class Outage:
    """OpenD is dead and orders wait for it. over: their rows just before it was started again."""

    desk: Desk
    made: Sequence[Requested]
    before: Holdings
    over: asyncio.Task[list[Order]]


@asynccontextmanager
async def opend_dies(directory: Path) -> AsyncIterator[Outage]:
    """Kill OpenD, send deposits, and start it again when its time has passed."""
    chosen = replace(options(directory), settings=_WINDOWS)
    async with stack(chosen) as running, opened(running) as desk:
        assert running.settings.orders.tries == TRIES
        before = await holdings(desk)
        await running.opend.kill()
        since = time.monotonic()
        made = await desk.deposits(WAITING, ONE_SHARE)
        await desk.all_at(made, Stage.HELD)
        over = asyncio.create_task(_wait_and_start(desk, made, since))
        try:
            yield Outage(desk, made, before, over)
        finally:
            over.cancel()


async def _wait_and_start(desk: Desk, made: Sequence[Requested], since: float) -> list[Order]:
    await eventually(
        lambda: time.monotonic() - since >= DOWN_SECONDS, timeout=DOWN_SECONDS + 30, interval=0.5
    )
    # If a link that is down counted as a try, all of them would have been given back by now.
    for one in made:
        await desk.looked_again(one, times=TRIES + 1)
    rows = await desk.all_at(made, Stage.HELD)
    await desk.stack.opend.start()
    return rows
