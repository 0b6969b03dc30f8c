"""One vendor context and the one thread that talks through it: a lane, from open to retired."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import structlog

from clients.futu_maps import BROKER
from clients.futu_vendor import Fence, drop
from models.errors import BroncoError, SourceUnavailable

_log = structlog.get_logger(__name__)
T = TypeVar("T")


class Opener(Protocol):
    """Makes a context in steps: it may hang inside `connect`, and must be closable meanwhile."""

    @property
    def hint(self) -> str:
        """What a log-in that was not answered may be about."""

    def create(self, on_lost: Callable[[], None]) -> Any:
        """The bare object, not initialised."""

    def connect(self, context: Any) -> None:
        """Connect and log in; raises where that fails."""


class Job(Generic[T]):
    """One piece of work for a lane's thread."""

    def __init__(
        self, work: Callable[[Any], T], fence: Fence | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.work = work
        self.fence = fence
        self.future: asyncio.Future[T] = loop.create_future()
        self.started = False
        self.abandoned = False


class Lane:
    """Vendor calls, one at a time. Everything but the thread's own part runs on the event loop."""

    def __init__(self, name: str, opener: Opener) -> None:
        self.name = name
        self.lost = asyncio.Event()
        self.ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._opener = opener
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._waiting = 0
        self._retired = threading.Event()
        self._context: Any = None
        self._opened.add_done_callback(_look_at)

    async def open(self, seconds: float) -> None:
        """Connect; the vendor's constructor may block for ever, so it is left behind after this.

        Raises:
            SourceUnavailable: not connected and logged in within `seconds`.
        """
        threading.Thread(target=self._run, name=f"futu-{self.name}", daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._opened)
        except TimeoutError:
            self.retire()
            problem = f"OpenD did not log this connection in within {seconds:g} s"
            problem += f" ({self._opener.hint})"
            raise SourceUnavailable(BROKER, "connecting", problem) from None
        except BaseException:
            self.retire()
            raise

    @property
    def idle(self) -> bool:
        """Whether nothing is being asked."""
        return self._waiting == 0

    def submit(self, work: Callable[[Any], T], fence: Fence | None = None) -> Job[T]:
        """Queue work for the thread; what it returns must be ours, no vendor object."""
        job = Job(work, fence, self._loop)
        self._waiting += 1
        job.future.add_done_callback(self._done)
        if self._retired.is_set():
            job.future.set_exception(self._gone("asking"))
        else:
            self._jobs.put(job)
        return job

    async def call(self, doing: str, work: Callable[[Any], T], seconds: float) -> T:
        """Do one read within `seconds`.

        Raises:
            SourceUnavailable: it took longer; a lane whose thread is stuck in it is retired.
        """
        job = self.submit(work)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(job.future)
        except TimeoutError:
            job.abandoned = True
            if job.started:
                self.retire()
            raise SourceUnavailable(BROKER, doing, f"no answer within {seconds:g} s") from None
        except asyncio.CancelledError:
            job.abandoned = True
            raise

    def retire(self) -> None:
        """Close the connection and end the thread; a call still in the vendor ends with it."""
        if self._retired.is_set():
            return
        self._retired.set()
        self.lost.set()
        self._jobs.put(None)
        # close() takes the vendor's lock, which is not worth stopping the loop for.
        threading.Thread(target=self._close, name=f"futu-close-{self.name}", daemon=True).start()

    def _done(self, future: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        _look_at(future)

    def _gone(self, doing: str) -> SourceUnavailable:
        return SourceUnavailable(BROKER, doing, "the link to OpenD is down")

    def _close(self) -> None:
        context = self._context
        if context is not None and getattr(context, "_lock", None) is not None:
            drop(context)

    # --- on the lane's own thread ----------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._context = self._opener.create(lambda: self._post(self.retire))
            self._opener.connect(self._context)
        except Exception as error:
            self._post(_fail, self._opened, _translated("connecting", error))
        else:
            self._post(_succeed, self._opened, None)
            self._serve()
        # Also after a retirement that found the vendor still connecting.
        self._close()
        self._post(self.ended.set)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._retired.is_set() or job.abandoned:
                # Also one that nobody waits for any more: it counts until its future is done.
                self._post(_fail, job.future, self._gone("asking"))
            else:
                self._do(job)
        while not self._jobs.empty():
            left = self._jobs.get()
            if left is not None:
                self._post(_fail, left.future, self._gone("asking"))

    def _do(self, job: Job[Any]) -> None:
        job.started = True
        notes = self._context.notes
        notes.begin(job.fence)
        try:
            result = job.work(self._context)
        except Exception as error:
            self._post(_fail, job.future, _translated("asking", error))
        else:
            self._post(_succeed, job.future, result)
        if notes.unanswered > 0:
            # A lost answer may still come, to whoever asks next: this connection has had its day.
            self._post(self.retire)

    def _post(self, call: Callable[..., None], *args: Any) -> None:
        if not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(call, *args)
            except RuntimeError:
                # The loop closed in between: nobody is left to tell.
                self._retired.set()


def _translated(doing: str, error: Exception) -> BroncoError:
    """The vendor raises as well as returns errors; neither comes past here."""
    if isinstance(error, BroncoError):
        return error
    _log.warning("broker_call_raised", doing=doing, exc_info=error)
    return SourceUnavailable(BROKER, doing, repr(error))


def _look_at(future: asyncio.Future[Any]) -> None:
    """An error that nobody waits for any more is no news."""
    if not future.cancelled():
        future.exception()


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
