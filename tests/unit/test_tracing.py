"""Spans: named by what they are of, without secrets, chosen alike by every process."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from activities import spans
from bronco.logs import REDACTED, Redaction
from bronco.sections import TracesSettings
from bronco.settings import load_section
from models.errors import ConfigurationError
from models.order import Order, OrderStatus, Stage
from models.requests import Side
from tests.contracts.builders import NOW, request_id, settlement_item
from workers.tracing import Blotted, provider_of

BEGAN = NOW.replace(tzinfo=None)
LATER = BEGAN + timedelta(seconds=7)
SECRET = "s3cret-provider-key"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What is exported, of a provider for this test alone."""
    exporter = InMemorySpanExporter()
    provider = provider_of(Blotted(exporter, Redaction([SECRET])), 100, "test")
    monkeypatch.setattr(spans, "_tracer", provider.get_tracer("test"))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    yield exporter
    provider.shutdown()


def finished(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.force_flush()
    return {span.name: span for span in exporter.get_finished_spans()}


def order() -> Order:
    return Order(
        chain_id=1,
        vault="0x1",
        request_number=1,
        request_id=request_id(1),
        workflow_id=settlement_item(1).workflow_id,
        user_addr="0x2",
        order_type=Side.BUY,
        status=OrderStatus.EXECUTED,
        stage=Stage.SETTLED,
        created_at=BEGAN,
        updated_at=LATER,
    )


def test_order__told_by_two_processes__is_the_same_span(kept: InMemorySpanExporter) -> None:
    item = settlement_item(1, batch="b-1", created_at=BEGAN)
    for _ in range(2):
        spans.tell_order(order(), [], item, LATER)
    finished(kept)
    found = [span for span in kept.get_finished_spans() if span.name == "order"]
    ids = {(span.context.trace_id, span.context.span_id) for span in found if span.context}
    assert ids == {spans.ids_of(item.workflow_id)}
    assert [(span.end_time or 0) - (span.start_time or 0) for span in found] == [7 * 10**9] * 2


def test_batch__of_three_orders__links_to_each(kept: InMemorySpanExporter) -> None:
    items = [settlement_item(n, updated_at=BEGAN) for n in (1, 2, 3)]
    spans.tell_batch("b-1", items, "0xabc", LATER, nonce=7)
    (batch,) = finished(kept).values()
    linked = {(link.context.trace_id, link.context.span_id) for link in batch.links}
    assert linked == {spans.ids_of(item.workflow_id) for item in items}
    assert (batch.attributes or {})["nonce"] == 7


def test_span__whose_error_quotes_a_secret__is_sent_without_it(kept: InMemorySpanExporter) -> None:
    url = f"https://rpc.example.io/v3/{SECRET}"
    with pytest.raises(ConnectionError), spans.span("quote", url=url):
        raise ConnectionError(f"no answer from {url}, password=hunter2hunter2")
    sent = finished(kept)["quote"].to_json()
    assert SECRET not in sent
    assert "hunter2" not in sent
    assert "rpc.example.io" in sent
    assert REDACTED in sent


def test_span__nobody_collects__nothing_is_written() -> None:
    assert not spans.wanted()
    spans.tell_order(order(), [], None, LATER)
    with spans.span("place"):
        pass


def test_ids__of_any_name__are_never_none_and_always_the_same() -> None:
    ids = [spans.ids_of(f"order-{n}") for n in range(200)]
    assert all(one.trace and one.span for one in ids)
    assert len(set(ids)) == 200
    assert ids[0] == spans.ids_of("order-0")


@pytest.mark.parametrize(("percent", "least", "most"), [(0, 0, 0), (100, 200, 200), (50, 60, 140)])
def test_sample__of_orders__is_chosen_by_their_ids(percent: int, least: int, most: int) -> None:
    provider = provider_of(InMemorySpanExporter(), percent, "test")
    tracer = provider.get_tracer("test")
    chosen = [
        tracer.start_span("x", spans.context_of(f"order-{n}")).is_recording() for n in range(200)
    ]
    assert least <= sum(chosen) <= most
    provider.shutdown()


def test_settings__headers_without_a_value__are_refused_without_quoting_them() -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_section(TracesSettings, {"BRONCO_TRACES_HEADERS": SECRET})
    assert SECRET not in str(refused.value)
    told = load_section(TracesSettings, {"BRONCO_TRACES_HEADERS": f"Authorization=Bearer {SECRET}"})
    assert told.header_pairs == {"authorization": f"Bearer {SECRET}"}
