"""Where spans and logs go: over OTLP to the endpoints of the configuration, and to the application's own provider."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.telemetry import sending
from tests.telemetry.collector import Collector, collecting
from tests.telemetry.conftest import Launch, Spans

# A program in a process of its own: the tracer provider is set once for each.
OWN_PROVIDER = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pyengine import DBOS

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

@DBOS.workflow()
def provided():
    return 1

for _ in range(2):
    DBOS(config={"name": "test-app", "system_database_url": sys.argv[1], "enable_otlp": True,
                 "otlp_traces_endpoints": [sys.argv[2]], "log_level": "ERROR"})
    DBOS.launch()
    provided()
    DBOS.destroy()
print([span.name for span in exporter.get_finished_spans()], trace.get_tracer_provider() is provider)
"""

WITHOUT_OPENTELEMETRY = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from pyengine import DBOS, PropagateOtelContext
from pyengine.error import DBOSInitializationError

@DBOS.workflow()
def untraced():
    with DBOS.tracer.start_as_current_span("own") as span:
        span.set_attribute("a", 1)
        span.record_exception(ValueError())
        with DBOS.tracer.start_span("other"):
            return DBOS.span, span.is_recording()

try:
    DBOS(config={"name": "test-app", "system_database_url": sys.argv[1], "enable_otlp": True})
except DBOSInitializationError as error:
    print(error)
DBOS(config={"name": "test-app", "system_database_url": sys.argv[1], "log_level": "ERROR"})
DBOS.launch()
with PropagateOtelContext():
    print(untraced())
DBOS.destroy()
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


@DBOS.workflow()
def exported() -> str:
    DBOS.logger.warning("from %s", "inside")
    try:
        raise ValueError("logged")
    except ValueError:
        DBOS.logger.exception("with a traceback")
    DBOS.logger.info("not loud enough")
    with DBOS.tracer.start_as_current_span("own"):
        return "done"


def attributes_of(record: Any) -> dict[str, str]:
    return {each.key: each.value.string_value for each in record.attributes}


def test_spans_go_to_the_traces_endpoint_at_the_latest_when_dbos_is_destroyed(
    trace_launch: Launch, collector: Collector
) -> None:
    trace_launch(otlp_traces_endpoints=[f"{collector.url}/v1/traces"])

    exported()
    DBOS.destroy()

    assert [name for _, name in collector.spans()] == ["own", "exported"]
    assert collector.logs() == []


def test_after_destroy_nothing_more_is_sent(trace_launch: Launch, collector: Collector) -> None:
    trace_launch(otlp_traces_endpoints=[f"{collector.url}/v1/traces"])
    exported()
    DBOS.destroy()
    with DBOS.tracer.start_as_current_span("afterwards"):
        pass
    trace_launch()
    exported()
    DBOS.destroy()

    assert [name for _, name in collector.spans()] == ["own", "exported"]


def test_logs_go_to_the_logs_endpoint_with_their_ids(
    trace_launch: Launch, collected: Spans, collector: Collector
) -> None:
    trace_launch(
        otlp_logs_endpoints=[f"{collector.url}/v1/logs"],
        otlp_log_level="WARNING",
        log_level="INFO",
        console_log_level="CRITICAL",
        otlp_attributes={"team": "billing"},
    )
    with SetWorkflowID("logs"):
        exported()
    span = collected.one("exported")
    DBOS.destroy()

    first, second = collector.logs()
    assert first.body.string_value == "from inside"
    assert (first.severity_text, first.severity_number) == ("WARNING", 13)
    assert span.context is not None
    assert int.from_bytes(first.trace_id, "big") == span.context.trace_id
    found = attributes_of(first)
    assert found["operationUUID"] == "logs"
    assert int(found["traceId"], 16) == span.context.trace_id
    assert found["executorID"].startswith("test-")
    assert found["applicationVersion"]
    assert found["team"] == "billing"
    assert attributes_of(second)["exception.type"] == "ValueError"
    assert "test_export.py" in attributes_of(second)["exception.stacktrace"]


def test_endpoints_that_are_not_there_break_nothing_and_hold_destroy_up_for_seconds_only(
    trace_launch: Launch, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.server.server_close()
    trace_launch(
        otlp_traces_endpoints=[f"{collector.url}/v1/traces", f"{collector.url}/v2/traces"],
        otlp_logs_endpoints=[f"{collector.url}/v1/logs"],
    )

    assert exported() == "done"
    began = time.monotonic()
    DBOS.destroy()

    assert time.monotonic() - began < sending.STOP_SECONDS + 3
    assert any(record.name.startswith("opentelemetry") for record in caplog.records)


def test_the_applications_own_provider_is_used_and_feeds_the_endpoints_too(
    engine_url: str, collector: Collector
) -> None:
    program = [sys.executable, "-W", "error", "-c", OWN_PROVIDER]
    ran = subprocess.run(
        [*program, engine_url, f"{collector.url}/v1/traces"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.stdout, ran.stderr) == ("['provided', 'provided'] True\n", "")
    assert [name for _, name in collector.spans()] == ["provided", "provided"]


def test_without_opentelemetry_everything_else_works(engine_url: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_OPENTELEMETRY, engine_url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    refusal, result = ran.stdout.splitlines()
    assert "pip install 'pyengine[otel]'" in refusal
    assert result == "(None, False)"
    assert ran.stderr == ""
