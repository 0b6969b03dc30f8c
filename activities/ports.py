"""What activities tell the process around them, without knowing logs or metrics."""

from typing import Protocol


class WatchProblem(Protocol):
    """Called after each look at a source: problem empty = it answers."""

    def __call__(self, source: str, problem: str) -> None:
        """Take note."""
