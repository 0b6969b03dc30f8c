"""Lives of a settler whose histories are kept: what it sends, bumps, looks after and hands on."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio.client import WorkflowHandle

from models.chain import BroadcastOutcome
from tests.waiting import eventually
from tests.workflow.settlement_fakes import mined, not_mined
from tests.workflow.test_settlement import Bench, Handle

SettlerScenario = Callable[[Bench], Awaitable[Handle]]
RETIRES = {"retire_seconds": 60.0, "drain_seconds": 60.0}


async def settlement(bench: Bench) -> Handle:
    """Sent, bumped twice, mined; looked after until it is final; then its key is retired."""
    settler = bench.settler
    settler.pending = 2
    settler.answers = [not_mined(), not_mined(BroadcastOutcome.UNDERPRICED), mined]
    await bench.start(**RETIRES)
    await eventually(lambda: len(settler.sent) == 3)
    return await _retired(bench)


async def settlement_refused(bench: Bench) -> Handle:
    """The signer refuses a batch for its size: what it held goes out in two."""
    settler = bench.settler
    settler.most_items = 2
    settler.pending = 4
    await bench.start(**RETIRES)
    await eventually(lambda: len(settler.sent) == 2)
    return await _retired(bench)


async def settlement_continued(bench: Bench) -> Handle:
    """Its history is long while a batch is in flight: the first run hands that to the second."""
    await _continued(bench)
    return bench.handle


async def settlement_carried(bench: Bench) -> Handle:
    """The second of the runs above: begins with a batch in flight, bumps it, sees it mined."""
    await _continued(bench)
    newest: Handle = bench.env.client.get_workflow_handle(bench.handle.id)
    run_id = (await newest.describe()).run_id
    return WorkflowHandle(
        bench.env.client, bench.handle.id, run_id=run_id, first_execution_run_id=run_id
    )


async def _continued(bench: Bench) -> None:
    settler = bench.settler
    settler.gate.clear()
    settler.pending = 1
    settler.answers = [not_mined(), not_mined(), mined]
    await bench.start(run_events=40, **RETIRES)
    await eventually(lambda: settler.sent)
    for _ in range(40):
        await bench.handle.signal("work")
    settler.gate.set()
    await eventually(lambda: len(settler.sent) == 3)


async def _retired(bench: Bench) -> Handle:
    """Let time pass until it has ended."""
    bench.settler.retired = True
    with bench.env.auto_time_skipping_disabled():
        for _ in range(10):
            await bench.env.sleep(timedelta(seconds=31))
    await bench.handle.result()
    return bench.handle


SETTLER_SCENARIOS: tuple[SettlerScenario, ...] = (
    settlement,
    settlement_refused,
    settlement_continued,
    settlement_carried,
)
