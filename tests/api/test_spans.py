"""What an operator who set up OpenTelemetry sees: where a call's time went, and no secret."""

import logging
from collections.abc import Iterator
from contextlib import suppress

import httpx2
import pytest
from mcp import MCPError
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from support.clients import IDS, Era, both_eras, connected
from support.faults import Fault, reply, scripted


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """What one test finishes; OpenTelemetry takes one provider for the life of a process, so they share it."""
    exporter = InMemorySpanExporter()
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    processor = SimpleSpanProcessor(exporter)
    provider.add_span_processor(processor)
    yield exporter
    processor.shutdown()


@both_eras
@pytest.mark.parametrize("key", ["sandbox-key", "wrong-s3cr3t-key"])
async def test_a_request_to_patchworks_is_a_span_below_its_tool_call_s_and_holds_no_secret(
    era: Era, key: str, spans: InMemorySpanExporter
) -> None:
    """Accepted or refused: its parent is the server's span of the call, it has the status, and nothing has the key."""
    async with connected(api_key=key, era=era) as client:
        await client.call_tool("get_deployment", IDS)
    finished = {span.context.span_id: span for span in spans.get_finished_spans() if span.context}
    (request,) = [span for span in finished.values() if span.name == "GET Patchworks"]
    assert request.kind is SpanKind.CLIENT
    assert request.attributes
    assert request.attributes["http.response.status_code"] == (200 if key == "sandbox-key" else 401)
    assert request.parent
    call = finished[request.parent.span_id]
    assert (call.kind, call.name) == (SpanKind.SERVER, "tools/call get_deployment")
    assert not any(key in str(span.to_json()) for span in finished.values())


KEY = "k9Fz-3aQx7-Lw2M"


def _broken(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.RemoteProtocolError(f"illegal status line: bytearray(b'HTTP/1.1 2x0 {KEY}')", request=request)


ECHOES: dict[str, Fault] = {
    "exception": _broken,
    "reason": lambda _: httpx2.Response(200, json={"id": 500}, extensions={"reason_phrase": KEY.encode()}),
    "body": reply(200, KEY.encode()),
    "error": reply(500, {"message": KEY}),
}


@both_eras
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
async def test_what_is_echoed_reaches_no_span_and_no_log(
    era: Era, echo: Fault, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the text of the HTTP client's exception, which quotes what it could not read, and in no traceback."""
    caplog.set_level(logging.INFO)
    async with connected(api_key=KEY, transport=scripted(echo), era=era) as client:
        await client.call_tool("get_deployment", IDS)
        with suppress(MCPError):
            await client.read_resource("patchworks://deployments")
    assert spans.get_finished_spans()
    assert not [span.name for span in spans.get_finished_spans() if KEY in span.to_json()]
    assert KEY not in caplog.text
    assert not [record for record in caplog.records if KEY in repr(record.__dict__)]
