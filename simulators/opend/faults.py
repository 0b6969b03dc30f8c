"""The named faults. What the client sees was measured with futu-api 10.11 against this server.

Requests: the next `n` requests of `protocol` (default PlaceOrder; any name of schema.PROTOCOLS).

=========================  ==========================================  =========================
name                       what happens                                client sees
=========================  ==========================================  =========================
reject                     refused with `message` and `ret_type`       RET_ERROR, message
                           (-1); not executed
answer_lost                executed; no answer, link stays up          PacketErr.Timeout (12 s)
answer_lost_disconnect     executed; the link dies instead of          Disconnect
                           answering
lost_before                link dies before the venue saw it           Disconnect
silence                    never executed, never answered              PacketErr.Timeout (12 s)
busy_after_execution       executed, yet refused with `message` and    RET_ERROR, message
                           `ret_type` (-1), as when OpenD's server
                           answered it too late
answer_garbled             executed; the answer's checksum is wrong    … check sha error!
answer_without_id          executed; a placement's answer names no     RET_ERROR or an empty
                           order                                       order_id
answer_twice               executed, answered twice                    RET_OK, the second is
                                                                       dropped
answer_then_cut            executed and answered, then the link dies   RET_OK, then Disconnect
delay                      executed at once, answered after            PacketErr.Timeout when
                           `seconds`                                   seconds > 12, else OK
late_execution             executed and answered after `seconds`       as delay, but look-ups
                                                                       find nothing until then
kept                       executed and answered when `send_kept`      as late_execution
                           says so, whoever has given up by then
=========================  ==========================================  =========================

Orders: the next `n` accepted orders.

=========================  ==========================================  =========================
reject_after_accept        accepted, then FAILED with `message`        RET_OK, then FAILED
partial_fill               fills `quantity` shares (default: half,     FILLED_PART until
                           rounded down), then waits                   release_fills
=========================  ==========================================  =========================

Cancels: the next `n` accepted cancels of a working order.

=========================  ==========================================  =========================
fill_overtakes_cancel      `quantity` shares (rest) fill before the    FILLED_ALL, or
                           cancel takes effect                         CANCELLED_PART
cancel_lost                nothing comes of it                         RET_OK, goes on working
=========================  ==========================================  =========================

Pushes: the next `n` order pushes.

=========================  ==========================================  =========================
push_twice                 sent twice                                  the same push twice
push_swapped               kept back until the order's next one was    an older state after the
                           sent                                        newer one
push_late                  sent `seconds` later                        an old state
=========================  ==========================================  =========================

Lists: the next `n` order lists of connections made after the fault was armed.

=========================  ==========================================  =========================
list_empty_after_reconnect GetOrderList answers nothing from its       RET_OK, empty DataFrame
                           cache; `also_refresh` = even when the
                           venue is asked
=========================  ==========================================  =========================

Switches: on until switched off.

=========================  ==========================================  =========================
frozen                     nothing is read or answered, links stay     PacketErr.Timeout, link
                           up; what piled up is executed on thaw,      dropped after 33 s
                           as after SIGSTOP and SIGCONT
refuse                     stops listening (`drop` = and drops links)  cannot connect
no_push                    order pushes are not sent                   list changes, no push
hold_fills                 accepted orders stay working                SUBMITTED
stale_list                 the order list's cache stays as it is now   old rows, unless
                                                                       refresh_cache
logged_out                 OpenD has lost its own link to Futu: says   trd_logined and
                           so, and else goes on                        qot_logined False
=========================  ==========================================  =========================

Actions: at once. An order is named by `order_id` or `remark` (its latest order).

=========================  ==========================================  =========================
dropped                    every link is cut                           Disconnect
late_fill                  a cancelled order fills `quantity` (rest)   FILLED_ALL or more
                                                                       dealt_qty
over_fill                  fills `quantity` (1) beyond what was asked  dealt_qty > qty
fill_cancelled             all its fills are reversed; `keep_dealt` =  FILL_CANCELLED,
                           it is listed with what it had dealt         dealt_qty 0 or as it was
force_status               its status becomes `status` (TIMEOUT,       that status
                           SUBMITTED, SUBMIT_FAILED, FAILED,
                           DISABLED or DELETED), as if the exchange,
                           or somebody in the app, had done it
send_kept                  executes and answers what `kept` kept
release_fills              ends hold_fills and lets partial_fill       fills go on
                           orders go on
=========================  ==========================================  =========================
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from simulators.opend.errors import ControlError
from simulators.opend.schema import NUMBERS, short

REQUEST_FAULTS = frozenset(
    {
        "reject",
        "answer_lost",
        "answer_lost_disconnect",
        "lost_before",
        "silence",
        "busy_after_execution",
        "answer_then_cut",
        "delay",
        "late_execution",
        "kept",
        "answer_garbled",
        "answer_without_id",
        "answer_twice",
    }
)
ORDER_FAULTS = frozenset({"reject_after_accept", "partial_fill"})
CANCEL_FAULTS = frozenset({"fill_overtakes_cancel", "cancel_lost"})
PUSH_FAULTS = frozenset({"push_twice", "push_swapped", "push_late"})
LIST_FAULTS = frozenset({"list_empty_after_reconnect"})
SWITCHES = frozenset({"frozen", "refuse", "no_push", "hold_fills", "stale_list", "logged_out"})
ACTIONS = frozenset(
    {
        "dropped",
        "late_fill",
        "over_fill",
        "fill_cancelled",
        "force_status",
        "send_kept",
        "release_fills",
    }
)
ARMED = REQUEST_FAULTS | ORDER_FAULTS | CANCEL_FAULTS | PUSH_FAULTS | LIST_FAULTS
ALL = ARMED | SWITCHES | ACTIONS
TIMED = frozenset({"delay", "late_execution", "push_late"})


@dataclass(slots=True)
class Armed:
    """A fault waiting for its next victims."""

    name: str
    left: int
    protocol: str = "PlaceOrder"
    message: str = ""
    ret_type: int = -1
    seconds: float = 0.0
    quantity: int | None = None
    also_refresh: bool = False
    since: float = field(default_factory=time.monotonic)


class Faults:
    """What is armed or on now, and how often each has struck."""

    def __init__(self) -> None:
        self.hits: Counter[str] = Counter()
        self.thawed = asyncio.Event()
        self.thawed.set()
        self._armed: list[Armed] = []
        self._on: set[str] = set()

    def arm(self, name: str, n: int = 1, **params: Any) -> None:
        """Lets the next `n` victims meet a fault; several queue up in order of arming.

        Raises:
            ControlError: unknown name, protocol or parameter.
        """
        if name not in ARMED:
            raise ControlError(f"fault {name!r} cannot be armed; these can: {sorted(ARMED)}")
        if n < 1:
            raise ControlError(f"n of {name} is {n}, must be at least 1")
        params["protocol"] = short(str(params.get("protocol", "PlaceOrder")))
        if params["protocol"] not in NUMBERS:
            raise ControlError(f"protocol {params['protocol']!r} is none of {sorted(NUMBERS)}")
        try:
            fault = Armed(name, n, **params)
        except TypeError as error:
            raise ControlError(f"fault {name}: {error}") from None
        if name in TIMED and fault.seconds <= 0:
            raise ControlError(f"fault {name} needs seconds above 0")
        self._armed.append(fault)

    def switch(self, name: str, on: bool) -> bool:
        """Turns a lasting fault on or off; True if that changed something.

        Raises:
            ControlError: no such switch.
        """
        if name not in SWITCHES:
            raise ControlError(f"switch {name!r} is none of {sorted(SWITCHES)}")
        changed = on != (name in self._on)
        (self._on.add if on else self._on.discard)(name)
        if name == "frozen":
            (self.thawed.clear if on else self.thawed.set)()
        if on and changed:
            self.hits[name] += 1
        return changed

    def is_on(self, name: str) -> bool:
        """Whether a switch is on."""
        return name in self._on

    def disarm(self, name: str | None = None) -> None:
        """Forgets armed faults of that name, or all of them."""
        self._armed = [fault for fault in self._armed if name not in (None, fault.name)]

    def strike_request(self, protocol: str) -> Armed | None:
        """The fault this request meets, used up once."""
        return self._strike(
            next(
                (f for f in self._armed if f.name in REQUEST_FAULTS and f.protocol == protocol),
                None,
            )
        )

    def strike_order(self, name: str) -> Armed | None:
        """The fault an accepted order, or its cancel, meets, used up once."""
        return self._strike(next((f for f in self._armed if f.name == name), None))

    def strike_push(self) -> Armed | None:
        """The fault this order push meets, used up once."""
        return self._strike(next((f for f in self._armed if f.name in PUSH_FAULTS), None))

    def strike_list(self, connected_at: float, refresh: bool) -> bool:
        """Whether this order list is answered empty."""
        for fault in self._armed:
            meets = fault.name in LIST_FAULTS and connected_at > fault.since
            if meets and (fault.also_refresh or not refresh):
                return self._strike(fault) is not None
        return False

    def describe(self) -> dict[str, Any]:
        """Armed, on and struck, for the control port."""
        armed = [
            {"name": f.name, "protocol": f.protocol, "left": f.left, "message": f.message}
            for f in self._armed
        ]
        return {"armed": armed, "on": sorted(self._on), "hits": dict(self.hits)}

    def _strike(self, fault: Armed | None) -> Armed | None:
        if fault is None:
            return None
        self.hits[fault.name] += 1
        fault.left -= 1
        if fault.left == 0:
            self._armed.remove(fault)
        return fault
