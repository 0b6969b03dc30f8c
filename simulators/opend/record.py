"""What reached the simulator and what became of it, for tests that ask the broker's side."""

import time
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from simulators.opend.schema import Message

KEPT_PLACEMENTS = 100_000


@dataclass(slots=True)
class Count:
    """One protocol: every request is received; then executed, rejected, or neither (lost)."""

    received: int = 0
    executed: int = 0
    rejected: int = 0
    answered: int = 0


@dataclass(slots=True)
class Placement:
    """One PlaceOrder that arrived.

    `outcome`: received, accepted, rejected, lost_before or silence; for rejected, `message`.
    """

    received_at: float
    account: int
    remark: str
    code: str
    side: int
    quantity: float
    outcome: str = "received"
    message: str = ""
    order_id: str = ""


@dataclass(slots=True)
class Record:
    """Counts since the process started."""

    counts: defaultdict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    placements: deque[Placement] = field(default_factory=lambda: deque(maxlen=KEPT_PLACEMENTS))

    def placement(self, c2s: Message) -> Placement:
        """Notes one that arrived, whatever becomes of it."""
        new = Placement(time.time(), c2s.header.accID, c2s.remark, c2s.code, c2s.trdSide, c2s.qty)
        self.placements.append(new)
        return new

    def counts_json(self) -> dict[str, dict[str, int]]:
        """Counts by protocol."""
        return {name: asdict(count) for name, count in sorted(self.counts.items())}

    def placements_json(self) -> list[dict[str, Any]]:
        """Placements, oldest first."""
        found: Iterable[Placement] = self.placements
        return [asdict(placement) for placement in found]
