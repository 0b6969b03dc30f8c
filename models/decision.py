"""How trading an order ended; here because workflow modules are executed anew for each run."""

from dataclasses import dataclass

from models.order import Reason
from models.records import ItemKind


@dataclass(frozen=True)
class Decision:
    """What follows. kind None: the vault (or a reorganisation) decided already."""

    kind: ItemKind | None
    reason: Reason = Reason.NONE
    detail: str = ""
