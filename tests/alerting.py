"""The rules of Prometheus as data, and what must hold of them."""

import re
import shutil
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.compose import ROOT

FOLDER = ROOT / "deploy" / "prometheus"
# What Prometheus itself and the Temporal SDK tell: https://docs.temporal.io/references/sdk-metrics
OTHERS = frozenset(
    {
        "up",
        "temporal_workflow_task_execution_failed_total",
        "temporal_activity_schedule_to_start_latency_seconds_bucket",
    }
)
_NAME = re.compile(r"\b(?:bronco|temporal)_[a-z0-9_]+|\bup\b")


def rules() -> list[dict[str, Any]]:
    """Every rule."""
    groups = loaded(FOLDER / "alerts.yml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


def cases() -> list[dict[str, Any]]:
    """Every case of promtool: (alert, whether it must fire)."""
    return [
        one
        for test in loaded(FOLDER / "alerts_test.yml")["tests"]
        for one in test["alert_rule_test"]
    ]


def loaded(path: Path) -> Any:
    """A YAML file."""
    return YAML(typ="safe").load(path)


def names_in(query: str) -> set[str]:
    """Metrics that a query asks for; text in quotes is no query."""
    bare = re.sub(r"\b(?:by|on|ignoring|without)\s*\([^)]*\)", "", re.sub(r'"[^"]*"', "", query))
    return set(_NAME.findall(bare))


def anchors(markdown: str) -> set[str]:
    """What a link into the text may name: its headings, as forges spell them."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def hastened(folder: Path) -> Path:
    """The rules in a folder, with every `for` of a second: nothing else is changed."""
    folder.mkdir(parents=True, exist_ok=True)
    text = (FOLDER / "alerts.yml").read_text()
    (folder / "alerts.yml").write_text(re.sub(r"^(\s+for: )\S+$", r"\g<1>1s", text, flags=re.M))
    return folder / "alerts.yml"


def program(name: str) -> str:
    """Path of prometheus or promtool; `make setup` installs them."""
    found = shutil.which(name)
    assert found is not None, f"{name} is not installed: make setup"
    return found
