"""AuditHeadWorkflow runs its activity where the folder is, and says what came of it."""

import uuid

from temporalio import activity
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from models.messages import AuditHeadResult
from models.requests import QUEUE_AUDIT
from workers.runner import sandbox
from workflows.audit import AuditHeadWorkflow


class FakeAuditor:
    runs = 0

    @activity.defn(name="sign_audit_head")
    async def sign_audit_head(self) -> AuditHeadResult:
        self.runs += 1
        if self.runs == 1:
            raise OSError("the folder is not mounted yet")
        return AuditHeadResult(seq=7, fault="entry 8: was changed")


async def test_audit_head__first_try_fails__second_ones_answer_counts(
    env: WorkflowEnvironment,
) -> None:
    queue, fake = f"audit-{uuid.uuid4().hex}", FakeAuditor()
    workflows = Worker(
        env.client, task_queue=queue, workflows=[AuditHeadWorkflow], workflow_runner=sandbox()
    )
    beside_folder = Worker(env.client, task_queue=QUEUE_AUDIT, activities=[fake.sign_audit_head])
    async with workflows, beside_folder:
        result = await env.client.execute_workflow(
            AuditHeadWorkflow.run, id=queue, task_queue=queue
        )
    assert result == AuditHeadResult(seq=7, fault="entry 8: was changed")
    assert fake.runs == 2
