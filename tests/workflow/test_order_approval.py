"""What the vault refuses to a settler alone: waits for signatures, and takes no other."""

import asyncio
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateStage
from temporalio.exceptions import ApplicationError

from activities.approving import REFUSED
from bronco.devchain import dev_address
from models.approvals import ApprovalCase, ApprovalGiven
from models.messages import ItemView, KeepApprovalInput, PlaceOutcome
from models.order import Reason, Stage
from models.records import ItemKind, ItemState
from models.requests import VaultStatus
from tests.approving import APPROVERS, STRANGER, approval_case, signature
from tests.builders import not_placed
from tests.fakes import World
from tests.waiting import eventually
from tests.workflow.desk import Desk, Handle, completed, events

ALICE, BOB, CAROL = APPROVERS


async def refused(desk: Desk) -> tuple[World, Handle]:
    """A refund that two of three must sign, and its order waiting for them."""
    world = await desk.world()
    world.places = [not_placed(PlaceOutcome.REFUND, reason=Reason.TOO_SMALL)]
    world.settles_at_once = False
    world.case = approval_case(world.request)
    handle = await desk.start(world)
    await completed(handle, 3)
    await world.signal("settled")
    await eventually(lambda: world.shown)
    return world, handle


async def approve(handle: Handle, given: ApprovalGiven) -> ApprovalCase:
    answer: ApprovalCase = await handle.execute_update(
        "approve", given, result_type=ApprovalCase, id=f"approve:{given.signature[:18]}"
    )
    return answer


async def no(handle: Handle, given: Any) -> str:
    """Why it was refused."""
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await handle.execute_update("approve", given, result_type=ApprovalCase)
    return str(failed.value.cause)


async def asked(handle: Handle) -> ApprovalCase | None:
    found = await handle.query("approval")
    return ApprovalCase.model_validate(found) if found else None


async def test_refused_item__enough_approvals__is_settled(any_desk: Desk) -> None:
    world, handle = await refused(any_desk)
    case = world.case
    assert case is not None
    assert await asked(handle) == case

    one = await approve(handle, signature(case, BOB))
    assert (one.signed, one.missing) == ((dev_address(BOB),), 1)
    two = await approve(handle, signature(case, ALICE))
    assert two.missing == 0
    await world.end(VaultStatus.REFUNDED)
    outcome = await handle.result()
    assert (outcome.status, outcome.stage) == (VaultStatus.REFUNDED, Stage.REFUNDED)
    kept = [(message.signer, message.given) for message in world.said(KeepApprovalInput)]
    assert kept == [
        (dev_address(BOB), signature(case, BOB)),
        (dev_address(ALICE), signature(case, ALICE)),
    ]
    assert [(stage, words) for stage, words, _ in world.shown] == [
        (Stage.AWAITING_APPROVAL, "RETURN_LIMIT: 0 of 2 approvals"),
        (Stage.AWAITING_APPROVAL, "RETURN_LIMIT: 1 of 2 approvals"),
        (Stage.SETTLING, "its settlement transaction, with 2 approvals"),
    ]


async def test_approval__wrong_repeated_or_unauthorised__leaves_no_trace(desk: Desk) -> None:
    world, handle = await refused(desk)
    case = world.case
    assert case is not None
    await approve(handle, signature(case, ALICE))
    other = approval_case(world.request, deadline=case.deadline + 1)
    assert "has signed" in await no(handle, signature(case, ALICE))
    assert "no approver of epoch 1" in await no(handle, signature(case, STRANGER))
    assert "or it is of other terms" in await no(handle, signature(other, BOB))
    assert "lower half" in await no(handle, ApprovalGiven(signature="0x" + "00" * 65))
    for garbage in ("", 7, {"signature": "0x12"}, None):
        await no(handle, garbage)
    assert len(world.said(KeepApprovalInput)) == 1
    assert len(await events(handle, "WORKFLOW_EXECUTION_UPDATE_ACCEPTED")) == 1
    assert (await asked(handle)) == case.model_copy(update={"signed": (dev_address(ALICE),)})


async def test_contract_wallet__asked_and_does_not_know_it__is_refused_and_the_next_one_counts(
    desk: Desk,
) -> None:
    """Nobody can tell before it is asked: the refusal comes from the step that stores it."""
    world, handle = await refused(desk)
    case = world.case
    assert case is not None
    wallet = ApprovalGiven(signature="0x1234", signer=dev_address(BOB).lower())
    words = f"{dev_address(BOB)} does not call it its own"
    world.disowned = [ApplicationError(words, type=REFUSED, non_retryable=True)]
    assert words in await no(handle, wallet)
    assert await asked(handle) == case
    assert (await approve(handle, signature(case, ALICE))).signed == (dev_address(ALICE),)
    assert "has signed" in await no(
        handle, ApprovalGiven(signature="0x12", signer=dev_address(ALICE))
    )
    assert (await approve(handle, wallet)).missing == 0


async def test_contract_wallet__that_may_not_approve__is_refused_before_anybody_is_asked(
    desk: Desk,
) -> None:
    world, handle = await refused(desk)
    stranger = ApprovalGiven(signature="0x12", signer=dev_address(STRANGER))
    assert "no approver of epoch 1" in await no(handle, stranger)
    assert world.said(KeepApprovalInput) == []


async def test_approvals__several_at_once__each_counts_once(any_desk: Desk) -> None:
    world, handle = await refused(any_desk)
    world.case = case = approval_case(world.request, threshold=3)
    await world.signal("settled")
    await eventually(lambda: "RETURN_LIMIT: 0 of 3 approvals" in [w for _, w, _ in world.shown])
    gate = world.hold("keep_approval")
    given = [signature(case, index) for index in (*APPROVERS, ALICE, CAROL)]
    updates = [
        asyncio.ensure_future(handle.execute_update("approve", one, result_type=ApprovalCase))
        for one in given
    ]
    await eventually(lambda: "keep_approval" in world.names)
    gate.set()
    results = await asyncio.gather(*updates, return_exceptions=True)
    wrong = [result for result in results if isinstance(result, WorkflowUpdateFailedError)]
    assert len(wrong) == 2
    signers = [message.signer for message in world.said(KeepApprovalInput)]
    assert sorted(signers) == sorted(dev_address(index) for index in APPROVERS)
    await world.end(VaultStatus.REFUNDED)
    assert (await handle.result()).status is VaultStatus.REFUNDED


async def test_approval__where_none_is_waited_for__is_refused(desk: Desk) -> None:
    world = await desk.world()
    world.settles_at_once = False
    handle = await desk.start(world)
    await completed(handle, 3)
    given = signature(approval_case(world.request), ALICE)
    assert "waits for no approval" in await no(handle, given)
    assert await asked(handle) is None
    assert world.said(KeepApprovalInput) == []


async def test_approval__given_and_the_vault_settles_meanwhile__is_answered(desk: Desk) -> None:
    """A band that the market came back into: whoever signed is not left without an answer."""
    world, handle = await refused(desk)
    case = world.case
    assert case is not None
    gate = world.hold("keep_approval")
    update = asyncio.ensure_future(approve(handle, signature(case, ALICE)))
    await eventually(lambda: "keep_approval" in world.names)
    world.case = None
    await world.end(VaultStatus.REFUNDED)
    gate.set()
    assert (await update).signed == (dev_address(ALICE),)
    assert (await handle.result()).status is VaultStatus.REFUNDED


async def test_awaiting_approval__for_days__continues_as_new_and_still_takes_them(
    desk: Desk,
) -> None:
    world = await desk.world()
    world.places = [not_placed(PlaceOutcome.REFUND, reason=Reason.TOO_SMALL)]
    world.settles_at_once = False
    world.set_policy(run_events=60)
    world.case = case = approval_case(world.request)
    handle = await desk.start(world)
    await completed(handle, 3)
    world.item = ItemView(
        kind=ItemKind.REFUND,
        state=ItemState.REJECTED,
        taken=0,
        out=0,
        fee=0,
        rejection="RETURN_LIMIT",
    )
    while world.names.count("admit") < 3:
        await desk.pass_time(600)
    newest: Handle = desk.env.client.get_workflow_handle(handle.id)
    await eventually(lambda: world.names[-1] in ("record_stage", "close_order"))
    assert (await approve(newest, signature(case, CAROL))).missing == 1
    assert (await approve(newest, signature(case, BOB))).missing == 0
    await world.end(VaultStatus.REFUNDED)
    await eventually(lambda: world.calls[-1][0] == "close_order")


async def test_long_history__while_an_approval_waits_for_its_answer__is_not_left_behind(
    desk: Desk,
) -> None:
    """It comes while the row is being closed, just before the run would go on in a new one."""
    world = await desk.world()
    world.places = [not_placed(PlaceOutcome.REFUND, reason=Reason.TOO_SMALL)]
    world.settles_at_once = False
    world.set_policy(run_events=1)
    world.case = case = approval_case(world.request)
    handle = await desk.start(world)
    await completed(handle, 3)
    world.item = ItemView(
        kind=ItemKind.REFUND,
        state=ItemState.REJECTED,
        taken=0,
        out=0,
        fee=0,
        rejection="RETURN_LIMIT",
    )
    await world.signal("settled")
    await eventually(lambda: world.names.count("admit") == 2 and "admit" not in world.names[-2:])
    newest: Handle = desk.env.client.get_workflow_handle(handle.id)
    gate, closes = world.hold("close_order"), world.names.count("close_order")
    await world.signal("settled")
    await eventually(lambda: world.names.count("close_order") > closes)
    update = await newest.start_update(
        "approve",
        signature(case, ALICE),
        result_type=ApprovalCase,
        wait_for_stage=WorkflowUpdateStage.ACCEPTED,
    )
    gate.set()
    async with asyncio.timeout(20):
        assert (await update.result()).signed == (dev_address(ALICE),)
    assert len(world.said(KeepApprovalInput)) == 1
    await world.end(VaultStatus.REFUNDED)
    await eventually(lambda: world.calls[-1][0] == "close_order")
