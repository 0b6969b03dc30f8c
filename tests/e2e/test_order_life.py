"""Everything that may become of an order that the broker holds, and of its cancel.

Rows as in tests/e2e/test_broker_outcomes.py: what happens, and every order that may then be there.
"""

from typing import Any

import pytest

from models.order import Reason, Stage
from models.requests import Side
from tests.e2e.desk import Desk
from tests.e2e.outcomes import (
    BOTH,
    CANCELLED,
    FILLED,
    NONE,
    PART,
    Act,
    Case,
    Outcome,
    armed,
    check,
    day_ends,
    done_to_it,
    fault,
    hit,
    names,
    part,
    release,
    rows,
    user_cancels,
    working,
)

# --- the order's life -----------------------------------------------------------------------------

REJECTED_LATER = "the exchange takes no orders in this symbol"
LIFE = (
    Outcome(
        "accepted, then failed",
        armed("reject_after_accept", message=REJECTED_LATER),
        (("FAILED", 0), *FILLED),
        tries=1,
    ),
    Outcome(
        "accepted, then failed, each time",
        armed("reject_after_accept", message=REJECTED_LATER, n=3),
        (("FAILED", 0),) * 3,
        Reason.BROKER_REJECTED,
        tries=3,
        sides=BOTH,
    ),
    Outcome(
        "submit failed",
        working(done_to_it("force_status", status="SUBMIT_FAILED"), release),
        (("SUBMIT_FAILED", 0), *FILLED),
        tries=1,
    ),
    Outcome(
        "disabled by somebody",
        working(done_to_it("force_status", status="DISABLED"), release),
        (("DISABLED", 0), *FILLED),
        sides=BOTH,
    ),
    Outcome(
        "deleted by somebody",
        working(done_to_it("force_status", status="DELETED"), release),
        (("DELETED", 0), *FILLED),
    ),
    Outcome(
        "disabled when filled in part",
        part(done_to_it("force_status", status="DISABLED")),
        (("DISABLED", 1),),
        sides=BOTH,
    ),
    Outcome(
        "TIMEOUT, then it works",
        working(
            done_to_it("force_status", status="TIMEOUT"),
            done_to_it("force_status", status="SUBMITTED"),
            release,
        ),
        FILLED,
    ),
    Outcome(
        "TIMEOUT, then failed",
        working(
            done_to_it("force_status", status="TIMEOUT"),
            done_to_it("force_status", status="FAILED"),
            release,
        ),
        (("FAILED", 0), *FILLED),
        tries=1,
    ),
    Outcome(
        "TIMEOUT, cancelled by the user",
        working(done_to_it("force_status", status="TIMEOUT"), user_cancels),
        CANCELLED,
        Reason.USER_CANCELLED,
    ),
    Outcome("filled in part, then whole", part(release), FILLED, sides=BOTH),
    Outcome("filled in part, cancelled", part(user_cancels), PART, sides=BOTH),
    Outcome("filled in part, day ends", part(day_ends), PART, sides=BOTH),
    Outcome(
        "fill taken back",
        part(done_to_it("fill_cancelled")),
        (("FILL_CANCELLED", 0), *FILLED),
    ),
    Outcome(
        "fill taken back, still listed with it",
        part(done_to_it("fill_cancelled", keep_dealt=True)),
        (("FILL_CANCELLED", 0), *FILLED),
    ),
    Outcome("pushes come twice", armed("push_twice", n=20), FILLED, sides=BOTH),
    Outcome("pushes change places", armed("push_swapped", n=2), FILLED, sides=BOTH),
    Outcome("pushes are old", armed("push_late", n=3, seconds=2), FILLED),
    Outcome(
        "part and whole change places",
        part(fault("push_swapped"), release),
        FILLED,
    ),
)


# --- cancels --------------------------------------------------------------------------------------


async def before_it_is_sent(case: Case) -> None:
    await case.fault("logged_out", on=True)
    await case.begin()
    await case.at(Stage.HELD)
    await case.user_cancels()


async def while_unknown(case: Case) -> None:
    await case.fault("hold_fills", on=True)
    await case.fault("answer_lost")
    await case.begin()
    await case.order()
    await case.user_cancels()


async def when_filled(case: Case) -> None:
    await case.fault("hold_fills", on=True)
    await case.begin()
    await case.at(Stage.PLACED)
    await case.fault("no_push", on=True)
    await case.release()
    await case.order("FILLED_ALL")
    await case.user_cancels()


def cancelling(name: str, **params: Any) -> Act:
    """The fault waits for the cancel of a working order."""
    return working(fault(name, **params), user_cancels, hit(name))


USERS = Reason.USER_CANCELLED
CANCELS = (
    Outcome("before it is sent", before_it_is_sent, NONE, USERS),
    Outcome("while its placement is unknown", while_unknown, CANCELLED, USERS),
    Outcome("while it works", working(user_cancels), CANCELLED, USERS, sides=BOTH),
    Outcome("when it is filled", when_filled, FILLED, sides=BOTH),
    Outcome("a fill overtakes it", cancelling("fill_overtakes_cancel"), FILLED, sides=BOTH),
    Outcome(
        "a part overtakes it", cancelling("fill_overtakes_cancel", quantity=1), PART, sides=BOTH
    ),
    Outcome("accepted, nothing comes of it", cancelling("cancel_lost"), CANCELLED, USERS),
    Outcome(
        "its answer is lost", cancelling("answer_lost", protocol="ModifyOrder"), CANCELLED, USERS
    ),
    Outcome("it is swallowed", cancelling("silence", protocol="ModifyOrder"), CANCELLED, USERS),
    Outcome(
        "it is lost with the link",
        cancelling("lost_before", protocol="ModifyOrder"),
        CANCELLED,
        USERS,
    ),
    Outcome(
        "too often told",
        cancelling("reject", protocol="ModifyOrder", message="High frequency: 20 in 30 s"),
        CANCELLED,
        USERS,
    ),
    Outcome(
        "refused, then it fills",
        working(
            fault("reject", protocol="ModifyOrder", message="It cannot be cancelled now", n=50),
            user_cancels,
            hit("reject"),
            release,
        ),
        FILLED,
    ),
    Outcome(
        "refused, then accepted",
        cancelling("reject", protocol="ModifyOrder", message="It cannot be cancelled now"),
        CANCELLED,
        USERS,
    ),
)

ROWS = rows(*LIFE, *CANCELS)


@pytest.mark.parametrize(("row", "side"), ROWS, ids=names(ROWS))
async def test_order__whatever_becomes_of_it__orders_are_those_intended(
    desk: Desk, row: Outcome, side: Side
) -> None:
    await check(desk, row, side)
