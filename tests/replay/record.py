"""Records the histories that tests/replay replays: `python -m tests.replay.record [NAME ...]`.

To be run when a workflow's commands changed on purpose, beside `workflow.patched()`; the old
recordings stay as long as runs of that age may live, under another name.
"""

import asyncio
import json
import sys
from pathlib import Path

from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from bronco.processes import require_program
from tests.replay.scenarios import SCENARIOS, Scenario
from tests.workflow.desk import Desk, first_run, open_desk

HISTORIES = Path(__file__).parent / "histories"


async def recorded(desk: Desk, scenario: Scenario) -> str:
    """One history as JSON, without what names the machine that made it."""
    history = json.loads((await first_run(await scenario(desk))).to_json())
    return json.dumps(_anonymous(history), indent=1, sort_keys=True) + "\n"


_NAMES_THE_MACHINE = {"identity": "worker", "stackTrace": ""}


def _anonymous(value: object) -> object:
    if isinstance(value, dict):
        return {k: _NAMES_THE_MACHINE.get(k, _anonymous(v)) for k, v in value.items()}
    if isinstance(value, list):
        return [_anonymous(each) for each in value]
    return value


async def record(names: list[str]) -> None:
    """Write the chosen recordings; all of them where none is named."""
    server = require_program("temporal-test-server", "run `make setup`")
    async with (
        await WorkflowEnvironment.start_time_skipping(
            data_converter=pydantic_data_converter, test_server_existing_path=str(server)
        ) as env,
        open_desk(env) as desk,
    ):
        for scenario in SCENARIOS:
            if not names or scenario.__name__ in names:
                text = await recorded(desk, scenario)
                (HISTORIES / f"{scenario.__name__}.json").write_text(text)
                sys.stdout.write(f"{scenario.__name__}: {len(text)} bytes\n")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:]))
