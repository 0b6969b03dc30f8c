"""The control port: one JSON object a line in, one out. `verb` names a method `on_<verb>`.

{"verb": "fault", "name": "answer_lost", "n": 1} -> {"ok": true}; errors: {"ok": false, "error": …}

Commands that change something are here, those that only ask in questions.py. The command line
(ctl.py) is made from their signatures and first lines: a new method is a new command there.
"""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from simulators.opend import faults, log
from simulators.opend.accounts import Position
from simulators.opend.errors import ControlError, Rejected
from simulators.opend.gateway import Gateway
from simulators.opend.orders import Order, Status
from simulators.opend.questions import Answer, Questions, order_row
from simulators.opend.recording import Recorder
from simulators.opend.session import moment

SESSION_WORDS = {"open": "open", "closed": "closed", "auto": None}
_REFUSALS = (
    *(ControlError, Rejected, InvalidOperation, AttributeError),
    *(TypeError, ValueError, KeyError, OSError),
)


class ControlPort:
    """What tests and the demo may do to, and ask of, a running simulator."""

    def __init__(
        self,
        gateway: Gateway,
        listen: Callable[[], Awaitable[None]],
        refuse: Callable[[], None],
        recorder: Recorder | None = None,
    ) -> None:
        self._recorder = recorder
        self._gateway, self._listen, self._refuse = gateway, listen, refuse
        self._venue, self._book, self._faults = gateway.venue, gateway.venue.book, gateway.faults
        self._asked = Questions(gateway)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One control connection."""
        try:
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Answer:
        try:
            request = json.loads(line)
            if not isinstance(request, dict) or "verb" not in request:
                raise ControlError('a command is a JSON object with a "verb"')
            return {"ok": True, **await self.perform(**request)}
        except _REFUSALS as error:
            log.warning("control_refused", line=line.decode(errors="replace"), error=str(error))
            sentence = str(error)
            if not isinstance(error, ControlError | Rejected):
                sentence = f"{type(error).__name__}: {sentence}"
            return {"ok": False, "error": sentence}

    async def perform(self, verb: str, **params: Any) -> Answer:
        """One command.

        Raises:
            ControlError: no such command, or other parameters than it takes.
            Rejected: the venue refuses.
        """
        if verb not in VERBS:
            raise ControlError(f"unknown verb {verb!r}; these exist: {', '.join(sorted(VERBS))}")
        method = getattr(self if hasattr(self, f"on_{verb}") else self._asked, f"on_{verb}")
        signature = inspect.signature(method)
        try:
            call = signature.bind(**params)
        except TypeError as error:
            takes = ", ".join(str(p) for p in signature.parameters.values()) or "nothing"
            raise ControlError(f"{verb}: {error}; it takes {takes}") from None
        moment = self._recorder.moment() if self._recorder else {}
        answer: Answer = await method(*call.args, **call.kwargs)
        if self._recorder and verb in CHANGES:
            self._recorder.did(moment, verb, params)
        return answer

    async def on_fault(self, name: str, **params: Any) -> Answer:
        """Arms, switches or performs one fault."""
        _check_fault(name)
        log.event("fault", fault=name, **params)
        if name in faults.SWITCHES:
            await self._switch(name, **params)
            return {}
        if name in faults.ACTIONS:
            return self._act(name, **params)
        self._faults.arm(name, **params)
        return {}

    async def on_clear(self, name: str | None = None) -> Answer:
        """Disarms and switches off one fault, or all."""
        if name is not None:
            _check_fault(name)
        self._faults.disarm(name)
        for switch in faults.SWITCHES if name is None else faults.SWITCHES & {name}:
            await self._switch(switch, on=False)
        return {}

    async def on_set_price(self, code: str, price: str, pin: bool = False) -> Answer:
        """Jumps to a price; `pin` stops the path there."""
        self._venue.set_price(code, Decimal(str(price)), pin)
        self._gateway.push_quotes()
        return {}

    async def on_step(self, steps: int = 1) -> Answer:
        """Moves every price one step along its path, or several; what was taken is back."""
        for _ in range(int(steps)):
            self._gateway.step()
        return {}

    async def on_set_market(self, state: str) -> Answer:
        """Opens or closes trading: open, closed, or auto (as --session says)."""
        if state not in SESSION_WORDS:
            raise ControlError(f"state {state!r} is none of {list(SESSION_WORDS)}")
        self._venue.set_session(SESSION_WORDS[state])
        return {}

    async def on_set_clock(self, to: str) -> Answer:
        """Jumps to a time, e.g. 2026-11-27T12:59, New York's unless a zone is given."""
        self._gateway.clock.set(moment(to))
        self._venue.watch_clock()
        return {}

    async def on_split(self, code: str, numerator: int, denominator: int = 1) -> Answer:
        """Each `denominator` shares become `numerator`: working orders end, prices follow."""
        ended = self._venue.split(code, int(numerator), int(denominator))
        self._gateway.push_quotes()
        return {"ended": ended}

    async def on_set_halt(self, code: str, on: bool = True) -> Answer:
        """Stops or resumes trading of one symbol."""
        self._venue.set_halt(code, on)
        return {}

    async def on_day_roll(self) -> Answer:
        """Ends the day: DAY orders expire, the list starts anew, history keeps all."""
        return {"expired": self._venue.roll_day(), "day": self._book.day}

    async def on_set_latency(self, ack: float | None = None, fill: float | None = None) -> Answer:
        """Seconds to acknowledge and to fill, for what is planned from now on."""
        matcher = self._venue.matcher
        matcher.ack_seconds = matcher.ack_seconds if ack is None else float(ack)
        matcher.fill_seconds = matcher.fill_seconds if fill is None else float(fill)
        return {}

    async def on_set_limits(self, on: bool) -> Answer:
        """Switches the request limits."""
        self._gateway.limits.enabled = bool(on)
        return {}

    async def on_set_cash(self, cash: str, account: int | None = None) -> Answer:
        """Sets an account's cash."""
        found = self._asked.find_account(account)
        found.cash = Decimal(str(cash))
        self._book.set_account(found)
        return {}

    async def on_set_position(self, code: str, quantity: int, account: int | None = None) -> Answer:
        """Sets a holding at its last price, cash untouched."""
        found, price = self._asked.find_account(account), self._venue.market.stock(code).last
        found.positions.pop(code, None)
        if quantity:
            found.positions[code] = Position(int(quantity), int(quantity) * price)
        self._book.set_account(found)
        return {}

    async def _switch(self, name: str, on: bool = True, drop: bool = False) -> None:
        changed = self._faults.switch(name, on)
        if name == "refuse":
            if on:
                self._refuse()
            else:
                await self._listen()
            if drop:
                self._gateway.drop_all()
        elif name == "stale_list" and on:
            self._gateway.trade.keep_stale()
        elif name == "frozen" and not on:
            self._gateway.thaw()
        elif name == "hold_fills" and changed and not on:
            self._venue.matcher.wake()

    def _act(
        self,
        name: str,
        order_id: str | None = None,
        remark: str | None = None,
        quantity: int | None = None,
        keep_dealt: bool = False,
        status: str = "",
    ) -> Answer:
        self._faults.hits[name] += 1
        matcher = self._venue.matcher
        if name == "dropped":
            return {"dropped": self._gateway.drop_all()}
        if name == "send_kept":
            return {"sent": self._gateway.send_kept()}
        if name == "release_fills":
            self._faults.switch("hold_fills", False)
            matcher.release()
            return {}
        order = self._order(order_id, remark)
        if name == "late_fill":
            matcher.late_fill(order, quantity)
        elif name == "over_fill":
            matcher.over_fill(order, 1 if quantity is None else quantity)
        elif name == "force_status":
            matcher.force(order, _status(status))
        else:
            matcher.reverse_fills(order, keep_dealt)
        return {"order": order_row(order)}

    def _order(self, order_id: str | None, remark: str | None) -> Order:
        newest_first = reversed(self._book.orders.values())
        for order in newest_first:
            named = order_id in (str(order.id), self._book.number(order))
            if named or (order_id is None and order.remark == remark):
                return order
        raise ControlError(f"no order with order_id={order_id!r}, remark={remark!r}")


def _check_fault(name: str) -> None:
    if name not in faults.ALL:
        raise ControlError(
            f"no fault is named {name!r}; these are: {', '.join(sorted(faults.ALL))}"
        )


def _status(name: str) -> Status:
    if name not in Status.__members__:
        raise ControlError(f"status {name!r} is none of {sorted(Status.__members__)}")
    return Status[name]


def _methods(owner: type) -> dict[str, Callable[..., Awaitable[Answer]]]:
    named = vars(owner).items()
    return {name.removeprefix("on_"): call for name, call in named if name.startswith("on_")}


CHANGES = _methods(ControlPort)
VERBS = {**CHANGES, **_methods(Questions)}
