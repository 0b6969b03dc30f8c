"""Spans of orders, sent by OTLP/HTTP: the way from the chain's event to its settlement.

Only what belongs to an order is traced. Watches, leases and queries run for ever, and a span for
each of their turns would be noise that somebody pays for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import temporalio.client
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status
from temporalio.client import OutboundInterceptor, StartWorkflowInput, WorkflowHandle
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from activities.spans import NEXT_IDS, context_of
from bronco.logs import Redaction
from bronco.sections import TracesSettings

_ORDER = "order-"
_DELAY_MILLISECONDS = 1_000
_SEND_SECONDS = 5


@contextmanager
def tracing(settings: TracesSettings, blot: Redaction, instance: str) -> Iterator[None]:
    """Collect spans while the block runs, if it is set where to; what is left is sent in the end.

    instance: which process this is.
    """
    if settings.url is None:
        yield
        return
    exporter = OTLPSpanExporter(
        settings.url.get_secret_value(), headers=settings.header_pairs, timeout=_SEND_SECONDS
    )
    provider = provider_of(Blotted(exporter, blot), settings.sample_percent, instance)
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


def provider_of(exporter: SpanExporter, percent: int, instance: str) -> TracerProvider:
    """Spans to an exporter. An order is sampled by its ids, so all processes choose alike."""
    provider = TracerProvider(
        id_generator=_Ids(),
        sampler=TraceIdRatioBased(percent / 100),
        resource=Resource.create({"service.name": "bronco", "service.instance.id": instance}),
    )
    processor = BatchSpanProcessor(exporter, schedule_delay_millis=_DELAY_MILLISECONDS)
    provider.add_span_processor(processor)
    return provider


class _Ids(RandomIdGenerator):
    """Random, except for what activities/spans.py names."""

    def generate_trace_id(self) -> int:
        named = NEXT_IDS.get()
        return named.trace if named else super().generate_trace_id()

    def generate_span_id(self) -> int:
        named = NEXT_IDS.get()
        return named.span if named else super().generate_span_id()


class Blotted(SpanExporter):
    """Takes what logs may not say out of spans, too: errors quote URLs."""

    def __init__(self, exporter: SpanExporter, blot: Redaction) -> None:
        self._exporter = exporter
        self._blot = blot

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them."""
        return self._exporter.export([self._clean(one) for one in spans])

    def shutdown(self) -> None:
        """Send no more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits."""
        return self._exporter.force_flush(timeout_millis)

    def _clean(self, span: ReadableSpan) -> ReadableSpan:
        said = span.status.description
        return ReadableSpan(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=self._texts(span.attributes),
            events=[
                Event(event.name, self._texts(event.attributes), event.timestamp)
                for event in span.events
            ],
            links=span.links,
            kind=span.kind,
            status=Status(span.status.status_code, self._blot.text(said) if said else None),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _texts(self, attributes: Mapping[str, Any] | None) -> dict[str, Any]:
        return {
            key: self._blot.text(value) if isinstance(value, str) else value
            for key, value in (attributes or {}).items()
        }


class OrderTracing(TracingInterceptor):
    """temporalio's interceptor, for orders alone."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        """Trace the start of an order, nothing else that a client does."""
        return _Starts(next, super().intercept_client(next), self)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Trace activities of traced workflows."""
        return _Activities(next, super().intercept_activity(next), self)


class _Starts(OutboundInterceptor):
    def __init__(
        self, next: OutboundInterceptor, traced: OutboundInterceptor, root: OrderTracing
    ) -> None:
        super().__init__(next)
        self._traced = traced
        self._root = root

    async def start_workflow(
        self, input: StartWorkflowInput
    ) -> temporalio.client.WorkflowHandle[Any, Any]:
        """Of an order: under the span of the event it comes from, in the order's own trace."""
        if not input.id.startswith(_ORDER):
            return await super().start_workflow(input)
        with self._root.tracer.start_as_current_span(
            "chain event",
            context=context_of(input.id),
            kind=SpanKind.CONSUMER,
            attributes=_seen(input),
        ):
            started: WorkflowHandle[Any, Any] = await self._traced.start_workflow(input)
            return started


def _seen(input: StartWorkflowInput) -> dict[str, str | int]:
    request = input.args[0] if input.args else None
    names = ("request_id", "n", "tx_hash", "created_block", "symbol")
    found = {name: getattr(request, name, "") for name in names}
    return {"order_id" if name == "request_id" else name: value for name, value in found.items()}


class _Activities(ActivityInboundInterceptor):
    def __init__(
        self,
        next: ActivityInboundInterceptor,
        traced: ActivityInboundInterceptor,
        root: OrderTracing,
    ) -> None:
        super().__init__(next)
        self._traced = traced
        self._root = root

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """Traced where the workflow is."""
        if self._root.header_key in input.headers:
            return await self._traced.execute_activity(input)
        return await super().execute_activity(input)
