"""Records the histories that tests/replay replays: `python -m tests.replay.record [NAME ...]`.

To be run when a workflow's commands changed on purpose, beside `workflow.patched()`; the old
recordings stay as long as runs of that age may live, under another name.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle

from tests.replay.scenarios import SCENARIOS
from tests.replay.settling import SETTLER_SCENARIOS
from tests.skipping import new_environment
from tests.workflow.desk import first_run, open_desk
from tests.workflow.house_fakes import flattened
from tests.workflow.test_settlement import settling

Handle = WorkflowHandle[Any, Any]
HISTORIES = Path(__file__).parent / "histories"


async def recorded(handle: Handle) -> str:
    """One history as JSON, without what names the machine that made it."""
    history = json.loads((await first_run(handle)).to_json())
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
    async with await new_environment() as env, open_desk(env) as desk:
        for scenario in SCENARIOS:
            if not names or scenario.__name__ in names:
                write(scenario.__name__, await recorded(await scenario(desk)))
    if not names or flattened.__name__ in names:
        async with await new_environment() as env:
            write(flattened.__name__, await recorded(await flattened(env)))
    for settler in SETTLER_SCENARIOS:
        if not names or settler.__name__ in names:
            async with await new_environment() as env, settling(env) as bench:
                write(settler.__name__, await recorded(await settler(bench)))


def write(name: str, text: str) -> None:
    """Keep a recording."""
    (HISTORIES / f"{name}.json").write_text(text)
    sys.stdout.write(f"{name}: {len(text)} bytes\n")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:]))
