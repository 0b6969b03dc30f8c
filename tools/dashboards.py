"""Grafana's dashboards, out of a table: python -m tools.dashboards writes deploy/grafana/*.json."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards"
_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_WIDE, _HIGH, _LOW, _ACROSS = 24, 7, 4, 3


class Panel(NamedTuple):
    """One picture. queries: legend by query. unit: Grafana's. red: the value from which it is."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    red: float | None = None


class Row(NamedTuple):
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


def _stat(title: str, query: str, unit: str = "short", red: float | None = None) -> Panel:
    return Panel(title, {query: ""}, unit, "stat", red)


OVERVIEW = (
    Row(
        "Now",
        (
            _stat("Alerts that fire", 'count(ALERTS{alertstate="firing"}) or vector(0)', red=1),
            _stat("Trading is paused", "max(bronco_paused)", "bool_yes_no", 1),
            _stat("Holds", "sum(max by (kind) (bronco_holds))", red=1),
            _stat("Reconciled", "time() - max(bronco_reconciled_timestamp_seconds)", "s", 180),
            _stat("Mismatches", "sum(max by (kind) (bronco_findings))", red=1),
            _stat("Age of the chain's head", "max(bronco_chain_stalled_seconds)", "s", 60),
        ),
    ),
    Row(
        "Orders",
        (
            Panel(
                "By stage",
                {"max by (stage) (bronco_orders_stage) > 0": "{{stage}}"},
            ),
            Panel(
                "Oldest by stage",
                {"max by (stage) (bronco_orders_oldest_seconds) > 0": "{{stage}}"},
                "s",
            ),
            Panel(
                "Failures an hour, by reason",
                {"max by (reason) (delta(bronco_orders_failed[1h])) > 0": "{{reason}}"},
            ),
        ),
    ),
    Row(
        "Money",
        (
            Panel(
                "USDT of the vault, and what it owes",
                {
                    "max(bronco_reserve_usdt_units) / 1e6": "held",
                    "max(bronco_liability_usdt_units) / 1e6": "owed to users",
                    "max(bronco_float_usdt_units) / 1e6": "free",
                },
            ),
            Panel(
                "Shares held, and issued",
                {
                    "max by (symbol) (bronco_reserve_shares)": "{{symbol}} held",
                    "max by (symbol) (bronco_issued_shares)": "{{symbol}} issued",
                },
            ),
            Panel(
                "What redeems will need",
                {
                    "max by (days) (bronco_redeem_forecast_usdt_units) / 1e6": "{{days}} days",
                    "max(bronco_float_usdt_units) / 1e6": "free",
                },
            ),
        ),
    ),
    Row(
        "Sources",
        (
            Panel("Sources that answer", {"min by (source) (bronco_source_up)": "{{source}}"}),
            Panel(
                "Clocks ahead of ours",
                {"max by (source) (bronco_clock_skew_seconds)": "{{source}}"},
                "s",
            ),
            Panel(
                "Age of the price feeds",
                {"time() - max by (symbol) (bronco_feed_updated_timestamp_seconds)": "{{symbol}}"},
                "s",
            ),
        ),
    ),
)

SETTLEMENT = (
    Row(
        "Now",
        (
            _stat("Ether of the settler", "max(bronco_settler_gas_wei) / 1e18"),
            _stat("Signer answers", "min(bronco_signer_up)", "bool_yes_no"),
            _stat("In the mempool", "max(bronco_settler_pending_transactions)"),
            _stat(
                "Refused by the vault",
                'sum(max by (kind) (bronco_settlement_items{state="REJECTED"}))',
                red=1,
            ),
        ),
    ),
    Row(
        "Items",
        (
            Panel(
                "By kind and state",
                {
                    'max by (kind, state) (bronco_settlement_items{state!="FINAL"})': (
                        "{{kind}} {{state}}"
                    )
                },
            ),
            Panel(
                "Oldest",
                {
                    'max by (kind, state) (bronco_settlement_oldest_seconds{state=~"PENDING|SENT"})'
                    "": "{{kind}} {{state}}"
                },
                "s",
            ),
            Panel(
                "Alarms an hour",
                {"sum by (kind) (increase(bronco_settlement_alarms_total[1h])) > 0": "{{kind}}"},
            ),
        ),
    ),
    Row(
        "Signer",
        (
            Panel(
                "Signatures a minute",
                {"sum by (outcome) (rate(bronco_signatures_total[5m])) * 60": "{{outcome}}"},
            ),
            Panel(
                "Of its hour used up",
                {"max by (limit) (bronco_signer_hour_used_ratio)": "{{limit}}"},
                "percentunit",
            ),
            Panel("Transactions", {"max(bronco_settler_nonce)": "nonce"}),
        ),
    ),
)

BROKER = (
    Row(
        "Broker",
        (
            Panel(
                "OpenD answers",
                {"max by (endpoint) (bronco_broker_endpoint_up)": "{{endpoint}}"},
            ),
            Panel(
                "Age of the book",
                {"time() - max(bronco_broker_book_read_timestamp_seconds)": "book"},
                "s",
            ),
            Panel(
                "Windows of the account",
                {
                    "max by (call) (bronco_broker_window_used)": "{{call}} used",
                    "max by (call) (bronco_broker_window_limit)": "{{call}} limit",
                },
            ),
            Panel("In line", {"max by (side) (bronco_line_orders)": "{{side}}"}),
            Panel("Placements in flight", {"max(bronco_placements_in_flight)": "in flight"}),
            Panel("Oldest unknown outcome", {"max(bronco_unknown_oldest_seconds)": "unknown"}, "s"),
        ),
    ),
    Row(
        "Chain",
        (
            Panel("Agreed head", {"max(bronco_chain_head_block)": "block"}),
            Panel("Requests not looked at yet", {"max(bronco_chain_backlog)": "requests"}),
            Panel(
                "Endpoints behind",
                {"max by (endpoint) (bronco_chain_endpoint_lag_blocks)": "{{endpoint}}"},
            ),
        ),
    ),
)

PROCESSES = (
    Row(
        "API",
        (
            Panel(
                "Requests a second",
                {"sum by (route) (rate(bronco_http_requests_total[5m]))": "{{route}}"},
            ),
            Panel(
                "99 of 100 are faster than",
                {
                    "histogram_quantile(0.99, sum by (route, le) "
                    "(rate(bronco_http_request_seconds_bucket[5m])))": "{{route}}"
                },
                "s",
            ),
            Panel("Readers of changes", {"sum(bronco_http_streams)": "streams"}),
        ),
    ),
    Row(
        "Activities",
        (
            Panel(
                "Ended a second",
                {
                    "sum by (activity) (rate(bronco_activity_seconds_count[5m])) > 0.01": (
                        "{{activity}}"
                    )
                },
            ),
            Panel(
                "Ended badly a minute",
                {
                    "sum by (activity, outcome) "
                    '(rate(bronco_activity_seconds_count{outcome!="ok"}[5m])) * 60 > 0': (
                        "{{activity}} {{outcome}}"
                    )
                },
            ),
            Panel(
                "19 of 20 are faster than",
                {
                    "histogram_quantile(0.95, sum by (activity, le) "
                    "(rate(bronco_activity_seconds_bucket[5m])))": "{{activity}}"
                },
                "s",
            ),
        ),
    ),
    Row(
        "Temporal",
        (
            Panel(
                "Activities wait for a worker",
                {
                    "histogram_quantile(0.95, sum by (task_queue, le) "
                    "(rate(temporal_activity_schedule_to_start_latency_seconds_bucket[5m])))": (
                        "{{task_queue}}"
                    )
                },
                "s",
            ),
            Panel(
                "Failed workflow tasks",
                {
                    "sum by (workflow_type) "
                    "(increase(temporal_workflow_task_execution_failed_total[5m])) > 0": (
                        "{{workflow_type}}"
                    )
                },
            ),
            Panel(
                "Memory",
                {'process_resident_memory_bytes{job=~"bronco.*"}': "{{instance}}"},
                "bytes",
            ),
        ),
    ),
)

DASHBOARDS: dict[str, tuple[Row, ...]] = {
    "bronco-overview": OVERVIEW,
    "bronco-settlement": SETTLEMENT,
    "bronco-broker-and-chain": BROKER,
    "bronco-processes": PROCESSES,
}


def rendered(uid: str) -> str:
    """The JSON of one dashboard."""
    board = {
        "uid": uid,
        "title": uid.replace("-", " ").capitalize(),
        "tags": ["bronco"],
        "timezone": "utc",
        "schemaVersion": 39,
        "refresh": "15s",
        "time": {"from": "now-3h", "to": "now"},
        "panels": list(_panels(DASHBOARDS[uid])),
    }
    return json.dumps(board, indent=1) + "\n"


def _panels(rows: tuple[Row, ...]) -> Iterator[dict[str, Any]]:
    number, top = 1, 0
    for row in rows:
        place = {"h": 1, "w": _WIDE, "x": 0, "y": top}
        yield {"id": number, "type": "row", "title": row.title, "gridPos": place, "panels": []}
        number, top = number + 1, top + 1
        stats = row.panels[0].kind == "stat"
        across, high = (len(row.panels), _LOW) if stats else (_ACROSS, _HIGH)
        for index, panel in enumerate(row.panels):
            line, column = divmod(index, across)
            wide = _WIDE // across
            place = {"h": high, "w": wide, "x": column * wide, "y": top + line * high}
            yield {"id": number, "gridPos": place, **_picture(panel)}
            number += 1
        top += high * -(-len(row.panels) // across)


def _picture(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red is not None:
        steps.append({"color": "red", "value": panel.red})
    defaults = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "type": panel.kind,
        "title": panel.title,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend or "__auto"}
            for index, (query, legend) in enumerate(panel.queries.items())
        ],
    }


def main() -> None:
    """Write them all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for uid in DASHBOARDS:
        (FOLDER / f"{uid}.json").write_text(rendered(uid))


if __name__ == "__main__":
    main()
