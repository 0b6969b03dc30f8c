"""Each mismatch is found, needs two runs, and leads to a nudge, a booking or an alarm, no more."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from clients.abi import load_contract
from clients.wallet import USDT
from models.assets import Asset
from models.broker import BrokerStatus
from models.order import OrderStatus, Stage
from models.records import ItemState
from models.requests import VaultRequest
from tests.integration.reconcile.office import SYMBOL, Office
from tests.integration.settlement.rig import Rig
from tests.integration.vault.desk import DOLLAR, SHARE, bought, refund, sold
from tests.waiting import eventually

FEED = load_contract("DevFeed")


async def open_request(office: Office) -> VaultRequest:
    (request,) = await office.rig.deposits(1)
    await office.admitted(request)
    await office.started(request)
    return request


async def placed(office: Office, filled: int = 1) -> VaultRequest:
    request = await open_request(office)
    await office.claimed(request)
    await office.reported(request, filled)
    return request


async def executed(office: Office, request: VaultRequest) -> None:
    """Settled by its item, row and workflow done."""
    await office.rig.filled(request)
    prepared = await office.rig.prepare(f"b{request.n}")
    await office.rig.send(prepared, await office.rig.sign(prepared))
    await office.closed(request, status=OrderStatus.EXECUTED, stage=Stage.SETTLED)
    await office.ended(office.workflow_id(request))


async def refunded(office: Office, request: VaultRequest) -> None:
    await office.rig.refunded(request)
    prepared = await office.rig.prepare(f"b{request.n}")
    await office.rig.send(prepared, await office.rig.sign(prepared))
    await office.closed(request, status=OrderStatus.FAILED, stage=Stage.REFUNDED)
    await office.ended(office.workflow_id(request))


async def twice(office: Office) -> None:
    """Two runs; whatever stands, stood in both."""
    for _ in range(2):
        await office.run()


async def test_world__sound_with_orders_in_every_state__has_no_finding(office: Office) -> None:
    await open_request(office)
    await placed(office, 1)
    await executed(office, await placed(office, 1))
    cancelled = await open_request(office)
    await office.claimed(cancelled)
    await office.reported(cancelled, 0, BrokerStatus.CANCELLED)
    await refunded(office, cancelled)
    office.broker.shares = 2
    await twice(office)
    result = await office.run()
    assert office.report.alarms == []
    assert (result.requests, result.findings, result.started, result.booked) == (2, 0, 0, 0)


# --- workflows ------------------------------------------------------------------------------------


async def test_request__open_without_workflow__is_started_in_the_second_run(office: Office) -> None:
    (request,) = await office.rig.deposits(1)
    assert (await office.run()).started == 0
    assert (await office.run()).started == 1
    await eventually(lambda: office.runs(request))
    assert (await office.run()).started == 0
    assert office.report.alarms == []


async def test_request__its_workflow_terminated__runs_again(office: Office) -> None:
    request = await open_request(office)
    await office.run()
    await office.ended(office.workflow_id(request))
    await twice(office)
    await eventually(lambda: office.runs(request))


async def test_request__ended_but_its_row_was_not_closed__is_started(office: Office) -> None:
    """Its workflow died between the settlement and the row."""
    request = await placed(office)
    await office.rig.filled(request)
    prepared = await office.rig.prepare("b")
    await office.rig.send(prepared, await office.rig.sign(prepared))
    await office.ended(office.workflow_id(request))
    office.broker.shares = 1
    assert [(await office.run()).started for _ in range(2)] == [0, 1]
    await eventually(lambda: office.runs(request))


async def test_request__number_given_out_again__is_seen_with_its_new_terms(office: Office) -> None:
    before = await office.rig.desk.rpc.call("evm_snapshot")
    first = await open_request(office)
    await office.run()
    await office.rig.desk.rpc.call("evm_revert", before)
    second = await office.rig.desk.deposit(office.rig.desk.bob, 300 * DOLLAR)
    assert (second.n, second.request_id) != (first.n, first.request_id)
    await twice(office)
    await eventually(lambda: office.runs(second))
    assert office.report.kinds == []


# --- house ----------------------------------------------------------------------------------------


async def house(office: Office) -> list[tuple[str, int, Decimal]]:
    return [(p.cause, p.quantity, p.cost) for p in await office.store.house.unresolved()]


async def test_fill__after_the_refund__goes_to_the_house_and_holds_the_symbol(
    office: Office,
) -> None:
    request = await open_request(office)
    await office.claimed(request)
    await office.reported(request, 0, BrokerStatus.CANCELLED)
    await refunded(office, request)
    await twice(office)
    assert await house(office) == []
    await office.reported(request, 1)
    office.broker.shares = 1
    assert (await office.run()).booked == 0
    result = await office.run()
    assert (result.booked, result.alarms) == (1, 2)
    assert sorted(office.report.kinds) == ["HOUSE", "POSITION"]
    assert await house(office) == [("LATE_FILL", 1, Decimal(190))]
    (hold,) = office.gateway.holds
    assert (hold.key, hold.kind, hold.symbol) == (f"house:{SYMBOL}", "HOUSE", SYMBOL)
    await office.run()
    assert await house(office) == [("LATE_FILL", 1, Decimal(190))]
    assert office.report.standing == {}


async def test_fill__of_a_reclaimed_request__goes_to_the_house(office: Office) -> None:
    request = await placed(office)
    await office.rig.desk.warp_to(request.reclaim_at + 1)
    await office.rig.desk.alice.reclaim(request.n)
    office.broker.shares = 1
    await twice(office)
    assert await house(office) == [("RECLAIMED", 1, Decimal(190))]


async def test_fill__above_the_order__goes_to_the_house(office: Office) -> None:
    request = await placed(office, 3)
    await executed(office, request)
    office.broker.shares = 3
    await twice(office)
    assert await house(office) == [("OVER_FILL", 2, Decimal(380))]
    await twice(office)
    assert office.report.standing == {}


async def test_fill__taken_back_after_settlement__is_owed_by_the_house(office: Office) -> None:
    request = await placed(office)
    await executed(office, request)
    office.broker.shares = 0
    await office.reported(request, 0, BrokerStatus.FILL_CANCELLED)
    await twice(office)
    assert [(cause, quantity) for cause, quantity, _ in await house(office)] == [
        ("FILL_CANCELLED", -1)
    ]
    await twice(office)
    assert office.report.standing == {}


async def test_order__with_our_remark_but_no_claim__is_booked_held_and_alarmed(
    office: Office,
) -> None:
    request = await open_request(office)
    await office.reported(request, 1)
    office.broker.shares = 1
    await twice(office)
    assert [cause for cause, _, _ in await house(office)] == ["FOREIGN"]
    assert {"HOUSE", "ORDERS"} <= set(office.report.kinds)
    assert {hold.key for hold in office.gateway.holds} == {f"house:{SYMBOL}", f"orders:{SYMBOL}"}


async def test_order__of_a_request_nobody_knows__is_held_and_never_booked(office: Office) -> None:
    """A lost database forgets requests that ended long ago; their fills back tokens."""
    request = await placed(office)
    unknown = request.model_copy(update={"request_id": "0x" + "ab" * 32})
    await office.reported(unknown, 5, order_id="F-old", quantity=5)
    office.broker.shares = 6
    await twice(office)
    assert await house(office) == []
    assert "ORDERS" in office.report.kinds


async def test_order__without_our_remark__is_told_of_and_never_booked(office: Office) -> None:
    request = await open_request(office)
    await office.reported(request, 0, BrokerStatus.WORKING, remark="by hand", order_id="H1")
    await office.reported(request, 5, remark="", order_id="H2", quantity=5)
    await twice(office)
    assert await house(office) == []
    assert office.report.kinds == ["STRANGER", "STRANGER"]


async def test_fill__while_its_settlement_is_sent__is_not_judged(office: Office) -> None:
    request = await placed(office, 3)
    await office.rig.filled(request)
    await office.rig.prepare("in-flight")
    office.broker.shares = 3
    await twice(office)
    assert await house(office) == []


# --- equations ------------------------------------------------------------------------------------


async def test_positions__a_share_too_many_twice__is_an_alarm_once(office: Office) -> None:
    await executed(office, await placed(office))
    office.broker.shares = 2
    await office.run()
    assert office.report.kinds == []
    await twice(office)
    assert office.report.kinds == ["POSITION"]
    assert office.report.standing == {"POSITION": 1}


@pytest.mark.parametrize(("shares", "kinds"), [(4, []), (1, ["POSITION"]), (5, ["POSITION"])])
async def test_positions__after_a_split__are_compared_in_tokens(
    office: Office, shares: int, kinds: list[str]
) -> None:
    """One token is four shares; while the split is younger than the margin nobody can say."""
    await executed(office, await placed(office))
    desk = office.rig.desk
    at = await desk.split(4, 1)
    await desk.warp_to(at)
    office.broker.shares = shares
    await twice(office)
    assert office.report.kinds == []
    await desk.warp_to(at + 60)
    await desk.admin.send(FEED, desk.feed, "setAnswer", 4_750_000_000)
    await twice(office)
    assert office.report.kinds == kinds


async def test_mismatch__seen_by_two_tries_of_one_run__does_not_count_yet(office: Office) -> None:
    """Temporal tries a run again within seconds; what is on its way then is no finding."""
    office.broker.shares = 2
    await office.run()
    await office.run(attempt=2)
    assert office.report.kinds == []
    await office.run()
    assert office.report.kinds == ["POSITION"]


async def test_book__not_read_for_long__is_an_alarm(office: Office) -> None:
    office.book_is_read = False
    await office.book_read(datetime.now(UTC) - timedelta(minutes=2))
    await twice(office)
    assert office.report.kinds == ["BOOK_STALE"]


async def test_vault__owes_a_payout__is_an_alarm_until_it_is_paid(office: Office) -> None:
    desk = office.rig.desk
    await desk.holder(desk.alice, 1)
    request = await desk.redeem(desk.alice, SHARE)
    await desk.empty_the_vault()
    await desk.settle([sold(request, 1)])
    await twice(office)
    assert "OWED" in office.report.kinds
    await desk.treasurer.send(USDT, desk.usdt, "transfer", desk.address, 10**9)
    await desk.settle([])
    await office.run()
    assert "OWED" not in office.report.standing


async def test_positions__wrong_every_other_run__is_no_finding(office: Office) -> None:
    for shares in (1, 0, 1, 0):
        office.broker.shares = shares
        await office.run()
    assert office.report.kinds == []


async def test_positions__an_order_works__are_undecided_by_its_size(office: Office) -> None:
    request = await open_request(office)
    await office.claimed(request)
    await office.reported(request, 0, BrokerStatus.WORKING)
    office.broker.shares = 1
    await twice(office)
    assert office.report.kinds == []
    office.broker.shares = 2
    await twice(office)
    assert office.report.kinds == ["POSITION"]


async def test_broker__does_not_answer__the_rest_is_compared(office: Office) -> None:
    (request,) = await office.rig.deposits(1)
    office.broker.shares = None
    await twice(office)
    await eventually(lambda: office.runs(request))
    assert office.report.kinds == []


# --- rows and items -------------------------------------------------------------------------------


async def test_row__says_executed_and_the_vault_says_refunded__is_an_alarm(office: Office) -> None:
    request = await open_request(office)
    await office.rig.desk.settle([], [refund(request)])
    await office.closed(request, status=OrderStatus.EXECUTED, stage=Stage.SETTLED)
    await office.ended(office.workflow_id(request))
    await twice(office)
    assert office.report.kinds == ["ROW"]


async def test_row__executed_and_reorganised_away__gets_its_workflow_back(office: Office) -> None:
    request = await placed(office)
    before = await office.rig.desk.rpc.call("evm_snapshot")
    await executed(office, request)
    office.broker.shares = 1
    await office.run()
    await office.rig.desk.rpc.call("evm_revert", before)
    await twice(office)
    await eventually(lambda: office.runs(request))
    assert office.report.kinds == ["ROW"]
    assert await house(office) == []


async def test_item__waits_too_long__wakes_the_settlement(office: Office) -> None:
    request = await placed(office)
    office.broker.shares = 1
    await office.rig.filled(request)

    async def nudged() -> bool:
        return (await office.run()).nudged == 1

    await eventually(nudged)
    assert office.gateway.wakes == 1
    assert (await office.rig.item(request)).state is ItemState.PENDING


@pytest.mark.parametrize(("code", "alarmed"), [("CONFLICT", True), ("STALE_REFERENCE", False)])
async def test_item__refused__is_an_alarm_only_when_a_human_must_act(
    office: Office, rig: Rig, code: str, alarmed: bool
) -> None:
    request = await placed(office)
    office.broker.shares = 1
    item = await rig.filled(request)
    assert item.id is not None
    await office.store.items.mark_rejected(item.id, code)
    await twice(office)
    assert office.report.kinds == (["ITEM_REFUSED"] if alarmed else [])


async def test_item__settled_by_strangers_terms__is_an_alarm_and_books_nothing(
    office: Office,
) -> None:
    request = await placed(office)
    await office.rig.desk.settle([bought(request, 1)])
    await office.closed(request, status=OrderStatus.EXECUTED, stage=Stage.SETTLED)
    await office.ended(office.workflow_id(request))
    office.broker.shares = 1
    await twice(office)
    assert office.report.kinds == ["ROW"]
    assert await house(office) == []


async def test_asset__the_vault_does_not_list__is_said_and_hides_no_other(rig: Rig) -> None:
    unknown = Asset(symbol="US.GONE", token=rig.desk.feed, feed=rig.desk.feed)
    office = Office(rig, unknown)
    office.broker.shares = 5
    await twice(office)
    assert sorted(office.report.kinds) == ["POSITION", "RATIO_UNREAD"]
    await office.end_all()
