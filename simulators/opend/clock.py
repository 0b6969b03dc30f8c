"""The simulator's clock: the machine's, or one that was set and runs at a speed of its own."""

import time
from collections.abc import Callable


class Clock:
    """Tells order times and what the calendar says; never client timeouts or request limits."""

    def __init__(
        self,
        start: float | None,
        speed: float,
        real: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start, self._speed, self._real, self._steady = start, speed, real, steady
        self._began = steady()

    @property
    def is_set(self) -> bool:
        """Whether it goes its own way."""
        return self._start is not None

    def set(self, to: float) -> None:
        """Jumps to a time, seconds since 1970, and goes on from there."""
        self._start, self._began = to, self._steady()

    def time(self) -> float:
        """Seconds since 1970."""
        if self._start is None:
            return self._real()
        return self._start + (self._steady() - self._began) * self._speed
