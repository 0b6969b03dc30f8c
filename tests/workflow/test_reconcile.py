"""ReconcileWorkflow runs its activity beside the broker, and gives up soon: a minute is short."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from models.messages import ReconcileResult
from models.requests import QUEUE_CONTROL
from workers.runner import sandbox
from workflows.reconcile import ReconcileWorkflow


class FakeReconciler:
    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.runs = 0

    @activity.defn(name="reconcile")
    async def reconcile(self) -> ReconcileResult:
        self.runs += 1
        if self.runs <= self.failures:
            raise ApplicationError("the database could not be asked", type="SourceUnavailable")
        return ReconcileResult(run=self.runs, requests=3, started=1)


@asynccontextmanager
async def reconciling(env: WorkflowEnvironment, fake: FakeReconciler) -> AsyncIterator[str]:
    queue = f"reconcile-{uuid.uuid4().hex}"
    runner = sandbox()
    workflows = Worker(
        env.client, task_queue=queue, workflows=[ReconcileWorkflow], workflow_runner=runner
    )
    beside_broker = Worker(env.client, task_queue=QUEUE_CONTROL, activities=[fake.reconcile])
    async with workflows, beside_broker:
        yield queue


async def test_reconcile__source_back_at_once__second_try_counts(env: WorkflowEnvironment) -> None:
    fake = FakeReconciler(failures=1)
    async with reconciling(env, fake) as queue:
        result = await env.client.execute_workflow(
            ReconcileWorkflow.run, id=f"r-{uuid.uuid4().hex}", task_queue=queue
        )
    assert result == ReconcileResult(run=2, requests=3, started=1)


async def test_reconcile__source_stays_down__fails_and_leaves_it_to_the_next_run(
    env: WorkflowEnvironment,
) -> None:
    fake = FakeReconciler(failures=99)
    async with reconciling(env, fake) as queue:
        with pytest.raises(WorkflowFailureError) as failed:
            await env.client.execute_workflow(
                ReconcileWorkflow.run, id=f"r-{uuid.uuid4().hex}", task_queue=queue
            )
    assert isinstance(failed.value.cause, ActivityError)
    assert fake.runs == 2
