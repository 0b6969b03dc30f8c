"""Whether this process lives, and whether it can do its work."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict
from temporalio.client import Client
from temporalio.exceptions import TemporalError

from bronco.logs import Redaction
from models.errors import BroncoError

if TYPE_CHECKING:
    from clients.flags import Flags
    from clients.store import Store

Check = Callable[[], Awaitable[object]]
CHECK_SECONDS = 2.0


class CheckResult(BaseModel):
    """One dependency: whether it answered, how fast, and what it said if not."""

    ok: bool
    milliseconds: int
    detail: str = ""


class Readiness(BaseModel):
    """ready = every dependency answered."""

    ready: bool
    checks: dict[str, CheckResult]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"ready": True, "checks": {"temporal": {"ok": True, "milliseconds": 3}}},
            ]
        }
    )


def checks_of(client: Client, store: "Store", flags: "Flags") -> dict[str, Check]:
    """What the API needs."""

    async def temporal() -> None:
        if not await client.service_client.check_health(timeout=timedelta(seconds=CHECK_SECONDS)):
            raise ConnectionError("the Temporal frontend says it is not serving")

    return {"temporal": temporal, "database": store.ping, "redis": flags.ping}


async def examine(checks: Mapping[str, Check], blot: Redaction) -> Readiness:
    """Ask every dependency at the same time, each for CHECK_SECONDS at most."""
    results = await asyncio.gather(*(_timed(check, blot) for check in checks.values()))
    named = dict(zip(checks, results, strict=True))
    return Readiness(ready=all(result.ok for result in results), checks=named)


_ALIVE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": {"ok": True}}}}
}


def routes(checks: Mapping[str, Check], blot: Redaction) -> APIRouter:
    """The health routes."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", responses=_ALIVE)
    async def healthz() -> dict[str, bool]:
        """This process answers."""
        return {"ok": True}

    @router.get("/readyz", responses={503: {"model": Readiness, "description": "Not ready"}})
    async def readyz(response: Response) -> Readiness:
        """Temporal, database and Redis answer."""
        readiness = await examine(checks, blot)
        if not readiness.ready:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return readiness

    return router


async def _timed(check: Check, blot: Redaction) -> CheckResult:
    begun = time.monotonic()
    detail = ""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except TimeoutError:
        detail = f"no answer within {CHECK_SECONDS:g} s"
    except (BroncoError, TemporalError, OSError, RuntimeError) as error:
        # RuntimeError: how temporalio reports a first connection that fails.
        detail = blot.text(str(error)) or type(error).__name__
    spent = int((time.monotonic() - begun) * 1000)
    return CheckResult(ok=not detail, milliseconds=spent, detail=detail)
