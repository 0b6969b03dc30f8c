"""promtool on the rules: they parse, and each fires when it should and not else."""

import json
import shutil
import subprocess
from pathlib import Path

from tests.alerting import FOLDER, program
from tests.unit.test_dashboards import queries
from tools.dashboards import DASHBOARDS


def promtool(*arguments: str, cwd: Path = FOLDER) -> subprocess.CompletedProcess[str]:
    words = [program("promtool"), *arguments]
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_rules__checked_by_promtool__are_well_formed() -> None:
    checked = promtool("check", "config", "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "rules found" in checked.stdout


def test_rules__on_planted_series__fire_and_stay_silent_as_told() -> None:
    tested = promtool("test", "rules", "alerts_test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_rules__with_a_threshold_moved__fail_their_test(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "moved")
    rules = tmp_path / "moved" / "alerts.yml"
    rules.write_text(rules.read_text().replace("bronco_unknown_oldest_seconds) > 300", "up) > 900"))
    tested = promtool("test", "rules", "alerts_test.yml", cwd=tmp_path / "moved")
    assert tested.returncode != 0
    assert "UnknownOutcomeOld" in tested.stdout + tested.stderr


def test_queries__of_every_dashboard__parse(tmp_path: Path) -> None:
    """promtool has no word for a query alone: as recording rules they are checked all the same."""
    rules = [
        {"record": f"dashboard:{index}", "expr": query}
        for index, query in enumerate(query for uid in DASHBOARDS for query in queries(uid))
    ]
    (tmp_path / "queries.yml").write_text(
        json.dumps({"groups": [{"name": "dashboards", "rules": rules}]})
    )
    checked = promtool("check", "rules", "queries.yml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout
