"""A Temporal server whose clock jumps over every wait."""

from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from bronco.processes import require_program

_TRIES = 6


async def new_environment() -> WorkflowEnvironment:
    """A new one. The SDK waits 5 s for it to start, which a busy machine does not always keep."""
    server = require_program("temporal-test-server", "run `make setup`")
    for tries in range(1, _TRIES + 1):
        try:
            return await WorkflowEnvironment.start_time_skipping(
                data_converter=pydantic_data_converter, test_server_existing_path=str(server)
            )
        except RuntimeError as error:
            if tries == _TRIES or "did not start" not in str(error):
                raise
    raise AssertionError("unreachable")
