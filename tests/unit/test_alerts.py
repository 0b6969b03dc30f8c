"""Rules, their tests, the runbook and the code speak of the same things."""

import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from bronco import metrics
from bronco.metrics import REGISTRY, Told
from tests.alerting import FOLDER, OTHERS, anchors, cases, hastened, loaded, names_in, rules
from tests.compose import ROOT
from tools.metrics_doc import document, exported_names, ours

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()


def test_rules__each_one__has_a_case_that_fires_and_one_that_does_not() -> None:
    fires = {case["alertname"] for case in cases() if case["exp_alerts"]}
    stays = {case["alertname"] for case in cases() if not case["exp_alerts"]}
    named = {rule["alert"] for rule in rules()}
    assert fires == named
    assert stays == named
    assert len(named) == len(rules())


def test_rules__each_one__has_severity_summary_and_an_entry_in_the_runbook() -> None:
    there = anchors(RUNBOOK)
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}, rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert path == "docs/runbook.md"
        assert anchor in there, (rule["alert"], anchor)


def test_rules__each_metric__is_one_that_is_told() -> None:
    known = exported_names() | OTHERS
    for rule in rules():
        asked = names_in(rule["expr"])
        assert asked, rule["alert"]
        assert asked <= known, (rule["alert"], asked - known)


def test_names_in__a_query_of_a_metric_that_is_not__finds_it() -> None:
    query = 'max by (up) (bronco_nothing{kind="bronco_text"}) > 0 or absent(up)'
    assert names_in(query) == {"bronco_nothing", "up"}


def test_missing__every_gauge_a_rule_stands_on__is_watched_for() -> None:
    """A rule whose metric vanished must not read as fine: the rule, or MetricsMissing, says so."""
    by_name = {rule["alert"]: rule for rule in rules()}
    watched = set(re.findall(r"absent\((\w+)", by_name["MetricsMissing"]["expr"]))
    gauges = {f"{metric._name}" for metric in ours() if metric._type == "gauge"}
    for rule in rules():
        own = set(re.findall(r"absent\((\w+)", rule["expr"]))
        needed = (names_in(rule["expr"]) & gauges) - own - watched - MAY_BE_ABSENT
        assert not needed, (rule["alert"], needed)


MAY_BE_ABSENT = frozenset(
    {
        # Told where what it tells of is set up: signed heads, and a measurement each.
        "bronco_audit_broken",
        "bronco_audit_checked_timestamp_seconds",
        "bronco_measured_timestamp_seconds",
        # Told by whoever tells one that is watched for, in the same breath.
        "bronco_source_up",
        "bronco_orders_stage",
        "bronco_house_positions",
        "bronco_audit_oldest_unsealed_seconds",
        "bronco_chain_head_timestamp_seconds",
        "bronco_feed_heartbeat_seconds",
        "bronco_webhook_oldest_pending_seconds",
        "bronco_reserve_usdt_units",
        "bronco_liability_usdt_units",
        "bronco_float_usdt_units",
        "bronco_redeem_forecast_usdt_units",
        "bronco_reserve_shares",
        "bronco_issued_shares",
        "bronco_sold_shares",
        "bronco_settler_gas_low_wei",
        "bronco_signer_hour_used_ratio",
    }
)


def test_hastened__rules__differ_in_their_waits_alone(tmp_path: Path) -> None:
    quick = loaded(hastened(tmp_path))
    slow = loaded(FOLDER / "alerts.yml")
    for group in (*quick["groups"], *slow["groups"]):
        for rule in group["rules"]:
            assert rule.pop("for", "1s") == "1s" or group in slow["groups"]
    assert quick == slow


def test_document__of_metrics__is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == document()


def test_names__of_all_metrics__end_with_a_unit_or_total() -> None:
    for metric in ours():
        assert re.fullmatch(r"bronco_[a-z0-9_]+", metric._name)
        assert not set(metric._labelnames) & {"order_id", "workflow_id", "request_id", "tx_hash"}


def test_told__before_it_is_set_and_after_it_is_old__is_absent() -> None:
    gauge = Told("bronco_test_told", "For a test.", registry=None)
    assert list(gauge.collect()) == []
    gauge.set(0)
    assert [sample.value for one in gauge.collect() for sample in one.samples] == [0]
    gauge.lasts = -1
    assert list(gauge.collect()) == []
    gauge.lasts = 60
    gauge.clear()
    assert list(gauge.collect()) == []


@pytest.mark.parametrize("name", ["bronco_paused", "bronco_reconciled_timestamp_seconds"])
def test_registry__of_a_process_that_knows_nothing__does_not_say_zero(name: str) -> None:
    fresh = {metric._name: metric for metric in ours()}[name]
    assert isinstance(fresh, Told)
    assert metrics.PAUSED.lasts > 0
    assert b"bronco_source_up" in generate_latest(REGISTRY)
