"""Order pushes on their way out, and what faults do to them there."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from simulators.opend.faults import Faults

Deliver = Callable[[], None]


class Pushes:
    """Sends each push as it is, unless a fault doubles it, delays it or lets others overtake it."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._kept: defaultdict[int, list[Deliver]] = defaultdict(list)

    def send(self, order_id: int, deliver: Deliver) -> None:
        """One push about one order; `deliver` sends what the order was when it was made."""
        fault = self._faults.strike_push()
        match fault.name if fault else "":
            case "push_swapped":
                self._kept[order_id].append(deliver)
                return
            case "push_late" if fault:
                asyncio.get_running_loop().call_later(fault.seconds, deliver)
                return
            case "push_twice":
                deliver()
        deliver()
        for older in self._kept.pop(order_id, []):
            older()
