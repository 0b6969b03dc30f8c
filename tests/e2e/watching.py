"""A stack that a real Prometheus looks at, and what makes its data older than it is."""

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy

from bronco.deployment import DevChainPlan
from bronco.stack import stack
from clients.store.engine import create_database_engine
from models.messages import ReconcileResult
from models.requests import QUEUE_MAIN, RECONCILE_SCHEDULE_ID
from tests.alerting import rules
from tests.e2e.collector import Collector, collector
from tests.e2e.desk import USERS, Desk, opened, options
from tests.e2e.lookout import Lookout, lookout

TOKEN = "planted-collector-token"
OLD = "AttestationOld"
"""Nobody attests on a chain that was made a moment ago."""


class Watched(NamedTuple):
    """A desk, who looks at it, and where its spans go."""

    desk: Desk
    look: Lookout
    collected: Collector


@asynccontextmanager
async def watching(home: Path, **settings: str) -> AsyncIterator[Watched]:
    """A stack with nothing wrong, and Prometheus, which says so."""
    more: dict[str, Any] = settings
    async with AsyncExitStack() as leaving:
        collected = await leaving.enter_async_context(collector())
        key_file = home / "webhook.key"
        key_file.write_text(secrets.token_urlsafe(32))
        key_file.chmod(0o600)
        chosen = options(
            home,
            plan=DevChainPlan(users=USERS),
            metrics_every_seconds="0.5",
            broker_silent_seconds="2",
            # Long enough that an unknown outcome is seen to be old before it is known.
            orders_unknown_fence_seconds="4",
            limits_hour_batches="100000",
            webhook_key_file=str(key_file),
            webhook_allow_http="true",
            webhook_allow_networks="127.0.0.0/8",
            webhook_retry_seconds="1",
            traces_url=collected.url,
            traces_headers=f"authorization=Bearer {TOKEN}",
            **more,
        )
        running = await leaving.enter_async_context(stack(chosen))
        desk = await leaving.enter_async_context(opened(running))
        await reconcile(desk)
        look = await leaving.enter_async_context(lookout(running, home / "prometheus"))
        await desk.client.get_schedule_handle(RECONCILE_SCHEDULE_ID).pause()
        await look.is_quiet(*(rule["alert"] for rule in rules() if rule["alert"] != OLD))
        yield Watched(desk, look, collected)


async def reconcile(desk: Desk) -> None:
    """As its schedule does, only now."""
    await desk.client.execute_workflow(
        "ReconcileWorkflow",
        id=f"reconcile-{uuid.uuid4().hex}",
        task_queue=QUEUE_MAIN,
        result_type=ReconcileResult,
    )


async def write(desk: Desk, statement: str, **values: object) -> None:
    """Change the database behind everybody's back."""

    def work() -> None:
        engine = create_database_engine(desk.stack.database_url)
        with engine.begin() as connection:
            assert connection.execute(sqlalchemy.text(statement), values).rowcount
        engine.dispose()

    await asyncio.to_thread(work)


async def age(desk: Desk, table: str, column: str = "created_at", where: str = "1 = 1") -> None:
    """Make rows an hour older."""
    earlier = (
        f"datetime({column}, '-1 hour')"
        if desk.stack.database_url.startswith("sqlite")
        else f"{column} - INTERVAL 1 HOUR"
    )
    await write(desk, f"UPDATE {table} SET {column} = {earlier} WHERE {where}")
