"""What SettlementWorkflow does in which order; the chain behind it is in tests/integration."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest
import pytest_asyncio
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from models.batches import SendBatchInput, SendBatchResult, SettlementInput
from models.chain import BroadcastOutcome
from tests.skipping import new_environment
from tests.waiting import eventually
from tests.workflow.settlement_fakes import FEE, FakeSettler, mined, not_mined
from workers.runner import sandbox
from workflows.settlement import SettlementWorkflow

SIGNER = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
Handle = WorkflowHandle[SettlementWorkflow, None]


class Bench:
    """One settlement workflow on its own queue, and the fakes it talks to."""

    def __init__(self, env: WorkflowEnvironment, queue: str) -> None:
        self.env = env
        self.queue = queue
        self.settler = FakeSettler()
        self.handle: Handle

    async def start(self, **options: object) -> None:
        self.handle = await self.env.client.start_workflow(
            SettlementWorkflow.run,
            SettlementInput(**options),
            id=f"settlement-31337-{uuid.uuid4().hex}{SIGNER}",
            task_queue=self.queue,
        )

    async def pass_time(self, seconds: float) -> None:
        await self.env.sleep(timedelta(seconds=seconds))


@pytest_asyncio.fixture(scope="module")
async def busy_env() -> AsyncIterator[WorkflowEnvironment]:
    """A server of our own: one that has lost an activity to a terminated run skips no time more."""
    async with await new_environment() as environment:
        yield environment


@asynccontextmanager
async def settling(env: WorkflowEnvironment) -> AsyncIterator[Bench]:
    made = Bench(env, f"settlement-{uuid.uuid4().hex}")
    worker = Worker(
        env.client,
        task_queue=made.queue,
        workflows=[SettlementWorkflow],
        activities=made.settler.activities,
        workflow_runner=sandbox(),
        graceful_shutdown_timeout=timedelta(0),
    )
    async with worker:
        yield made
        made.settler.gate.set()
        with suppress(RPCError):
            await env.client.get_workflow_handle(made.handle.id).terminate()


@pytest.fixture
async def bench(busy_env: WorkflowEnvironment) -> AsyncIterator[Bench]:
    async with settling(busy_env) as made:
        yield made


@pytest.fixture
async def clock_bench() -> AsyncIterator[Bench]:
    """A bench whose clock can be moved."""
    async with await new_environment() as environment, settling(environment) as made:
        yield made


async def test_batch__an_item_is_pending__is_prepared_signed_and_sent(bench: Bench) -> None:
    bench.settler.pending = 1
    await bench.start()
    (message,) = await eventually(lambda: bench.settler.sent)
    assert message.nonce == 7
    assert [signed.tx_hash for signed in message.signed] == [f"7@{FEE}"]
    assert message.batch.startswith(SIGNER[-8:])


async def test_work__signalled_when_idle__is_done_at_once(bench: Bench) -> None:
    await bench.start()
    await eventually(lambda: bench.settler.prepared)
    bench.settler.pending = 2
    await bench.handle.signal("work")
    await eventually(lambda: bench.settler.sent)
    assert len(bench.settler.swept) == 1


@pytest.mark.parametrize("args", [[], ["why"], [{"any": 1}, 2, None]])
async def test_work__signalled_with_any_arguments__freezes_nothing(
    bench: Bench, args: list[object]
) -> None:
    await bench.start()
    await eventually(lambda: bench.settler.prepared)
    bench.settler.pending = 1
    await bench.handle.signal("work", args=args)
    await eventually(lambda: bench.settler.sent)


async def test_batches__more_than_one_full__follow_without_a_signal(bench: Bench) -> None:
    bench.settler.pending = 120
    await bench.start()
    await eventually(lambda: len(bench.settler.sent) == 3)
    assert sorted(message.nonce for message in bench.settler.sent) == [7, 8, 9]
    assert sorted(prepared.count for prepared in bench.settler.signed) == [20, 50, 50]


async def test_batches__none_mined_yet__stop_at_four_nonces(bench: Bench) -> None:
    settler = bench.settler
    settler.gate.clear()
    settler.pending = 1000
    await bench.start()
    await eventually(lambda: len(settler.sent) == 4)
    for _ in range(3):
        await bench.handle.signal("work")
    await eventually(lambda: bench.handle.describe())
    assert settler.pending == 800
    settler.gate.set()
    await eventually(lambda: len(settler.sent) == 20)
    assert {message.nonce for message in settler.sent} == set(range(7, 27))


async def test_send__not_mined_in_time__signs_dearer_and_looks_for_both(bench: Bench) -> None:
    bench.settler.pending = 1
    bench.settler.answers = [not_mined(), not_mined(), mined]
    await bench.start()
    await eventually(lambda: len(bench.settler.sent) == 3)
    first, second, third = bench.settler.signed
    assert (first.nonce, first.data) == (second.nonce, second.data) == (third.nonce, third.data)
    assert [p.max_fee for p in bench.settler.signed] == [1000, 1100, 1210]
    assert [p.max_priority_fee for p in bench.settler.signed] == [10, 11, 13]
    last = bench.settler.sent[-1]
    assert [signed.tx_hash for signed in last.signed] == ["7@1000", "7@1100", "7@1210"]
    assert [signed.raw for signed in last.signed] == ["", "", "raw 7@1210"]


async def test_send__fees_at_the_ceiling__repeats_the_same_bytes(bench: Bench) -> None:
    bench.settler.pending = 1
    bench.settler.answers = [not_mined(ceiling=1099), not_mined(ceiling=1099), mined]
    await bench.start()
    await eventually(lambda: len(bench.settler.sent) == 3)
    assert len(bench.settler.signed) == 1
    assert {message.signed for message in bench.settler.sent} == {bench.settler.sent[0].signed}


async def test_send__no_gas_money__repeats_without_raising_fees(bench: Bench) -> None:
    bench.settler.pending = 1
    bench.settler.answers = [not_mined(BroadcastOutcome.NO_FUNDS)] * 2
    await bench.start()
    await eventually(lambda: len(bench.settler.sent) == 3)
    assert len(bench.settler.signed) == 1


async def test_send__underpriced_at_the_ceiling__does_not_spin(clock_bench: Bench) -> None:
    clock_bench.settler.pending = 1
    clock_bench.settler.answers = [not_mined(BroadcastOutcome.UNDERPRICED, ceiling=0), mined]
    await clock_bench.start(sweep_seconds=3600.0)
    await eventually(lambda: len(clock_bench.settler.sent) == 1)
    await clock_bench.pass_time(19)
    assert len(clock_bench.settler.sent) == 1
    await clock_bench.pass_time(2)
    await eventually(lambda: len(clock_bench.settler.sent) == 2)


@pytest.mark.parametrize("how", ["signer", "endpoint"])
async def test_nonce__of_a_batch_never_sent__is_given_back(clock_bench: Bench, how: str) -> None:
    settler = clock_bench.settler
    settler.pending = 1
    if how == "signer":
        settler.refuse_to_sign = {7}
    else:
        settler.answers = [not_mined(BroadcastOutcome.REFUSED)]
    await clock_bench.start()
    await eventually(lambda: settler.prepared and (settler.sent or settler.refuse_to_sign))
    await clock_bench.pass_time(31)
    settler.refuse_to_sign, settler.pending = set(), 1
    await clock_bench.pass_time(31)
    await eventually(lambda: len(settler.sent) == 1 + (how == "endpoint"))
    assert settler.sent[-1].nonce == 7
    (prepare,) = (p for p in settler.prepared if p.batch == settler.sent[-1].batch)
    assert prepare.in_use == ()
    assert all(sweep.in_flight == () for sweep in settler.swept)


async def test_nonces__of_batches_in_flight__are_named_to_prepare_and_sweep(bench: Bench) -> None:
    settler = bench.settler
    settler.gate.clear()
    settler.pending = 1
    await bench.start(sweep_seconds=0.5)
    await eventually(lambda: settler.sent)
    await eventually(lambda: settler.prepared[-1].in_use == (7,))
    await eventually(lambda: settler.swept[-1].in_flight == (settler.sent[0].batch,))
    settler.gate.set()


async def test_nonce__used_by_a_stranger_and_items_returned__are_prepared_again(
    bench: Bench,
) -> None:
    settler = bench.settler
    settler.pending = 1

    def stolen(_: SendBatchInput) -> SendBatchResult:
        settler.pending, settler.nonce = 1, 8
        return SendBatchResult(mined=False, nonce_used_by_other=True, returned=1)

    settler.answers = [stolen]
    await bench.start()
    await eventually(lambda: len(settler.sent) == 2)
    assert [message.nonce for message in settler.sent] == [7, 8]
    assert len(settler.swept) == 1


async def test_waiting__gas_money_missing__is_asked_again_by_the_sweep(clock_bench: Bench) -> None:
    settler = clock_bench.settler
    settler.pending, settler.waiting_for = 3, "gas money"
    await clock_bench.start()
    await eventually(lambda: settler.prepared)
    settler.waiting_for = ""
    await clock_bench.pass_time(31)
    await eventually(lambda: settler.sent)


async def test_run__continues_as_new__carries_the_batch_in_flight(bench: Bench) -> None:
    settler = bench.settler
    settler.gate.clear()
    settler.pending = 1
    settler.answers = [not_mined()]
    await bench.start(run_events=40)
    await eventually(lambda: settler.sent)
    for _ in range(40):
        await bench.handle.signal("work")
    settler.gate.set()
    await eventually(lambda: len(settler.sent) == 2)
    assert settler.sent[1].batch == settler.sent[0].batch
    assert [s.tx_hash for s in settler.sent[1].signed] == ["7@1000", "7@1100"]
    described = await bench.env.client.get_workflow_handle(bench.handle.id).describe()
    assert described.status is WorkflowExecutionStatus.RUNNING
    assert described.run_id != bench.handle.first_execution_run_id
