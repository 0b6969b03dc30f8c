"""Asks the chain about a batch before it is signed, and finds who spoils it."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from models.records import SettlementItem

Passes = Callable[[Sequence[SettlementItem]], Awaitable[bool]]
"""Whether a batch of these would be carried out; of none: whether any would."""

_MOST_CALLS = 24
"""One bad item among fifty takes about a dozen; a run on a slow endpoint must still end in time."""


@dataclass
class Sifted:
    """good: pass together. poison: revert alone. unsure: to be asked about another time.

    blocked: not even an empty batch passes, so no item is to blame.
    """

    good: list[SettlementItem] = field(default_factory=list)
    poison: list[SettlementItem] = field(default_factory=list)
    unsure: list[SettlementItem] = field(default_factory=list)
    blocked: bool = False


class Sieve:
    """Bisects a batch that would revert. Good for one batch."""

    def __init__(
        self,
        passes: Passes,
        most_calls: int = _MOST_CALLS,
        patience: Callable[[], bool] = lambda: True,
    ) -> None:
        """patience: whether there is time for another question."""
        self._passes = passes
        self._left = most_calls
        self._patience = patience

    async def sift(self, items: Sequence[SettlementItem]) -> Sifted:
        """Part the items. Sends nothing and writes nothing."""
        if not items or await self._ask(items):
            return Sifted(good=list(items))
        if not await self._ask(()):
            return Sifted(unsure=list(items), blocked=True)
        found = Sifted()
        parts = await self._parts(items, found)
        found.good = [item for part in parts for item in part]
        if len(parts) > 1 and not await self._ask(found.good):
            # Each part passes and they do not together: too big. The largest goes first.
            found.good = max(parts, key=len)
            found.unsure += [i for part in parts if part is not found.good for i in part]
        return found

    async def _parts(
        self, items: Sequence[SettlementItem], found: Sifted
    ) -> list[list[SettlementItem]]:
        """The parts that pass, in order; who does not is written to `found`."""
        passing: list[list[SettlementItem]] = []
        queue = deque(_halves(items))
        while queue:
            part = queue.popleft()
            # One call is kept for asking about all that pass.
            if self._left <= 1 or not self._patience():
                found.unsure += part
            elif await self._ask(part):
                passing.append(part)
            elif len(part) == 1:
                found.poison += part
            else:
                queue.extendleft(reversed(_halves(part)))
        return passing

    async def _ask(self, items: Sequence[SettlementItem]) -> bool:
        self._left -= 1
        return await self._passes(items)


def _halves(items: Sequence[SettlementItem]) -> list[list[SettlementItem]]:
    middle = (len(items) + 1) // 2
    return [list(half) for half in (items[:middle], items[middle:]) if half]
