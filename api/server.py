"""The API as a process: its clients, its socket, and a clean end."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager

import uvicorn

from api.app import create_app
from api.dashboard.dev import DevTools
from api.switch import operator_client
from bronco import logs
from bronco.settings import Settings, variable
from clients.flags import Flags
from clients.rpc import Rpc
from clients.store import Store
from clients.vault import VaultClient
from models.errors import ConfigurationError

_GRACE_SECONDS = 5
_CHAIN_SECONDS = 2.0
_BACKLOG = 512
_UNREAD_MILLISECONDS = 30_000


async def serve(settings: Settings, tools: DevTools | None = None) -> None:
    """Answer requests until SIGINT or SIGTERM; starts whether or not the sources answer.

    tools: what the dashboard may do on a dev chain.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(_listen(settings.api.host, settings.api.port))
        store = Store(
            settings.database.url.get_secret_value(), pool_size=settings.database.pool_size
        )
        stack.callback(store.close)
        flags = Flags(settings.redis.url.get_secret_value())
        stack.push_async_callback(flags.close)
        temporal = settings.temporal
        client = await operator_client(temporal.address, temporal.namespace)
        rpc = Rpc(settings.chain.endpoints[0], timeout_seconds=_CHAIN_SECONDS)
        stack.push_async_callback(rpc.close)
        vault = VaultClient(rpc, chain_id=settings.chain.id, address=settings.chain.vault)

        async def decimals() -> int:
            return (await vault.usdt(await vault.head()))[1]

        app = create_app(settings, client, store, flags, decimals, tools)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, timeout_graceful_shutdown=_GRACE_SECONDS
        )
        host, port = listening.getsockname()[:2]
        logs.logger("api").info("api_listening", host=host, port=port)
        server = _Server(config)
        # A stream is a request that does not end: a stop would wait for it in vain.
        server.on_stop = app.state.hub.close
        await server.until_told(listening)
        logs.logger("api").info("api_stopped")


class _Server(uvicorn.Server):
    """Ends by returning: uvicorn's own handlers raise the signal again and kill what follows."""

    on_stop: Callable[[], None]

    async def until_told(self, listening: socket.socket) -> None:
        """Serve until SIGINT or SIGTERM."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        await self.serve(sockets=[listening])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to until_told."""
        yield

    def _stop(self) -> None:
        # A second time: do not wait for open requests.
        self.force_exit = self.should_exit
        self.should_exit = True
        self.on_stop()


def _listen(host: str, port: int) -> socket.socket:
    try:
        listening = socket.create_server((host, port), backlog=_BACKLOG, reuse_port=False)
    except OSError as error:
        said = f"cannot listen on {host}:{port}: {error.strerror or error}"
        raise ConfigurationError(variable("api", "port"), said) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Connections inherit it: a peer that takes nothing for so long is gone, whatever it says.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MILLISECONDS)
    return listening
