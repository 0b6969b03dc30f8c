"""What reconcile must not repair holds trading, and only what was measured to be well opens it."""

from datetime import timedelta

import pytest

from models.control import FailureLimit, HoldKind
from models.order import Reason
from tests.integration.reconcile.office import SYMBOL, Office
from tests.integration.reconcile.test_reconcile import (
    executed,
    open_request,
    placed,
    refunded,
    twice,
)
from tests.integration.settlement.rig import Rig

POSITION_HOLD = f"mismatch:position:{SYMBOL}"


async def frozen(office: Office) -> None:
    """A share too few, seen by two runs."""
    await executed(office, await placed(office))
    office.broker.shares = 0
    await twice(office)
    await office.take_holds()


def keys(office: Office) -> list[str]:
    return [hold.key for hold in office.gateway.holds]


def lifted(office: Office) -> list[str]:
    return [hold.key for hold in office.gateway.lifted]


async def test_positions__wrong_twice__hold_the_symbol_once(office: Office) -> None:
    await executed(office, await placed(office))
    office.broker.shares = 0
    await office.run()
    assert keys(office) == []
    await office.run()
    (hold,) = office.gateway.holds
    assert (hold.key, hold.kind, hold.symbol) == (POSITION_HOLD, HoldKind.BREAKER, SYMBOL)
    assert "lifted by" in hold.reason
    await office.take_holds()
    await office.run()
    assert keys(office) == [POSITION_HOLD]


async def test_positions__right_again__lift_it(office: Office) -> None:
    await frozen(office)
    await office.run()
    assert lifted(office) == []
    office.broker.shares = 1
    await office.run()
    assert lifted(office) == [POSITION_HOLD]
    await office.take_holds()
    await office.run()
    assert lifted(office) == [POSITION_HOLD]


async def test_positions__not_to_be_asked__stay_held(office: Office) -> None:
    await frozen(office)
    office.broker.shares = None
    await twice(office)
    assert lifted(office) == []


async def test_hold__of_a_person_or_another_breaker__is_not_lifted(office: Office) -> None:
    await frozen(office)
    (hold,) = office.gateway.holds
    office.gateway.holds[:] = [hold.model_copy(update={"key": "chain-stalled", "symbol": ""})]
    await office.take_holds()
    office.broker.shares = 1
    await twice(office)
    assert lifted(office) == []


@pytest.mark.parametrize(
    ("reason", "holds"),
    [
        (Reason.BROKER_REJECTED, True),
        (Reason.PROVEN_ABSENT, True),
        (Reason.USER_CANCELLED, False),
        (Reason.LIMIT_UNREACHABLE, False),
        (Reason.NO_SESSION, False),
    ],
)
async def test_failures__as_many_as_the_limit__hold_all_trading(
    rig: Rig, reason: Reason, holds: bool
) -> None:
    office = Office(rig, failures=FailureLimit(2, timedelta(minutes=10)))
    for count in (1, 2):
        assert keys(office) == []
        request = await open_request(office)
        await refunded(office, request)
        await office.closed(request, reason=reason)
        await office.run()
        assert keys(office) == (["order-failures"] if holds and count == 2 else [])
    await office.end_all()
    if holds:
        (hold,) = office.gateway.holds
        assert (hold.kind, hold.symbol, hold.side) == (HoldKind.BREAKER, "", None)
        assert f"2 {reason.value} in 10 min" in hold.reason
        await office.take_holds()
        await office.run()
        assert lifted(office) == []
        calm = Office(rig, failures=FailureLimit(2, timedelta(0)))
        await calm.run()
        assert lifted(calm) == ["order-failures"]
