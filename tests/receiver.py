"""Somebody who is told by webhooks: a real server that can fail, be slow, and come back."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from aiohttp import web
from standardwebhooks import Webhook

from bronco.processes import free_port


class Told(NamedTuple):
    """One post as it came."""

    id: str
    headers: dict[str, str]
    body: str

    @property
    def data(self) -> Any:
        return json.loads(self.body)["data"]

    def verify(self, secret: str) -> None:
        """Raises unless the signature is of this secret."""
        Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """status: what it answers. slow: seconds it takes. told: everything that came."""

    def __init__(self) -> None:
        self.port = free_port()
        self.status = 200
        self.slow = 0.0
        self.headers: dict[str, str] = {}
        self.told: list[Told] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        return [each.id for each in self.told]

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.told.append(Told(headers["webhook-id"], headers, await request.text()))
        if self.slow:
            await asyncio.sleep(self.slow)
        return web.Response(status=self.status, text="as told", headers=self.headers)


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", receiver.port).start()
    try:
        yield receiver
    finally:
        await runner.cleanup()
