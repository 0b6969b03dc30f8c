"""Server-sent events as a reader sees them, and the API on a real port."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import uvicorn
from fastapi import FastAPI

from bronco.processes import free_port
from tests.waiting import eventually


class Event(NamedTuple):
    kind: str
    data: Any
    place: str


class Events:
    """One stream; `next` waits for the next event, `place` is where to go on."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.place = ""
        self.comments = 0
        self._lines = response.aiter_lines()

    async def next(self, kind: str = "", seconds: float = 10.0) -> Event:
        """The next event, of this kind if one is named. EOFError: the stream ended."""
        async with asyncio.timeout(seconds):
            while True:
                found = await self._event()
                if not kind or found.kind == kind:
                    return found

    async def stages(self, count: int, seconds: float = 10.0) -> list[str]:
        return [(await self.next("order", seconds)).data["stage"] for _ in range(count)]

    async def _event(self) -> Event:
        fields: dict[str, str] = {}
        async for line in self._lines:
            if not line and "data" in fields:
                self.place = fields.get("id", self.place)
                data = json.loads(fields["data"])
                return Event(fields.get("event", ""), data, fields.get("id", ""))
            if not line:
                self.place = fields.get("id", self.place)
                fields = {}
            elif line.startswith(":"):
                self.comments += 1
            else:
                name, _, value = line.partition(": ")
                fields[name] = value
        raise EOFError


@contextlib.asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The app on a port: streams need a connection that stays open."""
    port = free_port()
    config = uvicorn.Config(app, port=port, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    # Not `serve`: it takes over the signals of the test run.
    serving = asyncio.create_task(server._serve())
    try:
        await eventually(lambda: server.started)
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, timeout=20) as http:
            yield http
    finally:
        app.state.hub.close()
        server.should_exit = True
        await serving


@contextlib.asynccontextmanager
async def following(
    http: httpx.AsyncClient, headers: dict[str, str], **params: str
) -> AsyncIterator[Events]:
    """An open stream."""
    async with http.stream("GET", "/events", headers=headers, params=params) as response:
        assert response.status_code == 200, await response.aread()
        yield Events(response)
