"""Recorded lives of orders replay against today's workflows, in the production sandbox.

A recording that does not replay means that orders in flight would stop at the next deployment.
"""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.replay.planted import ReadsFirst, SettlesLater, SleepsFirst
from tests.replay.scenarios import SCENARIOS
from tests.replay.settling import SETTLER_SCENARIOS
from tests.workflow.house_fakes import flattened
from workers.build import WORKFLOWS
from workers.runner import sandbox
from workers.tracing import OrderTracing

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


def history_of(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text())


def replayer(*workflows: type, traced: bool = False) -> Replayer:
    return Replayer(
        workflows=list(workflows),
        workflow_runner=sandbox(),
        data_converter=pydantic_data_converter,
        interceptors=[OrderTracing()] if traced else [],
    )


def test_recordings__of_every_scenario__are_there() -> None:
    scenarios = {one.__name__ for one in (*SCENARIOS, *SETTLER_SCENARIOS, flattened)}
    assert scenarios <= {path.stem for path in HISTORIES}
    assert len(HISTORIES) >= 8


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_recording__replayed_with_todays_code__fits(path: Path) -> None:
    await replayer(*WORKFLOWS).replay_workflow(history_of(path))


@pytest.mark.parametrize("name", ["deposit", "unknown_found", "settlement", "control"])
async def test_recording__replayed_where_orders_are_traced__fits(name: str) -> None:
    path = next(path for path in HISTORIES if path.stem == name)
    await replayer(*WORKFLOWS, traced=True).replay_workflow(history_of(path))


@pytest.mark.parametrize(
    ("planted", "name"),
    [
        (SleepsFirst, "deposit"),
        (ReadsFirst, "deposit"),
        *((SettlesLater, scenario.__name__) for scenario in SETTLER_SCENARIOS),
    ],
)
async def test_recording__replayed_with_other_commands__is_refused(
    planted: type, name: str
) -> None:
    path = next(path for path in HISTORIES if path.stem == name)
    with pytest.raises(NondeterminismError):
        await replayer(planted).replay_workflow(history_of(path))
