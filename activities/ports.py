"""What activities tell the process around them, without knowing logs or metrics."""

from typing import Protocol

from models.watch import ChainWatchStatus


class WatchProblem(Protocol):
    """Called after each look at a source: problem empty = it answers."""

    def __call__(self, source: str, problem: str) -> None:
        """Take note."""


class WatchProgress(Protocol):
    """Called each second with how far the watcher of the chain is."""

    def __call__(self, status: ChainWatchStatus) -> None:
        """Take note."""
