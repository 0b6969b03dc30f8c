"""A way to one simulator that can freeze, as an OpenD does, or be gone with all that is inside."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from bronco.processes import free_port


class Proxy:
    """Forwards bytes. Frozen it still takes connections and bytes, and delivers them on thaw."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        self.delay = 0.0
        self._odd = False

    @property
    def where(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def freeze(self) -> None:
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    async def kill(self) -> None:
        """Gone: nobody listens, what was not delivered never is."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._thawed.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._keep(self._serve(reader, writer))

    def _keep(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await self._join(reader, writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._thawed.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            away, home = (self._keep(self._pump(*way)) for way in ((reader, back), (there, writer)))
            try:
                # What came in is delivered also when its sender has gone.
                await asyncio.wait({away, home}, return_when=asyncio.FIRST_COMPLETED)
                await self._thawed.wait()
                if not away.done() and reader.at_eof():
                    await away
            finally:
                away.cancel()
                home.cancel()
                back.close()
        finally:
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                await self._thawed.wait()
                # The way is longer, every other time.
                self._odd = not self._odd
                if self.delay and self._odd:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def proxies(target: int, count: int) -> AsyncIterator[list[Proxy]]:
    made = [Proxy(target) for _ in range(count)]
    for proxy in made:
        await proxy.listen()
    try:
        yield made
    finally:
        for proxy in made:
            await proxy.kill()
