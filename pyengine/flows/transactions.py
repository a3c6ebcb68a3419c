"""Transactional steps: the user's statements and the checkpoint that says they are done, at most once together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyengine.attempts import Committed, Encoded, Ending, Failed, Found, Repeat, Taken, Unrecorded
from pyengine.database import calls
from pyengine.database.rows import StatementResult, StepRow
from pyengine.effects import Delay, Flow, Invoke
from pyengine.errors import DBOSUnexpectedStepError
from pyengine.flows.steps import StepStatus, record_error, record_output, store_recorded
from pyengine.flows.tracing import observed
from pyengine.runs import Recorded, WorkflowRun
from pyengine.spans import TRANSACTION


def run_transaction(
    run: WorkflowRun,
    name: str,
    step_id: int,
    attempt: Callable[[StepStatus], Any],
    replay: Callable[[Recorded], Any] | None = None,
) -> Flow[Any]:
    """Run a transactional step of a workflow, or replay its recorded outcome.

    Args:
        run: The run of the workflow.
        name: The step's recorded name.
        step_id: The step's number.
        attempt: Runs the user's function in one transaction and says how that ended; an error that it raises
            ends the run.
        replay: Reads a recorded outcome; as the run's codec does by default.
    """
    flow = _run_transaction(run, name, step_id, attempt, replay or run.replay)
    return observed(run, TRANSACTION, name, step_id, flow)


def _run_transaction(
    run: WorkflowRun,
    name: str,
    step_id: int,
    attempt: Callable[[StepStatus], Any],
    replay: Callable[[Recorded], Any],
) -> Flow[Any]:
    recorded = run.recorded(step_id, name)
    if recorded is not None:
        return replay(recorded)
    with run.branch():
        return (yield from _transaction(run, name, step_id, attempt, replay))


def _transaction(
    run: WorkflowRun,
    name: str,
    step_id: int,
    attempt: Callable[[StepStatus], Any],
    replay: Callable[[Recorded], Any],
) -> Flow[Any]:
    while True:
        invoke = Invoke(attempt, (StepStatus(step_id),), run=run)
        try:
            ending: Ending = yield invoke
        except BaseException as error:
            raise run.end(error) from None
        if isinstance(ending, Committed):
            if isinstance(ending.output, Encoded):
                return replay(ending.output.recorded(name))
            return ending.output
        if isinstance(ending, Unrecorded) and isinstance(ending.output, Encoded):
            ending = Found(ending.output.recorded(name))
        if isinstance(ending, Unrecorded):
            return (yield from record_output(run, name, step_id, ending.output, invoke.elapsed_ms))
        if isinstance(ending, Found):
            return replay((yield from store_recorded(run, name, step_id, ending.recorded)))
        if isinstance(ending, Failed):
            return (yield from record_error(run, name, step_id, ending.error, invoke.elapsed_ms))
        if isinstance(ending, Repeat):
            yield Delay(ending.pause)
        if isinstance(ending, Taken) or ending.in_doubt:
            stored = yield from find_stored(run, name, step_id)
            if stored is not None:
                return replay(stored)


def run_statement(
    run: WorkflowRun,
    name: str,
    step_id: int,
    statement: calls.DeclaredStatement,
    read: Callable[[StatementResult], str],
    replay: Callable[[Recorded], Any],
) -> Flow[Any]:
    """Run a statement that records its own checkpoint, or replay its recorded outcome.

    Args:
        run: The run of the workflow.
        name: The step's recorded name.
        step_id: The step's number.
        statement: The statement; it is sent again after an outage, and then finds its own checkpoint.
        read: Gives the output that the statement has recorded.
        replay: Reads a recorded outcome.
    """
    flow = _run_statement(run, name, step_id, statement, read, replay)
    return observed(run, TRANSACTION, name, step_id, flow)


def _run_statement(
    run: WorkflowRun,
    name: str,
    step_id: int,
    statement: calls.DeclaredStatement,
    read: Callable[[StatementResult], str],
    replay: Callable[[Recorded], Any],
) -> Flow[Any]:
    recorded = run.recorded(step_id, name)
    if recorded is not None:
        return replay(recorded)
    try:
        results: list[StatementResult] = yield statement
    except Exception as error:
        stored = yield from find_stored(run, name, step_id)
        if stored is not None:
            return replay(stored)
        return (yield from record_error(run, name, step_id, error))
    except BaseException as error:
        raise run.end(error) from None
    return replay(Encoded(read(results[0])).recorded(name))


def find_stored(run: WorkflowRun, name: str, step_id: int) -> Flow[Recorded | None]:
    """Ask the database for the outcome of a step: another run may have stored it, or a commit without an answer.

    Raises:
        DBOSUnexpectedStepError: The number belongs to another step.
    """
    rows: list[StepRow] = yield calls.list_steps(workflow_id=run.workflow_id)
    for row in rows:
        if row.step_id == step_id:
            if row.name != name:
                raise DBOSUnexpectedStepError(run.workflow_id, step_id, name, row.name)
            return Recorded(
                row.name, row.child_workflow_id, row.serialization, row.output, row.error
            )
    return None
