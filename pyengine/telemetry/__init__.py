"""OpenTelemetry: traces of workflows and steps, and the logs, sent to where the configuration says.

OpenTelemetry is imported only when it is asked for.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from pyengine._version import __version__
from pyengine.errors import DBOSInitializationError
from pyengine.settings import Settings
from pyengine.spans import Telemetry
from pyengine.telemetry.nothing import NoTracer

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def require(settings: Settings) -> None:
    """Refuse a configuration that exports telemetry where OpenTelemetry is not installed.

    Raises:
        DBOSInitializationError: It is not installed; says what to install.
    """
    if settings.enable_otlp and not all(map(_is_installed, _PACKAGES)):
        raise DBOSInitializationError(
            "configuration key 'enable_otlp' needs OpenTelemetry: pip install 'pyengine[otel]'"
        )


def start(settings: Settings, application_version: str) -> Telemetry | None:
    """Begin to make and send spans and logs; None when the configuration does not ask for it."""
    if not settings.enable_otlp:
        return None
    from pyengine.telemetry.export import Exporting

    return Exporting(settings, application_version)


def tracer() -> Tracer:
    """OpenTelemetry's tracer for the spans of the application, or one whose spans go nowhere."""
    try:
        from opentelemetry import trace
    except ImportError:
        nothing: Any = NoTracer()
        return nothing  # type: ignore[no-any-return]
    return trace.get_tracer("pyengine", __version__)


def current_span() -> Span | None:
    """The span of the calling code; None if there is none."""
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    span = trace.get_current_span()
    return span if span.get_span_context().is_valid else None


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
