"""OpenTelemetry's tracer provider: the application's own if it has set one, else one of pyengine's.

A process has one provider for good, a launch has its own exporters: they are changed inside an outlet
that the provider keeps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from pyengine.log import logger

_new_trace: ContextVar[str | None] = ContextVar("pyengine_new_trace", default=None)


@contextmanager
def trace_named(name: str) -> Iterator[None]:
    """A trace that begins in the block has an id made of this name, so that later runs of a workflow share it."""
    token = _new_trace.set(name)
    try:
        yield
    finally:
        _new_trace.reset(token)


class _TraceIds(RandomIdGenerator):
    def generate_trace_id(self) -> int:
        name = _new_trace.get()
        if name is None:
            return super().generate_trace_id()
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")


class Outlet(SpanProcessor):
    """Hands spans on to the processors of the present launch."""

    def __init__(self) -> None:
        self.processors: Sequence[SpanProcessor] = ()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """A span begins."""
        for each in self.processors:
            each.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """A span has ended."""
        for each in self.processors:
            each.on_end(span)

    def shutdown(self) -> None:
        """Send what is left, and hand on nothing any more."""
        processors, self.processors = self.processors, ()
        for each in processors:
            each.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is there."""
        sent = [each.force_flush(timeout_millis) for each in self.processors]
        return all(sent)


class _Process:
    outlet = Outlet()
    provider: TracerProvider | None = None  # that has the outlet


def open_outlet(service_name: str, processors: Sequence[SpanProcessor]) -> Outlet:
    """Let the process's spans, the application's own too, go to these processors until the outlet is shut down."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        resource = Resource.create({SERVICE_NAME: service_name})
        provider = TracerProvider(resource=resource, id_generator=_TraceIds())
        trace.set_tracer_provider(provider)
    if isinstance(provider, TracerProvider):
        if provider is not _Process.provider:
            provider.add_span_processor(_Process.outlet)
            _Process.provider = provider
    elif processors:
        logger.warning(
            "otlp_traces_endpoints get no spans: the application has set a tracer provider that takes no span processor"
        )
    _Process.outlet.processors = tuple(processors)
    return _Process.outlet
