"""A JSON-RPC endpoint between us and anvil that misbehaves on request."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, web

Json = dict[str, Any]
# Given one call and its true answer, what the endpoint says. None: it hangs up without an answer;
# a string: that, whatever was asked.
Tamper = Callable[[Json, Json], Json | str | None]


@asynccontextmanager
async def endpoint(target: str, tamper: Tamper) -> AsyncIterator[str]:
    """An endpoint that forwards to `target` and tampers with each answer; gives its URL."""

    session = ClientSession()

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        async with session.post(target, json=body) as answer:
            truth = await answer.json()
        calls, truths = (body, truth) if isinstance(body, list) else ([body], [truth])
        told = [tamper(call, true) for call, true in zip(calls, truths, strict=True)]
        if None in told:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(told[0], str):
            return web.Response(text=told[0], content_type="application/json")
        return web.json_response(told if isinstance(body, list) else told[0])

    async with session, served(handle) as url:
        yield url


@asynccontextmanager
async def answering(status: int, text: str) -> AsyncIterator[str]:
    """An endpoint with one answer to everything; gives its URL."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type="application/json")

    async with served(handle) as url:
        yield url


@asynccontextmanager
async def served(handle: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def is_view(call: Json, selector: str) -> bool:
    """Whether the call is an eth_call of the function with this selector."""
    return call["method"] == "eth_call" and json.dumps(call["params"]).find(selector) >= 0
