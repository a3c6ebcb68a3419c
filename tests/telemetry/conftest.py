"""An engine that traces, and the spans that it has made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.workflows.support import PATIENCE_SECONDS

Launch = Callable[..., None]


class _Exporter(InMemorySpanExporter):
    """Says when something was exported."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self.changed:
            self.changed.notify_all()
            return super().export(spans)


class Spans:
    """The spans that have ended."""

    def __init__(self) -> None:
        self.exporter = _Exporter()
        self._is_added = False

    def collect(self) -> None:
        """From now on, with the provider that a launch has set."""
        provider = trace.get_tracer_provider()
        assert isinstance(provider, TracerProvider)
        if not self._is_added:
            provider.add_span_processor(SimpleSpanProcessor(self.exporter))
            self._is_added = True
        self.exporter.clear()

    def all(self) -> list[ReadableSpan]:
        """In the order in which they ended."""
        return list(self.exporter.get_finished_spans())

    def named(self, name: str, count: int) -> list[ReadableSpan]:
        """All of a name, in the order in which they began, as soon as so many of them have ended."""

        def found() -> list[ReadableSpan]:
            return [span for span in self.all() if span.name == name]

        with self.exporter.changed:
            self.exporter.changed.wait_for(lambda: len(found()) >= count, PATIENCE_SECONDS)
        assert len(found()) == count
        return sorted(found(), key=lambda span: span.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        """The only one of a name."""
        (span,) = self.named(name, 1)
        return span

    def parent(self, span: ReadableSpan) -> str | None:
        """The name of a span's parent; None for a root."""
        if span.parent is None:
            return None
        names = {each.context.span_id: each.name for each in self.all() if each.context}
        return names.get(span.parent.span_id, "elsewhere")


_spans = Spans()


@pytest.fixture
def trace_launch(launch: Launch) -> Iterator[Launch]:
    """Launch the engine with tracing, and collect its spans."""

    def start(**keys: Any) -> None:
        launch(enable_otlp=True, **keys)
        _spans.collect()

    yield start
    _spans.exporter.clear()


@pytest.fixture
def spans(trace_launch: Launch) -> Spans:
    """The spans of a launched engine that has nothing in it."""
    trace_launch()
    return _spans


@pytest.fixture
def collected() -> Spans:
    """The spans, for tests that launch for themselves."""
    return _spans


def trace_of(span: ReadableSpan) -> int:
    """The trace that a span is in."""
    assert span.context is not None
    trace_id: int = span.context.trace_id
    return trace_id
