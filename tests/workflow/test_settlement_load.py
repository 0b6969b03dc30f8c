"""How SettlementWorkflow adapts: to load, to refusals, to a purse, to a key that is retired."""

import pytest
from temporalio.client import WorkflowExecutionStatus

from models.batches import SendBatchInput, SendBatchResult
from models.chain import BroadcastOutcome
from tests.waiting import eventually
from tests.workflow.settlement_fakes import FEE, mined, not_mined
from tests.workflow.test_settlement import Bench, bench, busy_env, clock_bench

__all__ = ["bench", "busy_env", "clock_bench"]

TOO_BIG = not_mined(BroadcastOutcome.TOO_BIG)


def reverted(message: SendBatchInput) -> SendBatchResult:
    return SendBatchResult(mined=True, reverted=True, returned=message.count)


@pytest.mark.parametrize("answer", [TOO_BIG, not_mined(BroadcastOutcome.REVERTS), reverted])
async def test_batch__refused_as_a_whole__is_halved_at_once_and_grows_again(
    bench: Bench, answer: object
) -> None:
    settler = bench.settler
    settler.pending = 50
    settler.returning = True
    settler.answers = [answer, answer, mined, mined, mined]  # type: ignore[list-item]
    await bench.start(sweep_seconds=3600.0, max_in_flight=1)
    await eventually(lambda: len(settler.sent) >= 5)
    assert [message.count for message in settler.sent] == [50, 25, 12, 24, 14]


async def test_batch__too_much_for_the_signer__is_halved_until_it_signs(bench: Bench) -> None:
    settler = bench.settler
    settler.pending, settler.most_items = 50, 20
    await bench.start(sweep_seconds=3600.0, max_in_flight=1)
    await eventually(lambda: sum(message.count for message in settler.sent) == 50)
    assert settler.sent[0].count == 12
    assert max(message.count for message in settler.sent) <= 20


async def test_batch__of_one_refused_for_its_size__waits_for_the_sweep(bench: Bench) -> None:
    bench.settler.pending = 1
    bench.settler.answers = [TOO_BIG]
    await bench.start(sweep_seconds=3600.0)
    await eventually(lambda: bench.settler.sent)
    await eventually(lambda: bench.handle.describe())
    assert len(bench.settler.swept) == 1


async def test_purse__empty_for_the_newest_bytes__sends_the_dearest_it_can_pay(
    bench: Bench,
) -> None:
    settler = bench.settler
    settler.pending = 1
    settler.answers = [
        not_mined(),
        not_mined(),
        not_mined(BroadcastOutcome.NO_FUNDS, affordable=1150, ceiling=1150),
        not_mined(ceiling=1150),
        not_mined(ceiling=10**12),
        mined,
    ]
    await bench.start(sweep_seconds=3600.0)
    await eventually(lambda: len(settler.sent) == 6)
    newest = [message.signed[-1].tx_hash for message in settler.sent]
    assert newest == ["7@1000", "7@1100", "7@1210", "7@1100", "7@1100", "7@1210"]
    hashes = {signed.tx_hash for signed in settler.sent[-1].signed}
    assert hashes == {"7@1000", "7@1100", "7@1210"}


async def test_purse__empty_for_all_bytes__gives_the_nonce_back(bench: Bench) -> None:
    settler = bench.settler
    settler.pending = 1
    settler.answers = [not_mined(), not_mined(BroadcastOutcome.NO_FUNDS, affordable=999)]
    await bench.start(sweep_seconds=0.3)
    await eventually(lambda: len(settler.sent) == 2)
    await eventually(lambda: settler.swept[-1].in_flight == () and len(settler.swept) > 1)
    settler.pending = 1
    await bench.handle.signal("work")
    await eventually(lambda: len(settler.sent) == 3)
    assert settler.sent[-1].nonce == 7
    assert settler.sent[-1].batch != settler.sent[0].batch


async def test_purse__committed_to_what_is_in_flight__is_told_to_the_next(bench: Bench) -> None:
    settler = bench.settler
    settler.gate.clear()
    settler.pending = 100
    await bench.start()
    await eventually(lambda: len(settler.sent) == 2)
    assert [p.committed for p in settler.prepared[:2]] == [0, 21_000 * FEE]


async def test_signer__refuses_dearer_bytes__those_there_are_stay_in_flight(bench: Bench) -> None:
    settler = bench.settler
    settler.pending = 1
    settler.refuse_above = FEE
    settler.answers = [not_mined(), mined]
    await bench.start(sweep_seconds=3600.0)
    await eventually(lambda: len(settler.sent) == 2, timeout=30)
    assert settler.sent[0].signed == settler.sent[1].signed
    assert settler.sent[0].batch == settler.sent[1].batch


@pytest.mark.parametrize("outcome", [BroadcastOutcome.NOT_NOW, BroadcastOutcome.NONCE_USED])
async def test_send__refused_for_no_fee__repeats_the_same_bytes(
    bench: Bench, outcome: BroadcastOutcome
) -> None:
    bench.settler.pending = 1
    bench.settler.answers = [not_mined(outcome), not_mined(outcome), mined]
    await bench.start()
    await eventually(lambda: len(bench.settler.sent) == 3)
    assert len(bench.settler.signed) == 1


async def test_load__a_batch_is_in_flight__the_next_gathers_company(clock_bench: Bench) -> None:
    settler = clock_bench.settler
    settler.gate.clear()
    settler.pending = 1
    await clock_bench.start(gather_seconds=20.0, sweep_seconds=3600.0)
    await eventually(lambda: settler.sent)
    for _ in range(3):
        settler.pending += 1
        await clock_bench.handle.signal("work")
    await eventually(lambda: clock_bench.handle.describe())
    assert len(settler.prepared) == 1
    settler.gate.set()
    await eventually(lambda: len(settler.sent) == 2)
    assert settler.sent[1].count == 3


async def test_key__retired_with_nothing_in_flight__ends_after_a_while(clock_bench: Bench) -> None:
    clock_bench.settler.retired = True
    clock_bench.settler.pending = 3
    await clock_bench.start()
    await eventually(lambda: clock_bench.settler.prepared)
    await clock_bench.pass_time(300)
    assert await status_of(clock_bench) is WorkflowExecutionStatus.COMPLETED
    assert clock_bench.settler.sent == []


async def test_key__back_before_the_while_is_over__goes_on(clock_bench: Bench) -> None:
    settler = clock_bench.settler
    settler.retired = True
    await clock_bench.start()
    await eventually(lambda: settler.swept)
    await clock_bench.pass_time(70)
    settler.retired = False
    await clock_bench.pass_time(300)
    assert await status_of(clock_bench) is WorkflowExecutionStatus.RUNNING


async def status_of(bench: Bench) -> WorkflowExecutionStatus | None:
    return (await bench.env.client.get_workflow_handle(bench.handle.id).describe()).status
