"""Every row of docs/reconcile.md has its case, every case its row, and every kind is explained."""

import re
from pathlib import Path

from activities.observations import KINDS

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "reconcile.md").read_text()


def test_table__each_row__names_a_case_and_each_case_a_row() -> None:
    rows = re.findall(r"`(test_\w+)` \|$", TABLE, re.MULTILINE)
    cases = re.findall(
        r"^async def (test_\w+)\(", (ROOT / "tests/e2e/test_seeded.py").read_text(), re.MULTILINE
    )
    assert sorted(rows) == sorted(cases)
    assert len(rows) >= 12


def test_kinds__each__is_in_the_runbook_and_in_the_table() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    section = runbook.partition("## Reconcile alarms")[2].partition("\n## ")[0]
    explained = set(re.findall(r"^\| ([A-Z_]+) \|", section, re.MULTILINE))
    assert explained == set(KINDS)
    assert [kind for kind in KINDS if kind not in TABLE] == []
