"""The Temporal SDK's own metrics and log lines: they come from its Rust core, not from Python."""

from __future__ import annotations

import logging

from temporalio import activity, workflow
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from bronco.sections import MetricsSettings
from models.errors import ConfigurationError


def telemetry(settings: MetricsSettings) -> Runtime:
    """A runtime whose lines go through our logs, and whose metrics have a port if one is set.

    Raises:
        ConfigurationError: the port is taken.
    """
    # Its own lines would go to standard error as they are: no JSON, no redaction.
    lines = LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(logger=logging.getLogger("temporalio.core")),
    )
    # What they append to the message is in fields already: an event's name stays the same word.
    workflow.logger.workflow_info_on_message = False
    activity.logger.activity_info_on_message = False
    try:
        return Runtime(telemetry=TelemetryConfig(logging=lines, metrics=_metrics(settings)))
    except ValueError as error:
        where = f"{settings.host}:{settings.temporal_port}"
        problem = f"cannot listen on {where} ({error})"
        raise ConfigurationError("BRONCO_METRICS_TEMPORAL_PORT", problem) from error


def _metrics(settings: MetricsSettings) -> PrometheusConfig | None:
    if not settings.temporal_port:
        return None
    return PrometheusConfig(
        bind_address=f"{settings.host}:{settings.temporal_port}",
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
    )
