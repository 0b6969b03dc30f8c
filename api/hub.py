"""What happens, as it happens, for any number of readers of this process.

    hub = Hub(store, flags)
    async for change in hub.subscribe():            # from now on; the holds come first
        change.kind, change.data, change.place
    async for change in hub.subscribe(after=place): # everything later than a place, without a gap

One poller reads the store, a few times a second and only while somebody listens; what a reader
costs is a queue. A change may come twice, never not at all: `data` is the whole state of the order
or of control as of then, so that the last one seen counts. The loop ends, and the reader comes back
with the last place it saw, when the process stops, when it read too slowly, and after
`stream_seconds`, since its key may have been revoked.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from typing import TYPE_CHECKING, NamedTuple

from api.control import PauseStatus
from api.happened import ALL_KINDS, Happened, Kind, wanted
from api.views import OrderView
from bronco import metrics
from bronco.logs import logger
from models.changes import Change, ChangeKind
from models.control import ControlState
from models.errors import RetryableError, SourceBusy, SourceUnavailable

if TYPE_CHECKING:
    from clients.flags import Flags
    from clients.store import Store

_log = logger("api")
_POLL_SECONDS = 0.25
_HALT_SECONDS = 1.0
_PAGE = 500
_QUEUE = 2_000
"""Changes a reader may be behind; 500 orders that all end at once are as many."""
_RETRY_SECONDS = 5.0


class HubOptions(NamedTuple):
    """readers: as many at a time. Times: seconds."""

    readers: int = 200
    stream_seconds: float = 900.0


class Reader:
    """One subscription. place: where to go on after all that was handed out and dealt with."""

    def __init__(self, hub: "Hub", after: int | None, seconds: float) -> None:
        self._hub = hub
        self._after = after
        self._until = time.monotonic() + seconds
        self._queue: asyncio.Queue[Happened | None] = asyncio.Queue(_QUEUE)
        self.begun = 0
        self.place = after

    @property
    def starts_at(self) -> int:
        """The place that everything it is told comes after."""
        return self.begun if self._after is None else self._after

    async def __aiter__(self) -> AsyncIterator[Happened]:
        """Each change, until it ends; what comes next counts as dealt with the one before."""
        async with contextlib.aclosing(self._all()) as changes:
            async for change in changes:
                yield change
                self.place = self.place if change.place is None else change.place

    def take(self, change: Happened) -> None:
        """Have it read this; a reader that is too far behind is cut."""
        try:
            self._queue.put_nowait(change)
        except asyncio.QueueFull:
            _log.info("stream_too_slow")
            self.cut()

    def cut(self) -> None:
        """End it: what it has not read is in the store, from where it goes on."""
        self.leave()
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    def leave(self) -> None:
        """End it. More than once is harmless."""
        self._hub.forget(self)

    async def _all(self) -> AsyncGenerator[Happened, None]:
        yield self._hub.how_control_stands()
        if self._after is not None:
            async for change in self._hub.missed(self._after, self.begun):
                yield change
        while (left := self._until - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    next_one = await self._queue.get()
            except TimeoutError:
                return
            if next_one is None:
                return
            yield next_one


class Hub:
    """Fans changes out; `close` ends every subscription."""

    def __init__(self, store: "Store", flags: "Flags", options: HubOptions | None = None) -> None:
        self._store = store
        self._flags = flags
        self._options = options or HubOptions()
        self._readers: set[Reader] = set()
        self._poller: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._place = 0
        self._control: PauseStatus | None = None
        self._halt_asked = 0.0
        self._closed = False

    async def subscribe(
        self,
        after: int | None = None,
        *,
        kinds: Collection[Kind] = ALL_KINDS,
        order: str = "",
    ) -> AsyncIterator[Happened]:
        """Changes after a place, or from now on; first of all how control stands.

        order: any id of the one order to be told of. RESET is told whatever is asked for.

        Raises:
            SourceBusy: as many read already as may.
            SourceUnavailable: the store cannot be asked where we are.
        """
        reader = await self.join(after)
        try:
            async for change in reader:
                if wanted(change, kinds, order):
                    yield change
        finally:
            reader.leave()

    async def join(self, after: int | None = None) -> "Reader":
        """A subscription that was begun; whoever has it calls `leave`. Raises as `subscribe`."""
        if self._closed or len(self._readers) >= self._options.readers:
            raise SourceBusy("this process", "following changes", _RETRY_SECONDS)
        reader = Reader(self, after, self._options.stream_seconds)
        self._readers.add(reader)
        metrics.STREAMS.set(len(self._readers))
        try:
            reader.begun = await self._begun()
        except BaseException:
            self.forget(reader)
            raise
        return reader

    def forget(self, reader: "Reader") -> None:
        """Tell it nothing more."""
        self._readers.discard(reader)
        metrics.STREAMS.set(len(self._readers))

    def close(self) -> None:
        """End all subscriptions and take no more: the process stops."""
        self._closed = True
        for reader in tuple(self._readers):
            reader.cut()
        if self._poller is not None:
            self._poller.cancel()

    async def missed(self, after: int, until: int) -> AsyncIterator[Happened]:
        """What was told before a reader came; its queue holds all that is later."""
        span = await self._store.changes.span()
        if after > span.newest or after < span.oldest - 1:
            # The log was cut off, or is another one than the place is of.
            yield Happened(Kind.RESET, {"oldest": span.oldest, "newest": span.newest}, until)
            return
        while after < until:
            page = await self._store.changes.after(after, _PAGE)
            for change in page:
                if (change.seq or 0) > until:
                    return
                yield self._told(change)
            if not page:
                return
            after = page[-1].seq or until

    async def _begun(self) -> int:
        """Have the poller run; the place it is at."""
        async with self._starting:
            if self._poller is None or self._poller.done():
                self._place = (await self._store.changes.span()).newest
                await self._look_at_control()
                self._poller = asyncio.create_task(self._poll())
            return self._place

    async def _poll(self) -> None:
        """Until nobody reads any more. A source that is silent is asked again."""
        down = False
        try:
            while self._readers:
                try:
                    await self._look()
                    down = False
                except RetryableError as error:
                    if not down:
                        _log.warning("changes_wait", problem=str(error))
                    down = True
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            # Whatever ended it: nobody is left to wait for what will not come.
            for reader in tuple(self._readers):
                reader.cut()

    async def _look(self) -> None:
        page = await self._store.changes.after(self._place, _PAGE)
        if time.monotonic() - self._halt_asked > _HALT_SECONDS or _control_in(page):
            before = self._control
            await self._look_at_control()
            if self._control != before and not _control_in(page):
                self._publish(self.how_control_stands())
        for change in page:
            self._place = change.seq or self._place
            self._publish(self._told(change))

    async def _look_at_control(self) -> None:
        """How trading stands, from the rows of the holds and the halt in Redis."""
        rows = await self._store.holds.state()
        self._halt_asked = time.monotonic()
        try:
            halted, note = await self._flags.halted(), ""
        except SourceUnavailable as error:
            halted, note = None, f"nothing is placed: {error}"
        self._control = _status(rows, halted, note)

    def _publish(self, change: Happened) -> None:
        for reader in tuple(self._readers):
            reader.take(change)

    def how_control_stands(self) -> Happened:
        """The holds as of the last look."""
        data = self._control.model_dump(mode="json") if self._control else {}
        return Happened(Kind.CONTROL, data)

    def _told(self, change: Change) -> Happened:
        if change.kind is ChangeKind.ORDER:
            view = OrderView.model_validate(change.data)
            keys = (str(view.internal_id), view.request_id, view.workflow_id, view.tx_hash)
            data = view.model_dump(mode="json")
            return Happened(Kind.ORDER, data, change.seq, frozenset(keys))
        now = self._control
        state = ControlState.model_validate(change.data)
        status = _status(state, now.halted if now else None, now.note if now else "")
        return Happened(Kind.CONTROL, status.model_dump(mode="json"), change.seq)


def _control_in(page: Collection[Change]) -> bool:
    return any(change.kind is ChangeKind.CONTROL for change in page)


def _status(state: ControlState, halted: str | None, note: str) -> PauseStatus:
    paused = state.paused or halted is not None
    return PauseStatus(
        paused=paused,
        open=not paused and not note,
        version=state.version,
        holds=state.holds,
        halted=halted,
        note=note,
    )
