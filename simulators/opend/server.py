"""The listening sockets and the clock of one simulator."""

import asyncio
import dataclasses
import errno
from collections.abc import Awaitable, Callable
from contextlib import suppress

from simulators.opend import log, protocol, schema
from simulators.opend.arguments import words
from simulators.opend.book import Book
from simulators.opend.control_port import CHANGES, ControlPort
from simulators.opend.errors import OpenDError
from simulators.opend.gateway import Gateway
from simulators.opend.options import OpenDOptions
from simulators.opend.recording import Recorder
from simulators.opend.replay import Replay
from simulators.opend.scenario import check, load

CLOCK_SECONDS = 1.0
FASTEST_CLOCK_SECONDS = 0.01
# Requests of ten thousand orders' worth of JSON fit a line of the control port.
LINE_BYTES = 16 * 1024 * 1024

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class OpenDServer:
    """Start it, use `port` and `control_port`, close it. Several may run in one process."""

    def __init__(self, options: OpenDOptions) -> None:
        self._options = options
        self.port, self.control_port = options.port, options.control_port or 0
        if options.control_port is None and options.port:
            self.control_port = options.port + 1
        self.gateway: Gateway
        self.control: ControlPort
        self._recorder: Recorder | None = None
        self._api: asyncio.Server | None = None
        self._control: asyncio.Server
        self._tasks: list[asyncio.Task[None]] = []
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Opens the books and listens on both ports; what it opened is closed if it fails.

        Raises:
            OpenDError: futu-api is not installed, the state file or the key cannot be used, or a
                port is taken.
        """
        schema.load_all()
        protocol.Cipher(self._options.rsa_key)  # a bad key fails here, not at the first client
        self.gateway = Gateway(self._options)
        try:
            self._prepare()
            await self._listen_on_both()
        except BaseException:
            self.refuse()
            self._close_files()
            raise
        self.gateway.venue.resume()
        if self._recorder:
            self._recorder.start()
        if self.gateway.replay:
            self.gateway.replay.start()
        self._tasks.append(asyncio.create_task(self._clock()))
        if self._options.price_interval_seconds > 0:
            self._tasks.append(asyncio.create_task(self._prices()))
        log.event("listening", port=self.port, control_port=self.control_port)

    def _prepare(self) -> None:
        """The control port, what records it and what plays on it."""
        options, gateway, book = self._options, self.gateway, self.gateway.venue.book
        if options.record:
            if book.orders:
                raise OpenDError("A recording begins with no orders: give --state a new name.")
            still = dataclasses.replace(options, price_interval_seconds=0.0)
            self._recorder = Recorder(
                options.record, words(still), lambda text: _number(book, text)
            )
            gateway.observers.append(self._recorder)
        self.control = ControlPort(gateway, self.listen, self.refuse, self._recorder)
        if options.scenario:
            scenario = load(options.scenario)
            check(scenario, options.scenario, CHANGES)
            gateway.replay = Replay(scenario, self.control.perform, options.speed)
            gateway.observers.append(gateway.replay)

    async def _listen_on_both(self) -> None:
        host, control = self._options.host, self.control
        try:
            await self.listen()
        except OSError as error:
            raise _cannot_listen(host, self.port, "--port", error) from error
        try:
            self._control = await asyncio.start_server(
                self._tracked(control.serve), host, self.control_port, limit=LINE_BYTES
            )
        except OSError as error:
            raise _cannot_listen(host, self.control_port, "--control-port", error) from error
        self.control_port = _port(self._control)

    async def close(self) -> None:
        """Stops everything this server started and releases the state file."""
        self.refuse()
        self._control.close()
        self.gateway.drop_all()
        for task in (*self._tasks, *self._serving):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._serving, return_exceptions=True)
        if self.gateway.replay:
            await self.gateway.replay.close()
        self._close_files()

    def _close_files(self) -> None:
        self.gateway.venue.close()
        if self._recorder:
            self._recorder.close()

    async def listen(self) -> None:
        """Accepts connections, on the same port as before if it ever did."""
        if self._api is None:
            self._api = await asyncio.start_server(
                self._tracked(self.gateway.serve), self._options.host, self.port
            )
            self.port = _port(self._api)

    def refuse(self) -> None:
        """Stops accepting; open connections stay."""
        if self._api is not None:
            self._api.close()
            self._api = None

    def _tracked(self, serve: Serve) -> Callable[..., None]:
        """Runs a connection in a task that `close` ends; start_server's own tasks outlive it."""

        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.CancelledError, ConnectionError):
                await serve(reader, writer)

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(run(reader, writer))
            self._serving.add(task)
            task.add_done_callback(self._served)

        return accept

    def _served(self, task: asyncio.Task[None]) -> None:
        self._serving.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.LOGGER.error("connection_failed", exc_info=error)

    async def _clock(self) -> None:
        while True:
            # A clock that was set may pass a whole session in seconds.
            speed = self._options.speed if self.gateway.clock.is_set else 1.0
            await asyncio.sleep(max(FASTEST_CLOCK_SECONDS, CLOCK_SECONDS / speed))
            self.gateway.venue.watch_clock()
            self.gateway.drop_silent()

    async def _prices(self) -> None:
        while True:
            await asyncio.sleep(self._options.price_interval_seconds / self._options.speed)
            await self.control.perform("step")


def _cannot_listen(host: str, port: int, option: str, error: OSError) -> OpenDError:
    if error.errno == errno.EADDRINUSE:
        return OpenDError(
            f"Port {port} of {host} is taken, perhaps by another OpenD: "
            f"stop that, or choose another {option} (0 takes any free one)."
        )
    return OpenDError(f"Cannot listen on {host}, port {port}: {error.strerror or error}.")


def _number(book: Book, order_id: str) -> str:
    order = book.orders.get(int(order_id)) if order_id.isdecimal() else None
    return book.number(order) if order else order_id


def _port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])
