"""Steps: run a function once, record its outcome, replay it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyengine.database import calls
from pyengine.database.rows import StepAnswer
from pyengine.effects import Delay, Flow, Invoke
from pyengine.errors import (
    DBOSMaxStepRetriesExceeded,
    DBOSPayloadTooLargeError,
    DBOSSerializationError,
)
from pyengine.flows.tracing import observed
from pyengine.runs import Recorded, WorkflowRun
from pyengine.spans import OPERATION, STEP

MAX_RETRY_PAUSE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class StepSpec:
    """How a step is run; the fields are the keywords of `DBOS.step`."""

    name: str
    retries_allowed: bool = False
    interval_seconds: float = 1.0
    max_attempts: int = 3
    backoff_rate: float = 2.0
    should_retry: Callable[[BaseException], Any] | None = None
    preemptible: bool = False
    timeout_seconds: float | None = None

    def pause_after(self, attempt: int) -> float:
        """Seconds between the zero-based attempt and the next."""
        return min(self.interval_seconds * self.backoff_rate**attempt, MAX_RETRY_PAUSE_SECONDS)


@dataclass(frozen=True, slots=True)
class StepStatus:
    """What a running step can know about itself; attempts count from zero, None without retries."""

    step_id: int
    current_attempt: int | None = None
    max_attempts: int | None = None


def run_step(
    run: WorkflowRun, spec: StepSpec, step_id: int, function: Callable[[StepStatus], Any]
) -> Flow[Any]:
    """Run a step of a workflow, or replay its recorded outcome."""
    return observed(run, STEP, spec.name, step_id, _run_step(run, spec, step_id, function))


def _run_step(
    run: WorkflowRun, spec: StepSpec, step_id: int, function: Callable[[StepStatus], Any]
) -> Flow[Any]:
    recorded = run.recorded(step_id, spec.name)
    if recorded is not None:
        return run.replay(recorded)
    elapsed: list[float] = []
    with run.branch():
        try:
            output = yield from _attempts(run, spec, step_id, function, elapsed)
        except Exception as error:
            return (yield from record_error(run, spec.name, step_id, error, sum(elapsed)))
        return (yield from record_output(run, spec.name, step_id, output, sum(elapsed)))


def _attempts(
    run: WorkflowRun,
    spec: StepSpec,
    step_id: int,
    function: Callable[[StepStatus], Any],
    elapsed: list[float],
) -> Flow[Any]:
    errors: list[Exception] = []
    limit = spec.max_attempts if spec.retries_allowed else 1
    for attempt in range(limit):
        status = StepStatus(step_id)
        if spec.retries_allowed:
            status = StepStatus(step_id, attempt, limit)
        invoke = Invoke(
            function,
            (status,),
            run=run,
            timeout=spec.timeout_seconds,
            preemptible=spec.preemptible,
            name=spec.name,
        )
        try:
            return (yield invoke)
        except Exception as error:
            errors.append(error)
            if not spec.retries_allowed:
                raise
            if spec.should_retry is not None:
                wanted = yield Invoke(spec.should_retry, (error,))
                if not wanted:
                    raise
            if attempt + 1 < limit:
                yield Delay(
                    spec.pause_after(attempt), reason=_retry_reason(run, spec, attempt, error)
                )
        finally:
            elapsed.append(invoke.elapsed_ms)
    raise DBOSMaxStepRetriesExceeded(spec.name, limit, errors)


def record_output(
    run: WorkflowRun, name: str, step_id: int, output: Any, elapsed_ms: float = 0.0
) -> Flow[Any]:
    """Record a step's output and return it; what can't be stored becomes the step's error."""
    run.check()
    try:
        text = run.codec.encode(output)
    except DBOSSerializationError as error:
        return (yield from record_error(run, name, step_id, error, elapsed_ms))
    answer: StepAnswer | None = yield calls.record_step(
        workflow_id=run.workflow_id,
        lease_token=run.lease_token,
        step_id=step_id,
        name=name,
        serialization=run.codec.default_tag,
        output=text,
        elapsed_ms=elapsed_ms,
    )
    try:
        earlier = run.accept(answer)
    except DBOSPayloadTooLargeError as error:
        return (yield from record_error(run, name, step_id, error, elapsed_ms))
    return output if earlier is None else run.replay(earlier)


def record_error(
    run: WorkflowRun, name: str, step_id: int, error: Exception, elapsed_ms: float = 0.0
) -> Flow[Any]:
    """Record a step's error and raise it (or return the outcome that was recorded earlier)."""
    run.check()
    answer: StepAnswer | None = yield calls.record_step(
        workflow_id=run.workflow_id,
        lease_token=run.lease_token,
        step_id=step_id,
        name=name,
        serialization=run.codec.default_tag,
        error=run.codec.encode_error(error),
        elapsed_ms=elapsed_ms,
    )
    try:
        earlier = run.accept(answer)
    except DBOSPayloadTooLargeError as too_large:
        return (yield from record_error(run, name, step_id, too_large, elapsed_ms))
    if earlier is not None:
        return run.replay(earlier)
    raise error


def store_recorded(run: WorkflowRun, name: str, step_id: int, recorded: Recorded) -> Flow[Recorded]:
    """Record an output that is stored elsewhere already, as it is stored; the outcome that holds."""
    answer: StepAnswer | None = yield calls.record_step(
        workflow_id=run.workflow_id,
        lease_token=run.lease_token,
        step_id=step_id,
        name=name,
        serialization=recorded.serialization,
        output=recorded.output,
    )
    return run.accept(answer) or recorded


def record_operation(
    run: WorkflowRun, name: str, operation: Flow[Any], step_id: int | None = None
) -> Flow[Any]:
    """Run an operation of the engine itself as a recorded step of the workflow: the next, or one with a number."""
    number = step_id or run.next_step_id()
    flow = _record_operation(run, name, operation, number)
    return (yield from observed(run, OPERATION, name, number, flow))


def _record_operation(run: WorkflowRun, name: str, operation: Flow[Any], step_id: int) -> Flow[Any]:
    recorded = run.recorded(step_id, name)
    if recorded is not None:
        return run.replay(recorded)
    try:
        output = yield from operation
    except Exception as error:
        return (yield from record_error(run, name, step_id, error))
    return (yield from record_output(run, name, step_id, output))


def _retry_reason(run: WorkflowRun, spec: StepSpec, attempt: int, error: Exception) -> str:
    return (
        f"step {spec.name} of workflow {run.workflow_id} failed with {type(error).__name__} "
        f"in attempt {attempt + 1} of {spec.max_attempts} and is retried"
    )
