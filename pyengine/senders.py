"""Who sends or publishes from where, and in which format."""

from __future__ import annotations

from pyengine.context import current_scope
from pyengine.errors import DBOSException
from pyengine.execution import Runtime
from pyengine.flows.messages import Sender
from pyengine.serialization import WorkflowSerializationFormat

DEFAULT_FORMAT = WorkflowSerializationFormat.DEFAULT


def sender_of(what: str) -> Sender:
    """Who publishes: the body of a workflow, or one of its steps.

    Raises:
        DBOSException: Called outside workflows; `what` says what was called.
    """
    sender = maybe_sender()
    if sender is None:
        raise DBOSException(f"{what} works only in a workflow or step")
    return sender


def maybe_sender() -> Sender | None:
    """Who sends; None outside workflows."""
    scope = current_scope()
    if scope is None:
        return None
    if scope.step is not None:
        return Sender(scope.run, scope.step.step_id, is_step=True)
    return Sender(scope.run, scope.run.next_step_id(), is_step=False)


def payload_tag(runtime: Runtime, given: WorkflowSerializationFormat) -> str:
    """The format of a payload: as given, or the workflow's own."""
    scope = current_scope()
    if given is not DEFAULT_FORMAT or scope is None:
        return runtime.codec.tag_for(given)
    return scope.run.serialization
