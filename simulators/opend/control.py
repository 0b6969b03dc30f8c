"""The client of the control port, for tests and the demo: faults in, the broker's truth out."""

import asyncio
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from simulators.opend.errors import ControlError

ANSWER_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """One order as the broker knows it. `value` = shares times price over all fills, exact."""

    id: str
    account: int
    remark: str
    side: str
    code: str
    order_type: str
    quantity: int
    price: Decimal
    status: str
    filled: int
    value: Decimal
    average: Decimal
    error: str
    day: int
    received_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class VenueFill:
    """One execution; a negative quantity reverses one."""

    id: int
    order_id: str
    account: int
    code: str
    side: str
    quantity: int
    price: Decimal
    at: float


@dataclass(frozen=True, slots=True)
class VenueAccount:
    """Cash, cash that working buys may need, and signed shares by symbol."""

    id: int
    cash: Decimal
    hold: Decimal
    positions: dict[str, int]


@dataclass(frozen=True, slots=True)
class VenuePlacement:
    """One PlaceOrder that reached the simulator since it started, executed or not.

    `outcome`: received, accepted, rejected, lost_before or silence.
    """

    received_at: float
    account: int
    remark: str
    code: str
    side: int
    quantity: float
    outcome: str
    message: str
    order_id: str


@dataclass(frozen=True, slots=True)
class ProtocolCount:
    """Requests of one protocol since the simulator started."""

    received: int = 0
    executed: int = 0
    rejected: int = 0
    answered: int = 0


class SimulatorControl:
    """Commands a running simulator. A connection a call: it may be killed and restarted between.

    Every method raises ControlError when the simulator refuses, OSError when it is not there.
    """

    def __init__(self, port: int, host: str = "127.0.0.1", timeout_seconds: float = 10.0) -> None:
        self._host, self._port, self._timeout = host, port, timeout_seconds

    async def call(self, verb: str, **params: Any) -> dict[str, Any]:
        """One command by name, for verbs without a method here."""
        async with asyncio.timeout(self._timeout):
            answer = await self._exchange(json.dumps({"verb": verb, **params}))
        if not answer.pop("ok", False):
            raise ControlError(f"{verb}: {answer.get('error', 'no answer')}")
        return answer

    async def fault(self, name: str, **params: Any) -> dict[str, Any]:
        """Any fault of faults.py: armed (n, protocol, message, seconds), switched (on) or done."""
        return await self.call("fault", name=name, **params)

    async def clear(self, name: str | None = None) -> None:
        """Disarms and switches off one fault, or all."""
        await self.call("clear", name=name)

    async def fault_hits(self) -> dict[str, int]:
        """How often each fault has struck."""
        hits: dict[str, int] = (await self.call("faults"))["hits"]
        return hits

    async def outage(self, on: bool = True) -> None:
        """OpenD gone: no listening socket, no connection; and back."""
        await self.fault("refuse", on=on, drop=on)

    async def set_price(self, code: str, price: Decimal, pin: bool = False) -> None:
        """Jumps to a price and matches; `pin` stops the path there."""
        await self.call("set_price", code=code, price=str(price), pin=pin)

    async def set_market(self, state: str) -> None:
        """open, closed or auto."""
        await self.call("set_market", state=state)

    async def split(self, code: str, numerator: int, denominator: int = 1) -> int:
        """Turns each `denominator` shares into `numerator`; how many working orders it ended."""
        answer = await self.call("split", code=code, numerator=numerator, denominator=denominator)
        return int(answer["ended"])

    async def set_halt(self, code: str, on: bool = True) -> None:
        """Stops or resumes trading of one symbol."""
        await self.call("set_halt", code=code, on=on)

    async def day_roll(self) -> int:
        """Ends the trading day; how many DAY orders expired."""
        return int((await self.call("day_roll"))["expired"])

    async def set_latency(self, ack: float | None = None, fill: float | None = None) -> None:
        """Seconds to acknowledge and to fill."""
        await self.call("set_latency", ack=ack, fill=fill)

    async def set_limits(self, on: bool) -> None:
        """Switches the request limits."""
        await self.call("set_limits", on=on)

    async def set_cash(self, cash: Decimal, account: int | None = None) -> None:
        """Sets an account's cash."""
        await self.call("set_cash", cash=str(cash), account=account)

    async def set_position(self, code: str, quantity: int, account: int | None = None) -> None:
        """Sets a holding, cash untouched."""
        await self.call("set_position", code=code, quantity=quantity, account=account)

    async def counts(self) -> dict[str, ProtocolCount]:
        """Requests by protocol name, e.g. `PlaceOrder`."""
        found = (await self.call("counts"))["counts"]
        return {name: ProtocolCount(**count) for name, count in found.items()}

    async def count(self, protocol: str) -> ProtocolCount:
        """Requests of one protocol, zeros if there were none."""
        return (await self.counts()).get(protocol, ProtocolCount())

    async def placements(self) -> list[VenuePlacement]:
        """Every PlaceOrder that arrived, oldest first."""
        return [VenuePlacement(**p) for p in (await self.call("placements"))["placements"]]

    async def orders(self, account: int | None = None) -> list[VenueOrder]:
        """All orders of all days, oldest first."""
        return [_order(order) for order in (await self.call("orders", account=account))["orders"]]

    async def fills(self, account: int | None = None) -> list[VenueFill]:
        """All executions, oldest first."""
        found = (await self.call("fills", account=account))["fills"]
        return [VenueFill(**{**fill, "price": Decimal(fill["price"])}) for fill in found]

    async def account(self, account: int | None = None) -> VenueAccount:
        """Money and holdings; without an id, of the first simulated US account."""
        found = await self.call("account", account=account)
        positions = {row["code"]: int(row["quantity"]) for row in found["positions"]}
        cash, hold = Decimal(found["cash"]), Decimal(found["hold"])
        return VenueAccount(int(found["account"]), cash, hold, positions)

    async def quote(self, code: str) -> dict[str, Decimal]:
        """last, bid and ask."""
        found = await self.call("quote", code=code)
        return {name: Decimal(price) for name, price in found.items()}

    async def connections(self) -> int:
        """How many clients are connected."""
        return len((await self.call("connections"))["connections"])

    async def _exchange(self, line: str) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=ANSWER_BYTES)
        try:
            writer.write(line.encode() + b"\n")
            answer = await reader.readline()
        finally:
            writer.close()
        if not answer:
            raise ControlError("the simulator closed the control connection without an answer")
        found: dict[str, Any] = json.loads(answer)
        return found


def _order(row: dict[str, Any]) -> VenueOrder:
    kept = {name: row[name] for name in VenueOrder.__dataclass_fields__}
    money = {name: Decimal(row[name]) for name in ("price", "value", "average")}
    return VenueOrder(**{**kept, **money})
