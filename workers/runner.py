"""The one sandbox that every worker, replayer and workflow test uses."""

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

PASSED_THROUGH = (
    *("models", "activities", "pydantic", "pydantic_core", "sqlmodel", "sqlalchemy"),
    *("eth_keys", "eth_utils", "cytoolz"),  # recovering who signed an approval
    "opentelemetry",  # temporalio's tracing, which reads its context while a workflow runs
)
"""Imported once per process: importing them again for each run costs seconds and leaks.

`workflows` itself is never passed through: its own code would not be policed any more.
"""


def sandbox() -> SandboxedWorkflowRunner:
    """Build the workflow runner."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    return SandboxedWorkflowRunner(restrictions=restrictions)
