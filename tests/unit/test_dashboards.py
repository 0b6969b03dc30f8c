"""Grafana's dashboards are what the table says, and ask for metrics that are told."""

import json
import re
from pathlib import Path

import pytest

from tests.alerting import OTHERS, loaded, names_in
from tests.compose import ROOT, services
from tools.dashboards import DASHBOARDS, FOLDER, rendered
from tools.metrics_doc import exported_names

PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"


def queries(uid: str) -> list[str]:
    """Every query of a dashboard."""
    panels = json.loads((FOLDER / f"{uid}.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def test_dashboards__in_the_folder__are_those_of_the_table() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(DASHBOARDS)
    for uid in DASHBOARDS:
        assert (FOLDER / f"{uid}.json").read_text() == rendered(uid), uid


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_queries__of_a_dashboard__ask_for_what_is_told(uid: str) -> None:
    known = exported_names() | OTHERS
    for query in queries(uid):
        named = names_in(query)
        assert named <= known, (query, named - known)
        assert named or "ALERTS" in query or "process_" in query


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_panels__of_a_dashboard__do_not_overlap(uid: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(rendered(uid))["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_provisioning__of_grafana__names_what_compose_mounts() -> None:
    (source,) = loaded(PROVISIONING / "datasources" / "prometheus.yml")["datasources"]
    (provider,) = loaded(PROVISIONING / "dashboards" / "bronco.yml")["providers"]
    mounts = [volume.split(":")[1] for volume in services()["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounts
    assert (
        source["uid"] == json.loads(rendered("bronco-overview"))["panels"][1]["datasource"]["uid"]
    )
    assert re.fullmatch(r"http://prometheus:\d+", source["url"])
    assert Path(FOLDER).is_dir()
