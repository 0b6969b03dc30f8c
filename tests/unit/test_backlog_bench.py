"""The bench of the backlog says when catching up was slower or larger than is promised."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bronco.bench import backlog
from bronco.bench.backlog import BacklogBench
from bronco.cli import bench


def measured(**changed: Any) -> BacklogBench:
    usual = {"requests": 5_000, "seconds": 99.0, "per_second": 50.5, "database": "sqlite"}
    memory = {"idle_mib": 230.0, "peak_mib": 252.2, "after_mib": 237.5}
    return BacklogBench.model_validate(usual | memory | changed)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, 0),
        ({"seconds": 119.9, "peak_mib": 280.0}, 0),
        ({"seconds": 120.0}, 1),
        ({"peak_mib": 280.1}, 1),
        ({"after_mib": 280.1}, 1),
        ({"requests": 100, "seconds": 119.9}, 0),
        ({"requests": 10_000, "seconds": 239.9}, 0),
        ({"requests": 10_000, "seconds": 240.0}, 1),
    ],
)
def test_backlog_bench__bounds__exits_with_one_outside_of_them(
    changed: dict[str, Any], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(directory: Path, **_: Any) -> BacklogBench:
        return measured(**changed)

    monkeypatch.setattr(backlog, "run", run)
    app = typer.Typer()
    bench.register(app)
    assert CliRunner().invoke(app, ["bench", "backlog", "--json"]).exit_code == code
