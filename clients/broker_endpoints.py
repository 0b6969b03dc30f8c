"""The OpenDs of a broker account: which one is heard, and what may still be inside of each.

A request that was sent to an OpenD which then froze, or was cut off, is executed when that one goes
on, however late. So an order that another OpenD does not show is proven absent only for the time
before which the first one was heard again, or refused: a process that is gone holds nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from bronco.metrics import BROKER_ENDPOINT_UP, BROKER_ENDPOINT_USED
from clients.futu_link import Link

_NEVER = datetime.fromtimestamp(0, UTC)


class Endpoint(NamedTuple):
    """Where an OpenD listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Hearing:
    """What is known of one OpenD by looking at it again and again.

    settled: nothing sent to it before this moment (UTC) is still inside of it. It was heard from
    then on without a break, for at least `settle`.
    """

    def __init__(self, settle: timedelta) -> None:
        self.settled = _NEVER
        self._settle = settle
        self._since: datetime | None = None

    def tell(self, heard: bool, at: datetime) -> None:
        """A look that began at `at`. heard: it answered and is logged in, or nobody listens."""
        if not heard:
            self._since = None
            return
        self._since = self._since or at
        if at - self._since >= self._settle:
            self.settled = max(self.settled, at - self._settle)


class Watched(NamedTuple):
    """One OpenD, the link that looks at it, and what that found."""

    endpoint: Endpoint
    link: Link
    hearing: Hearing


class Endpoints:
    """All of them, and the one in use. With a single one nothing is looked at: there is no other.

    watch: makes the link that looks at an endpoint and tells its Hearing.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        settle: timedelta,
        watch: Callable[[Endpoint, Hearing], Link],
    ) -> None:
        self.used = endpoints[0]
        self._watched: list[Watched] = []
        for endpoint in endpoints if len(endpoints) > 1 else ():
            hearing = Hearing(settle)
            self._watched.append(Watched(endpoint, watch(endpoint, hearing), hearing))

    @property
    def several(self) -> bool:
        """Whether there is another one to go to."""
        return bool(self._watched)

    @property
    def settled(self) -> datetime:
        """Nothing sent before this (UTC) is still inside an OpenD that is not in use."""
        others = (each.hearing.settled for each in self._watched if each.endpoint != self.used)
        return min(others, default=datetime.max.replace(tzinfo=UTC))

    def start(self) -> None:
        """Begin to look."""
        for each in self._watched:
            each.link.start()

    async def close(self) -> None:
        """Look no more."""
        await asyncio.gather(*(each.link.close() for each in self._watched))

    def next(self) -> Endpoint | None:
        """The next one, in the order of the setting, that answers; None: no other does."""
        names = [each.endpoint for each in self._watched]
        start = names.index(self.used) + 1 if self._watched else 0
        turned = self._watched[start:] + self._watched[:start]
        up = (each.endpoint for each in turned if each.link.up and each.endpoint != self.used)
        return next(up, None)

    def report(self, healthy: bool) -> None:
        """Tell the metrics. healthy: whether the one in use serves all our links."""
        BROKER_ENDPOINT_UP.labels(str(self.used)).set(healthy)
        BROKER_ENDPOINT_USED.labels(str(self.used)).set(1)
        for each in self._watched:
            if each.endpoint != self.used:
                BROKER_ENDPOINT_UP.labels(str(each.endpoint)).set(each.link.up)
                BROKER_ENDPOINT_USED.labels(str(each.endpoint)).set(0)
