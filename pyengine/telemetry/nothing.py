"""Where OpenTelemetry is not installed: a tracer whose spans go nowhere, so that code that has spans runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class NoSpan:
    """A span that nobody sees: each of its methods does nothing."""

    def __enter__(self) -> NoSpan:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends nothing."""

    def _ignore(self, *_: object, **__: object) -> None:
        """Nothing."""

    end = set_attribute = set_attributes = add_event = add_link = _ignore
    update_name = set_status = record_exception = _ignore

    def is_recording(self) -> bool:
        """It is not."""
        return False


class NoTracer:
    """Makes spans that nobody sees."""

    def start_span(self, name: str, *_: object, **__: object) -> NoSpan:
        """A span that goes nowhere."""
        del name
        return NoSpan()

    @contextmanager
    def start_as_current_span(self, name: str, *_: object, **__: object) -> Iterator[NoSpan]:
        """A block, or a decorated function, in no span."""
        del name
        yield NoSpan()
