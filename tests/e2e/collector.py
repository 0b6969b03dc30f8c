"""A little OpenTelemetry collector: OTLP over HTTP in, spans out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bronco.processes import free_port
from bronco.stack import HOST


class Seen(NamedTuple):
    """One span. Ids in hex, times in nanoseconds; links: (trace id, span id)."""

    name: str
    trace: str
    span: str
    parent: str
    begun: int
    ended: int
    attributes: dict[str, str]
    links: frozenset[tuple[str, str]]
    text: str


class Collector:
    """Keeps every span that was sent, and the headers they came with."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}/v1/traces"
        self.spans: list[Seen] = []
        self.headers: list[str] = []

    def of(self, trace: str) -> list[Seen]:
        """The spans of one trace, oldest first."""
        return sorted((s for s in self.spans if s.trace == trace), key=lambda one: one.begun)

    async def take(self, request: web.Request) -> web.Response:
        self.headers.append(request.headers.get("authorization", ""))
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                self.spans += [
                    Seen(
                        name=span.name,
                        trace=span.trace_id.hex(),
                        span=span.span_id.hex(),
                        parent=span.parent_span_id.hex(),
                        begun=span.start_time_unix_nano,
                        ended=span.end_time_unix_nano,
                        attributes={
                            one.key: one.value.string_value or str(one.value.int_value)
                            for one in span.attributes
                        },
                        links=frozenset(
                            (link.trace_id.hex(), link.span_id.hex()) for link in span.links
                        ),
                        text=str(span),
                    )
                    for span in scope.spans
                ]
        return web.Response()


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """Collecting until the end."""
    found = Collector(free_port())
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/traces", found.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, int(found.url.split(":")[2].split("/")[0])).start()
    try:
        yield found
    finally:
        await runner.cleanup()
