"""The telemetry of one launch: its spans, their attributes, and where they and the logs go."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from pyengine._version import __version__
from pyengine.runs import ContinuedRun, HibernatedRun, WorkflowRun
from pyengine.settings import Settings
from pyengine.spans import WORKFLOW
from pyengine.telemetry.logs import LogExport
from pyengine.telemetry.provider import open_outlet, trace_named
from pyengine.telemetry.sending import Pipe, close

_SEMCONV = {
    "operationUUID": "dbos.operation.uuid",
    "operationType": "dbos.operation.type",
    "applicationID": "dbos.application.id",
    "applicationVersion": "dbos.application.version",
    "executorID": "dbos.executor.id",
    "authenticatedUser": "dbos.authenticated_user.name",
    "authenticatedUserRoles": "dbos.authenticated_user.roles",
    "authenticatedUserAssumedRole": "dbos.authenticated_user.assumed_role",
    "queueName": "dbos.queue.name",
}

# A run that ends in one of these ways has not failed: another one goes on with its workflow.
_GOES_ON: Mapping[type[BaseException], str] = {
    HibernatedRun: "hibernated",
    ContinuedRun: "continued as new",
}


class Exporting:
    """Makes the spans of a launched engine, and sends them and its logs.

    Args:
        settings: What the configuration says.
        application_version: The version that runs.
    """

    def __init__(self, settings: Settings, application_version: str) -> None:
        self._application = settings.name
        self._names = _SEMCONV if settings.otel_attribute_format == "semconv" else {}
        self._shared: Mapping[str, AttributeValue] = {
            **settings.otlp_attributes,
            **self._named(
                applicationID=settings.application_id or None,
                applicationVersion=application_version,
                executorID=settings.executor_name,
            ),
        }
        exporters = [OTLPSpanExporter(endpoint=each) for each in settings.otlp_traces_endpoints]
        processors = [BatchSpanProcessor(each) for each in exporters]
        self._pipes = list(map(Pipe, processors, exporters))
        self._outlet = open_outlet(settings.name, processors)
        self._logs = LogExport(settings, self._names)
        self._tracer = trace.get_tracer("pyengine", __version__)

    def workflow(self, run: WorkflowRun) -> RunSpan:
        """Begin the span of a run: in the trace that its workflow was given, or that of the code that starts it.

        A run that begins a trace gives it an id made of the workflow's, so that the runs after it are in the same.
        """
        context = self._context_of(run)
        is_root = not trace.get_current_span(context).get_span_context().is_valid
        with trace_named(f"{self._application}:{run.workflow_id}") if is_root else nullcontext():
            return self.begin(run, WORKFLOW, run.name, context)

    def begin(self, run: WorkflowRun, kind: str, name: str, context: Context | None) -> RunSpan:
        """Begin a span of a run."""
        attributes = {
            **self._shared,
            **self._named(
                operationUUID=run.workflow_id, operationType=kind, queueName=run.queue_name
            ),
            **self.identity_of(run),
        }
        return RunSpan(self, run, self._tracer.start_span(name, context, attributes=attributes))

    def identity_of(self, run: WorkflowRun) -> dict[str, AttributeValue]:
        """The attributes that say on whose behalf a run acts."""
        identity = run.identity
        return self._named(
            authenticatedUser=identity.user,
            authenticatedUserRoles=tuple(identity.roles) if identity.roles else None,
            authenticatedUserAssumedRole=identity.assumed_role,
        )

    def trace_id(self) -> str | None:
        """The trace that the calling code belongs to."""
        context = trace.get_current_span().get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else None

    def stop(self) -> None:
        """Send what is left, and send no more."""
        self._outlet.processors = ()
        close([*self._pipes, *self._logs.detach()])
        self._logs.stop()

    def _context_of(self, run: WorkflowRun) -> Context | None:
        if run.carrier is not None:
            return TraceContextTextMapPropagator().extract(run.carrier, Context())
        return Context() if run.is_claimed else None

    def _named(self, **values: AttributeValue | None) -> dict[str, AttributeValue]:
        """Attributes under the names of the configured format; absent ones are left out."""
        return {
            self._names.get(name, name): value
            for name, value in values.items()
            if value is not None
        }


class RunSpan:
    """A span of a run; see `pyengine.spans.Span`."""

    __slots__ = ("_exporting", "_run", "_span")

    def __init__(self, exporting: Exporting, run: WorkflowRun, span: trace.Span) -> None:
        self._exporting = exporting
        self._run = run
        self._span = span

    def child(self, kind: str, name: str) -> RunSpan:
        """Begin a span inside the calling code's, which may be one of the user's."""
        is_inside = trace.get_current_span().get_span_context().is_valid
        context = None if is_inside else trace.set_span_in_context(self._span)
        return self._exporting.begin(self._run, kind, name, context)

    def event(self, name: str, text: str) -> None:
        """Note that something happened."""
        self._span.add_event(name, {"message": text})

    def current(self) -> AbstractContextManager[object]:
        """In the block it is the span of the calling code."""
        return trace.use_span(self._span, record_exception=False, set_status_on_exception=False)

    def end(self, error: BaseException | None = None) -> None:
        """End the span. Of an error only its type is told: its message may hold what a user sent."""
        self._span.set_attributes(self._exporting.identity_of(self._run))
        if error is None:
            self._span.set_status(Status(StatusCode.OK))
        elif type(error) in _GOES_ON:
            self._span.add_event(_GOES_ON[type(error)])
        else:
            kind = _name_of(type(error))
            self._span.set_attribute("error.type", kind)
            self._span.set_status(Status(StatusCode.ERROR, kind))
        self._span.end()


def _name_of(kind: type[BaseException]) -> str:
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"
