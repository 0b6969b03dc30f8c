"""Wake-ups over WebSocket: something may have happened, look at the chain.

Nothing here is a source of truth. A wake-up that is lost, doubled, late or invented costs at most
one needless look, because whoever waits also wakes by itself. So the reader below never parses
further than it must, never calls back, and keeps only a bounded number of hints. Built on
`websockets` rather than web3's provider: docs/decisions/012-websocket-wake-ups.md.
"""

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from eth_utils.address import to_checksum_address
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from clients.answers import decoded
from clients.sender import vault_events
from models.chain import VaultEvent

# A peer that stops answering is noticed within 20 s.
_PING_SECONDS = 10.0
# Three mainnet slots of 12 s: https://ethereum.org/en/developers/docs/blocks/#block-time
_SILENCE_SECONDS = 36.0
# ... and five: then another endpoint is tried.
_OTHER_SECONDS = 60.0
_FAILURES_HERE = 2
_OPEN_SECONDS = 10.0
_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
_MAX_HINTS = 10_000
_PROBLEM_LENGTH = 300
_HEADS_ID, _LOGS_ID = 1, 2


class Wake(NamedTuple):
    """Why a wait ended. heads: new ones since the last wait. events: hints, never the truth.

    resumed: the connection was (re)made, so anything may have been missed.
    """

    heads: int
    events: tuple[VaultEvent, ...]
    resumed: bool

    @property
    def idle(self) -> bool:
        """Whether only the time had passed."""
        return not (self.heads or self.events or self.resumed)


class Polling:
    """The same wait without a WebSocket: only time passes, the look at the chain is the truth."""

    problem = ""

    async def __aenter__(self) -> "Polling":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def wait(self, *, timeout_seconds: float) -> Wake:
        """An idle Wake after the time-out."""
        await asyncio.sleep(timeout_seconds)
        return Wake(0, (), False)


class HeadWatch:
    """Stays subscribed to new heads and the vault's logs until closed.

    async with HeadWatch([url], vault) as watch: await watch.wait(timeout_seconds=3)

    No head for silence_seconds: a new connection. None for other_seconds, or nobody there twice in
    a row: the next of the endpoints.
    """

    def __init__(
        self,
        urls: Sequence[str],
        vault: str,
        *,
        ping_seconds: float = _PING_SECONDS,
        silence_seconds: float = _SILENCE_SECONDS,
        other_seconds: float = _OTHER_SECONDS,
        open_seconds: float = _OPEN_SECONDS,
        backoff_seconds: Sequence[float] = _BACKOFF_SECONDS,
        max_hints: int = _MAX_HINTS,
    ) -> None:
        self._urls = tuple(urls)
        self._vault = to_checksum_address(vault)
        self._ping_seconds = ping_seconds
        self._silence_seconds = silence_seconds
        self._other_seconds = other_seconds
        self._open_seconds = open_seconds
        self._backoff = tuple(backoff_seconds)
        self._wake = asyncio.Event()
        self._hints: deque[VaultEvent] = deque(maxlen=max_hints)
        self._heads = 0
        self._quiet_since = self._connected_at = 0.0
        self._resumed = False
        self._task: asyncio.Task[None] | None = None
        self.connected = False
        self.connections = 0
        self.endpoint = 0
        self.last_problem = ""

    @property
    def problem(self) -> str:
        """Why no wake-ups come, once that has lasted; they are late then, not lost."""
        quiet = asyncio.get_running_loop().time() - self._connected_at
        return "" if self.connected or quiet < self._other_seconds else self.last_problem

    async def __aenter__(self) -> "HeadWatch":
        self._task = asyncio.create_task(self._supervise(), name="head-watch")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def wait(self, *, timeout_seconds: float) -> Wake:
        """What happened since the last wait, or an idle Wake after the time-out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._wake.wait()
        if self._task is not None and self._task.done():
            self._task.result()  # a bug of ours ended it: say so, rather than go quiet
        self._wake.clear()
        found = Wake(self._heads, tuple(self._hints), self._resumed)
        self._heads, self._resumed = 0, False
        self._hints.clear()
        return found

    async def _supervise(self) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        self._quiet_since = self._connected_at = loop.time()
        while True:
            # A connection that ends well, badly or in silence is over all the same.
            before = self.connections
            try:
                await self._follow()
                self.last_problem = "closed by the endpoint"
            except (OSError, WebSocketException, TimeoutError, ValueError) as error:
                self.last_problem = f"{type(error).__name__}: {error}"[:_PROBLEM_LENGTH]
            if self.connected:
                self.connected, self._connected_at = False, loop.time()
            failures = 0 if self.connections > before else failures + 1
            quiet = loop.time() - self._quiet_since
            if failures >= _FAILURES_HERE or quiet >= self._other_seconds:
                self.endpoint = (self.endpoint + 1) % len(self._urls)
                self._quiet_since = loop.time()
            pause = self._backoff[min(failures, len(self._backoff) - 1)]
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def _follow(self) -> None:
        async with connect(
            self._urls[self.endpoint],
            ping_interval=self._ping_seconds,
            ping_timeout=self._ping_seconds,
            open_timeout=self._open_seconds,
            close_timeout=1,
            max_queue=1024,
        ) as socket:
            subscriptions = await self._subscribe(socket)
            self.connected, self._resumed = True, True
            self.connections += 1
            self._wake.set()
            await self._read(socket, subscriptions)

    async def _subscribe(self, socket: ClientConnection) -> dict[str, set[int]]:
        """Subscribe to both, by the id the endpoint gives. Notifications may already mix in."""
        wanted = {_HEADS_ID: ["newHeads"], _LOGS_ID: ["logs", {"address": self._vault}]}
        for call_id, params in wanted.items():
            call = {"jsonrpc": "2.0", "id": call_id, "method": "eth_subscribe", "params": params}
            await socket.send(json.dumps(call))
        subscriptions: dict[str, set[int]] = {}
        answered: set[int] = set()
        async with asyncio.timeout(self._open_seconds):
            while answered != set(wanted):
                message = _message(await socket.recv())
                answer_to = message.get("id")
                if isinstance(answer_to, int) and answer_to in wanted:
                    # Some give one id to both: then the content says which of them it is.
                    subscriptions.setdefault(_subscription(message), set()).add(answer_to)
                    answered.add(answer_to)
        return subscriptions

    async def _read(self, socket: ClientConnection, subscriptions: dict[str, set[int]]) -> None:
        loop = asyncio.get_running_loop()
        # Reconnected for want of a head, this endpoint has until its longer time is up.
        quiet = loop.time() - self._quiet_since
        limit = self._silence_seconds if quiet < self._silence_seconds else self._other_seconds
        while True:
            async with asyncio.timeout_at(self._quiet_since + limit):
                message = _message(await socket.recv())
            params = message.get("params")
            if not isinstance(params, dict):
                continue  # a stray answer or error: nobody asked anything
            kinds = subscriptions.get(str(params.get("subscription")), set())
            result = params.get("result")
            if _HEADS_ID in kinds and (len(kinds) == 1 or not _is_log(result)):
                self._quiet_since, limit = loop.time(), self._silence_seconds
                self._heads += 1
                self._wake.set()
            elif _LOGS_ID in kinds:
                self._hint(result)

    def _hint(self, log: Any) -> None:
        try:
            self._hints.extend(vault_events([log], self._vault))
        except Exception as error:  # whatever it is made of, it must not end the watch
            self.last_problem = f"a log that is none: {type(error).__name__}"
        self._wake.set()


def _message(frame: str | bytes) -> dict[str, Any]:
    try:
        found = decoded(frame)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_log(result: Any) -> bool:
    return isinstance(result, dict) and "topics" in result


def _subscription(message: dict[str, Any]) -> str:
    if not isinstance(message.get("result"), str):
        raise ValueError(f"the endpoint refused a subscription: {message.get('error')}")
    return str(message["result"])
