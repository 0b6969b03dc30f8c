"""Waiting for the request to be deep enough: visible, wakeable, and never longer than its life."""

from temporalio.api.sdk.v1 import WorkflowMetadata

from models.messages import ReadRequestInput
from models.order import Reason, Stage
from models.records import ClaimState, ItemKind
from tests.builders import claim_view
from tests.workflow.desk import Desk, Handle, completed, scheduled


async def details(handle: Handle) -> str:
    """What the Temporal Web UI shows that the order waits for."""
    metadata: WorkflowMetadata = await handle.query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    return metadata.current_details


async def test_confirming__not_deep_enough__says_in_words_what_it_waits_for(desk: Desk) -> None:
    world = await desk.world()
    world.confirmations, world.waits_for = [9], "3 of 12 blocks on top of block 10"
    handle = await desk.start(world)
    await completed(handle, 1)
    assert "**CONFIRMING** waits: 3 of 12 blocks on top of block 10" in await details(handle)
    world.confirmations, world.waits_for = [1], "until block 10 is final"
    await desk.pass_time(3)
    assert "until block 10 is final" in await details(handle)
    # The row is kept up to date by the reads themselves.
    assert [message.version > 0 for message in world.said(ReadRequestInput)] == [True]
    world.confirmations = [0]
    assert (await handle.result()).stage is Stage.SETTLED


async def test_confirming__woken__reads_the_chain_at_once(desk: Desk) -> None:
    world = await desk.world()
    world.confirmations = [9]
    handle = await desk.start(world)
    await completed(handle, 1)
    for reads in (1, 2, 3):
        await world.signal("wake")
        await completed(handle, 1 + reads)
    world.confirmations = [0]
    await handle.result()
    assert world.attempts == [1]


async def test_confirming__cancelled__is_refunded_and_waits_for_no_block(desk: Desk) -> None:
    world = await desk.world()
    world.confirmations = [9]
    handle = await desk.start(world)
    await completed(handle, 1)
    await world.signal("cancel")
    await handle.result()
    assert world.item_kinds == [(ItemKind.REFUND, Reason.USER_CANCELLED)]
    assert world.attempts == []


async def test_confirming__deadline_comes__is_refunded(desk: Desk) -> None:
    world = await desk.world(deadline=int(await desk.now()) + 600)
    world.confirmations = [9]
    await desk.carry(world)
    assert world.item_kinds == [(ItemKind.REFUND, Reason.DEADLINE)]
    assert world.attempts == []


async def test_claims__of_an_earlier_run__are_looked_after_before_any_block(desk: Desk) -> None:
    world = await desk.world()
    world.confirmations = [9]
    world.claims = (claim_view(world.request.request_id, state=ClaimState.PLACED),)
    handle = await desk.start(world)
    await completed(handle, 2)
    assert (await scheduled(handle))[:2] == ["admit", "resolve_placement"]
    await handle.result()
    assert "read_request" not in world.names
