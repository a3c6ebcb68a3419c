"""Taking a trace along: the W3C trace context is stored with the workflow that is started."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from pyengine.context import Options, OptionsBlock, encode_attributes
from pyengine.errors import DBOSException

if TYPE_CHECKING:
    from opentelemetry.context import Context

ATTRIBUTE = "dbos.otelContext"

Carrier = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Propagated:
    """The trace to take along: a carrier, an OpenTelemetry context, or None for that of the moment."""

    context: Any = None

    def carrier(self) -> Carrier | None:
        """The W3C carrier (`traceparent`, and `tracestate` if there is one); None when there is no trace."""
        if _is_carrier(self.context):
            return cast("Carrier", self.context)
        try:
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError:
            return None
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, self.context)
        return carrier or None


class PropagateOtelContext(OptionsBlock):
    """Let workflows that are started or enqueued in the block go on with the caller's trace, wherever they run.

    The trace context is stored in the workflow's attributes, as `dbos.otelContext`. Without OpenTelemetry, or
    without a trace, nothing is stored.

    Args:
        context: An OpenTelemetry context, or a W3C carrier such as {"traceparent": ...}; None is the context of
            the moment at which a workflow is started.

    Raises:
        DBOSException: It is neither.
    """

    def __init__(self, context: Context | Carrier | None = None) -> None:
        super().__init__()
        self._propagated = propagated("context", context)

    def _change(self, options: Options) -> Options:
        return replace(options, propagated=self._propagated)


def propagated(name: str, context: object) -> Propagated:
    """What an argument says to take along.

    Raises:
        DBOSException: It is neither a carrier nor an OpenTelemetry context; names the argument.
    """
    if context is None or _is_carrier(context) or _is_context(context):
        return Propagated(context)
    raise DBOSException(
        f"{name} is a {type(context).__name__}: give an OpenTelemetry context, a dictionary of texts such as "
        '{"traceparent": ...}, or None for the current context'
    )


def with_carrier(attributes: str | None, carrier: Carrier | None) -> str | None:
    """Attributes as they are stored, with a carrier among them."""
    if carrier is None:
        return attributes
    values = {} if attributes is None else json.loads(attributes)
    return encode_attributes({**values, ATTRIBUTE: dict(carrier)})


def stored_carrier(attributes: object) -> Carrier | None:
    """The carrier among stored attributes, which anybody may have written."""
    found = attributes.get(ATTRIBUTE) if isinstance(attributes, Mapping) else None
    return cast("Carrier", found) if _is_carrier(found) else None


def _is_carrier(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(part, str) for item in value.items() for part in item)
    )


def _is_context(value: object) -> bool:
    try:
        from opentelemetry.context import Context
    except ImportError:
        return False
    return isinstance(value, Context)
