"""One signed head of the audit log; a Schedule starts it."""

from temporalio import workflow

from activities.auditing import AuditActivities
from models.messages import AuditHeadResult
from models.requests import QUEUE_AUDIT
from workflows.policies import AUDIT


@workflow.defn(name="AuditHeadWorkflow")
class AuditHeadWorkflow:
    """Runs its activity where the folder of signed heads is."""

    @workflow.run
    async def run(self) -> AuditHeadResult:
        """What was signed, or what is wrong with the log."""
        workflow.set_current_details("checks the audit log since its last signed head")
        result = await workflow.execute_activity_method(
            AuditActivities.sign_audit_head,
            task_queue=QUEUE_AUDIT,
            summary="check, sign, write outside the database",
            **AUDIT,
        )
        workflow.set_current_details(_words(result))
        return result


def _words(result: AuditHeadResult) -> str:
    if result.fault:
        return f"NOT SIGNED, the log was changed: {result.fault}"
    return f"{'signed' if result.signed else 'nothing new after'} entry {result.seq}"
