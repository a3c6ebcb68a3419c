"""Flows in spans. A flow that is not traced is run as it is: it costs one comparison."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

from pyengine.effects import Delay, Effect, Flow, Invoke
from pyengine.runs import WorkflowRun
from pyengine.spans import Span

T = TypeVar("T")


def observed(run: WorkflowRun, kind: str, name: str, step_id: int, flow: Flow[T]) -> Flow[T]:
    """A step's flow, in a span of its own if the run is traced. A replay has none: the first run had it."""
    if run.span is None or step_id in run.history:
        return flow
    return in_span(run.span.child(kind, name), flow)


def in_span(span: Span, flow: Flow[T]) -> Flow[T]:
    """A flow in a span: the functions that it invokes run in it, and its retries are noted in it."""
    resume: Callable[[], Effect] = flow.__next__
    try:
        while True:
            effect = resume()
            if isinstance(effect, Invoke):
                effect.span = span
            elif isinstance(effect, Delay) and effect.reason is not None:
                span.event("retry", effect.reason)
            try:
                value = yield effect
            except BaseException as error:
                resume = functools.partial(flow.throw, error)
            else:
                resume = functools.partial(flow.send, value)
    except StopIteration as end:
        span.end()
        result: T = end.value
        return result
    except BaseException as error:
        span.end(error)
        raise
