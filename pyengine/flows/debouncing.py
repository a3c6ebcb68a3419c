"""Debouncing: put a workflow off with each call, and start it with the inputs of the last."""

from __future__ import annotations

from dataclasses import dataclass

from pyengine.database import queue_calls
from pyengine.database.rows import DebounceAnswer
from pyengine.effects import Flow
from pyengine.errors import (
    DBOSConflictError,
    DBOSConflictingWorkflowError,
    DBOSException,
    DBOSQueueDeduplicatedError,
)
from pyengine.flows.steps import record_error
from pyengine.flows.tracing import observed
from pyengine.flows.workflows import StartRequest, start_write
from pyengine.runs import WorkflowRun
from pyengine.spans import OPERATION

DEBOUNCE = "DBOS.debounce_delayed_workflow"


@dataclass(frozen=True, slots=True)
class Debounce:
    """A key, for how long a call puts its workflow off, and how long all of them may (both in seconds)."""

    key: str
    period: float
    timeout: float | None = None


def debounce_workflow(
    request: StartRequest,
    debounce: Debounce,
    parent: WorkflowRun | None = None,
    start_step_id: int | None = None,
) -> Flow[str]:
    """Put the workflow of a key off, or enqueue one; the id of the workflow that will run for this call.

    A workflow records two steps in the same commit: who was put off, and the start if it was nobody.
    """
    if parent is None or start_step_id is None:
        return _debounce(request, debounce)
    flow = _debounce_in(parent, request, debounce, start_step_id)
    return observed(parent, OPERATION, DEBOUNCE, start_step_id - 1, flow)


def _debounce_in(
    parent: WorkflowRun, request: StartRequest, debounce: Debounce, start_step_id: int
) -> Flow[str]:
    bounce_step_id = start_step_id - 1
    recorded = parent.recorded(bounce_step_id, DEBOUNCE)
    if recorded is not None:
        if recorded.child_workflow_id is None:
            parent.replay(recorded)
            recorded = parent.recorded(start_step_id, request.target.name)
        if recorded is None or recorded.child_workflow_id is None:
            raise DBOSException(
                f"steps {bounce_step_id} and {start_step_id} of workflow {parent.workflow_id} "
                "are not recorded as a debounced call"
            )
        return recorded.child_workflow_id
    parent.check()
    try:
        return (yield from _debounce(request, debounce, parent, start_step_id))
    except DBOSException as error:
        yield from record_error(parent, DEBOUNCE, bounce_step_id, error)
        raise


def _debounce(
    request: StartRequest,
    debounce: Debounce,
    parent: WorkflowRun | None = None,
    start_step_id: int | None = None,
) -> Flow[str]:
    try:
        answers: list[DebounceAnswer] = yield queue_calls.debounce_workflow(
            request=start_write(request, parent, start_step_id).document,
            debounce_key=debounce.key,
            period_ms=debounce.period * 1000,
            timeout_ms=None if debounce.timeout is None else debounce.timeout * 1000,
        )
    except DBOSConflictError as error:
        raise DBOSConflictingWorkflowError(request.workflow_id, error.message) from None
    except BaseException as error:
        if parent is not None:
            parent.end(error)
        raise
    (answer,) = answers
    if answer.refusal is not None:
        place = request.placement
        raise DBOSQueueDeduplicatedError(
            request.workflow_id, (place and place.queue_name) or "", debounce.key
        )
    return answer.workflow_id
