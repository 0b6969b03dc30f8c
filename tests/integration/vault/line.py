"""A WebSocket line to anvil on which something goes wrong, by the dice of one seed."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bronco.processes import free_port

Json = dict[str, Any]
Frame = str | bytes
Play = Callable[["Line", "Talk", Json], Awaitable[list[Frame]]]
"""Given one message of anvil's, what the watch gets in its place."""


class Talk:
    """One connection. mood: a throw of the dice that holds for it. frames: passed so far."""

    def __init__(self, socket: ServerConnection, mood: float) -> None:
        self.socket = socket
        self.mood = mood
        self.frames = 0
        self.held: list[Frame] = []
        self.subscriptions: list[str] = []

    def write(self, raw: bytes) -> None:
        """Bytes that no library would write; nothing when the connection is over."""
        with contextlib.suppress(RuntimeError):
            self.socket.transport.write(raw)


class Line:
    """Passes on what anvil says until `calm`, and plays one kind of trouble with it before."""

    def __init__(self, kind: str, play: Play, target: str, dice: random.Random) -> None:
        self.kind = kind
        self.dice = dice
        self.calm = False
        self.troubles = 0
        self.last: dict[str, Json] = {}
        self.url = ""
        self._play = play
        self._target = target
        self._server: Server | None = None
        self._port = free_port()
        self._talks: list[Talk] = []
        self._one = asyncio.Lock()
        self._restart: asyncio.Task[None] | None = None

    def chance(self, share: float) -> bool:
        """Whether it happens this time."""
        return self.dice.random() < share

    async def up(self) -> None:
        """Listen, always on the same port."""
        self._server = await serve(self._handle, "127.0.0.1", self._port, ping_interval=None)
        self.url = f"ws://127.0.0.1:{self._port}"

    async def down(self) -> None:
        """Nobody listens any more, and all connections are cut."""
        assert self._server is not None
        self._cut()
        self._server.close(close_connections=False)
        await self._server.wait_closed()

    async def restart(self, seconds: float) -> None:
        """Be gone for so long; asked from within a connection, which ends with it."""

        async def away() -> None:
            async with self._one:
                await self.down()
                await asyncio.sleep(seconds)  # how long it is down is what is tested
                await self.up()

        self._restart = asyncio.create_task(away())

    async def end(self) -> None:
        """For good, after a restart that is still under way."""
        async with self._one:
            await self.down()

    def _cut(self) -> None:
        for talk in self._talks:
            talk.socket.transport.abort()
        self._talks.clear()

    async def _handle(self, socket: ServerConnection) -> None:
        self._cut()  # one watch, one connection: what it left half open is over
        talk = Talk(socket, self.dice.random())
        self._talks.append(talk)
        with contextlib.suppress(ConnectionClosed):
            async with connect(self._target, ping_interval=None, max_size=None) as anvil:
                asking = asyncio.create_task(_ask(socket, anvil))
                try:
                    async for frame in anvil:
                        for told in await self._tell(talk, json.loads(frame)):
                            await socket.send(told)
                finally:
                    asking.cancel()

    async def _tell(self, talk: Talk, message: Json) -> list[Frame]:
        talk.frames += 1
        if "id" in message:
            talk.subscriptions.append(message["result"])
        else:
            result = message["params"]["result"]
            self.last["log" if "topics" in result else "head"] = result
        if self.calm:
            held, talk.held = talk.held, []
            return [*held, json.dumps(message)]
        return await self._play(self, talk, message)


async def _ask(socket: ServerConnection, anvil: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for frame in socket:
            await anvil.send(frame)
    await anvil.close()


@asynccontextmanager
async def line(kind: str, play: Play, target: str, seed: int) -> AsyncIterator[Line]:
    """A line that listens; the same kind and seed throw the same dice."""
    made = Line(kind, play, target, random.Random(f"{kind}-{seed}"))
    await made.up()
    try:
        yield made
    finally:
        await made.end()
