"""docs/metrics.md, out of the code: python -m tools.metrics_doc > docs/metrics.md."""

import sys

from prometheus_client.metrics import MetricWrapperBase

from bronco.metrics import REGISTRY

_HEAD = """\
# Metrics

What `/metrics` of the API and of each worker and signer (`BRONCO_METRICS_PORT`) tells. This file is
written by `python -m tools.metrics_doc`; a test compares. Alerts:
[deploy/prometheus/alerts.yml](../deploy/prometheus/alerts.yml), what to do: [runbook](runbook.md).

- **Several processes tell the same thing**, each what it last saw: take `max` or `min` over them,
  as the rules do. Counters and histograms: `sum`.
- **Absent is not 0.** A gauge is there once its process knows; what cannot be asked any more is
  taken away. Of what is measured by a loop (every `BRONCO_METRICS_EVERY_SECONDS`)
  `bronco_measured_timestamp_seconds{what}` says when. Rules watch for what is missing.
- **Counts come from the store** where there is one: they survive restarts, and two processes do
  not add up to twice as many.
- Labels are names and kinds out of fixed lists, symbols and endpoints of the settings; never an id.
- **The Temporal SDK's own** metrics (`temporal_*`: latencies, failed workflow tasks, slots, sticky
  cache) are at `BRONCO_METRICS_TEMPORAL_PORT` of each worker:
  https://docs.temporal.io/references/sdk-metrics

| Name | Kind | Labels | Meaning |
|---|---|---|---|
"""


def document() -> str:
    """The whole file."""
    return _HEAD + "\n".join(sorted(_row(metric) for metric in ours())) + "\n"


def ours() -> list[MetricWrapperBase]:
    """Every metric of the registry that we defined."""
    found = set(REGISTRY._names_to_collectors.values())
    return [metric for metric in found if isinstance(metric, MetricWrapperBase)]


def exported_names() -> set[str]:
    """Names of samples as a query may use them: with _total, _count, _sum and _bucket."""
    return {
        name
        for name, metric in REGISTRY._names_to_collectors.items()
        if isinstance(metric, MetricWrapperBase) and not name.endswith("_created")
    }


def _row(metric: MetricWrapperBase) -> str:
    ending = "_total" if metric._type == "counter" else ""
    labels = ", ".join(metric._labelnames)
    return f"| `{metric._name}{ending}` | {metric._type} | {labels} | {metric._documentation} |"


if __name__ == "__main__":
    sys.stdout.write(document())
