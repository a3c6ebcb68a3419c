"""Workflows: start, run, finish, and wait for the outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pyengine.database import calls, queue_calls
from pyengine.database.calls import Write
from pyengine.database.rows import FinishAnswer, Outcome, StartAnswer
from pyengine.effects import Await, AwaitLocal, Delay, Flow, Invoke, WaitFor
from pyengine.errors import (
    DBOSAwaitedWorkflowCancelledError,
    DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded,
    DBOSBaseException,
    DBOSConflictingWorkflowError,
    DBOSException,
    DBOSPayloadTooLargeError,
    DBOSQueueDeduplicatedError,
    DBOSSerializationError,
    DBOSWorkflowIDInUseError,
)
from pyengine.flows.steps import record_error
from pyengine.refusals import refusal
from pyengine.runs import NOBODY, ContinueAsNew, ContinuedRun, Identity, WorkflowRun
from pyengine.serialization import Codec

GET_RESULT = "DBOS.getResult"

# Another workflow holds the deduplication id; without a holder in the answer it has just let go.
DEDUPLICATED = "PE409"
# This process was declared dead while it was silent; its next maintenance tick registers it anew.
EXECUTOR_GONE = "PE003"
REGISTRATION_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Target:
    """Which registered function a workflow runs."""

    name: str
    class_name: str | None = None
    config_name: str | None = None
    max_attempts: int | None = None

    def differs_from(self, known: StartAnswer) -> str | None:
        """What is different in a row that has the wanted id, in words."""
        pairs = (
            ("name", known.name, self.name),
            ("class", known.class_name, self.class_name),
            ("instance", known.config_name, self.config_name),
        )
        for what, theirs, ours in pairs:
            if theirs != ours:
                return f"it exists with the {what} {theirs!r}, and was started with {ours!r}"
        return None


@dataclass(frozen=True, slots=True)
class Runners:
    """The processes that may run a workflow: of an application; without a version those of its latest.

    Without a name it is any application's.
    """

    name: str | None
    version: str | None
    version_is_pinned: bool


@dataclass(frozen=True, slots=True)
class Application(Runners):
    """The application that starts workflows."""

    version: str


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how a workflow is enqueued; without a queue it is claimed by whoever has time."""

    queue_name: str | None
    priority: int | None = None
    partition_key: str | None = None
    is_serial: bool = False
    deduplication_id: str | None = None
    return_existing: bool = False
    delay_seconds: float | None = None
    throttle: tuple[str, float] | None = None  # its key, and its period in seconds


@dataclass(frozen=True, slots=True)
class Started:
    """The workflow that a start leads to: a new one, or one that exists."""

    workflow_id: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class StartRequest:
    """All there is to say about a workflow that is to start: under a lease, or enqueued.

    With a start token an id that exists is refused, unless this very call made it: its reply may have been lost.
    """

    workflow_id: str
    target: Target
    application: Runners
    inputs: str
    serialization: str
    lease_token: str | None
    identity: Identity = NOBODY
    start_token: str | None = None
    placement: Placement | None = None
    timeout_ms: float | None = None
    attributes: str | None = None


class Differing(NamedTuple):
    """What is different in workflows that are otherwise alike; the inputs are encoded."""

    workflow_id: str
    inputs: str


def start_workflow(
    request: StartRequest, parent: WorkflowRun | None = None, step_id: int | None = None
) -> Flow[Started]:
    """Start or enqueue a workflow. When the id exists, nothing is started and only its outcome counts.

    A start inside a workflow is recorded as a step of the parent in the same commit; a refusal is recorded
    as that step's error.
    """
    answer = yield from _submit(start_write(request, parent, step_id))
    if answer is None:
        return Started(request.workflow_id, is_new=True)
    if answer.holder_id is not None and request.placement and request.placement.return_existing:
        yield from _record_holder(request, parent, step_id, answer.holder_id)
        return Started(answer.holder_id, is_new=False)
    error = start_error(request, answer, parent)
    if error is None:
        return Started(request.workflow_id, is_new=False)
    if parent is not None and step_id is not None and isinstance(error, DBOSException):
        yield from record_error(parent, request.target.name, step_id, error)
    raise error


def enqueue_workflows(
    requests: Sequence[StartRequest], parent: WorkflowRun | None, step_ids: Sequence[int | None]
) -> Flow[list[str]]:
    """Enqueue workflows, all or none, in one commit; their ids. A refusal is recorded as the first one's error."""
    writes = [
        start_write(request, parent, step_id)
        for request, step_id in zip(requests, step_ids, strict=True)
    ]
    try:
        answers: list[StartAnswer] = yield queue_calls.enqueue_workflows(
            requests=[write.document for write in writes]
        )
        for answer in answers:
            error = start_error(requests[answer.item - 1], answer, parent)
            if error is not None:
                raise error
    except DBOSException as error:
        if parent is not None and step_ids[0] is not None:
            yield from record_error(parent, requests[0].target.name, step_ids[0], error)
        raise
    except DBOSBaseException as error:
        if parent is not None:
            parent.end(error)
        raise
    return [request.workflow_id for request in requests]


def enqueue_alike(request: StartRequest, starts: Sequence[Differing]) -> Flow[list[str]]:
    """Enqueue workflows that are like `request` but for their id and inputs, all or none, in one commit; their ids."""
    answers: list[StartAnswer] = yield queue_calls.enqueue_workflows(
        requests=[calls.differing_start(*start) for start in starts],
        common=start_write(request, None, None).document,
    )
    for answer in answers:
        workflow_id = starts[answer.item - 1].workflow_id
        error = start_error(replace(request, workflow_id=workflow_id), answer, None)
        if error is not None:
            raise error
    return [start.workflow_id for start in starts]


def _submit(write: Write) -> Flow[StartAnswer | None]:
    while True:
        answer: StartAnswer | None = yield write
        if answer is None:
            return None
        if answer.refusal == EXECUTOR_GONE:
            yield Delay(REGISTRATION_PAUSE_SECONDS)
        elif answer.refusal != DEDUPLICATED or answer.holder_id is not None:
            return answer


def start_write(
    request: StartRequest, parent: WorkflowRun | None = None, step_id: int | None = None
) -> Write:
    """The write of a start. Repeated it changes nothing, because its lease token is the same."""
    target = request.target
    place = request.placement
    delay = place.delay_seconds if place is not None else None
    return calls.start(
        workflow_id=request.workflow_id,
        name=target.name,
        class_name=target.class_name,
        config_name=target.config_name,
        inputs=request.inputs,
        serialization=request.serialization,
        application_name=request.application.name,
        application_version=request.application.version,
        version_is_pinned=request.application.version_is_pinned,
        lease_token=request.lease_token,
        max_attempts=target.max_attempts,
        parent=_parent(parent, step_id),
        step_name=target.name if parent is not None else None,
        reject_known_id=request.start_token is not None,
        start_token=request.start_token,
        authenticated_user=request.identity.user,
        assumed_role=request.identity.assumed_role,
        authenticated_roles=_roles(request.identity),
        attributes=request.attributes,
        timeout_ms=request.timeout_ms,
        queue_name=place.queue_name if place is not None else None,
        priority=place.priority if place is not None else None,
        partition_key=place.partition_key if place is not None else None,
        is_serial=place is not None and place.is_serial,
        deduplication_id=place.deduplication_id if place is not None else None,
        delay_ms=None if delay is None else delay * 1000,
        throttle=place.throttle if place is not None else None,
    )


def _record_holder(
    request: StartRequest, parent: WorkflowRun | None, step_id: int | None, holder_id: str
) -> Flow[None]:
    """Note in the starting workflow that its child is the workflow that holds the deduplication id."""
    if parent is None or step_id is None:
        return
    parent.accept(
        (
            yield calls.record_step(
                workflow_id=parent.workflow_id,
                lease_token=parent.lease_token,
                step_id=step_id,
                name=request.target.name,
                serialization=request.serialization,
                child_workflow_id=holder_id,
            )
        )
    )


def _parent(run: WorkflowRun | None, step_id: int | None) -> tuple[str, str, int] | None:
    if run is None or step_id is None:
        return None
    return run.workflow_id, run.lease_token, step_id


def _roles(identity: Identity) -> str | None:
    roles: Sequence[str] | None = identity.roles
    return "[" + ",".join(map(calls.quote, roles)) + "]" if roles else None


def start_error(
    request: StartRequest, answer: StartAnswer, parent: WorkflowRun | None
) -> BaseException | None:
    """The error that an answer stands for; None when the workflow exists and is the wanted one."""
    if answer.refusal == DEDUPLICATED and request.placement is not None:
        place = request.placement
        key = place.deduplication_id or (place.throttle[0] if place.throttle else "")
        return DBOSQueueDeduplicatedError(request.workflow_id, place.queue_name or "", key)
    if answer.refusal is not None:
        error = refusal(answer.refusal, answer.message or "", request.workflow_id)
        return error if parent is None else parent.end(error)
    if request.start_token is not None:
        return DBOSWorkflowIDInUseError(request.workflow_id, answer.status or "", answer.name or "")
    difference = request.target.differs_from(answer)
    if difference is not None:
        return DBOSConflictingWorkflowError(request.workflow_id, difference)
    return None


def run_workflow(run: WorkflowRun, function: Callable[[], Any]) -> Flow[Any]:
    """Run a workflow's function and record how it ended; returns its output or raises its error.

    Raises:
        DBOSWorkflowConflictIDError: This run lost its lease; the workflow's outcome is another's to decide.
        DBOSWorkflowCancelledError: The workflow was cancelled.
        ContinuedRun: The workflow has begun again as new.
    """
    try:
        output = yield from _run_body(run, function)
        text = run.codec.encode(output, run.serialization)
        yield from _finish(run, output=text)
    except Exception as error:
        try:
            yield from _fail(run, error)
        except DBOSPayloadTooLargeError as too_large:
            yield from _fail(run, too_large)
            raise too_large from error
        raise
    return output


def _run_body(run: WorkflowRun, function: Callable[[], Any]) -> Flow[Any]:
    try:
        return (yield Invoke(function))
    except ContinueAsNew as again:
        run.check()
        yield calls.continue_workflow(
            workflow_id=run.workflow_id,
            lease_token=run.lease_token,
            step_id=run.next_step_id(),
            serialization=run.serialization,
            inputs=again.inputs,
        )
        run.ended_by = ContinuedRun(run.workflow_id)
        raise run.ended_by from None


def run_in_database(run: WorkflowRun, run_step: Callable[[], bool]) -> Flow[None]:
    """Run a workflow whose steps and outcome the database records itself: step by step, until it has ended.

    Raises:
        DBOSWorkflowConflictIDError: This run lost its lease; the workflow's outcome is another's to decide.
        DBOSWorkflowCancelledError: The workflow was cancelled.
    """
    try:
        while not (yield Invoke(run_step)):
            run.check()
    except Exception as error:
        yield from _fail(run, error)
        raise


def _fail(run: WorkflowRun, error: Exception) -> Flow[None]:
    """Record an error, in the default form when the workflow's own is not configured here."""
    try:
        text = run.codec.encode_error(error, run.serialization)
    except DBOSSerializationError:
        run.serialization = run.codec.default_tag
        text = run.codec.encode_error(error)
    yield from _finish(run, error=text)


def _finish(run: WorkflowRun, *, output: str | None = None, error: str | None = None) -> Flow[None]:
    run.check()
    answer: FinishAnswer | None = yield calls.finish(
        workflow_id=run.workflow_id,
        lease_token=run.lease_token,
        serialization=run.serialization,
        output=output,
        error=error,
    )
    if answer is not None:
        raise run.end(refusal(answer.refusal or "", answer.message or "", run.workflow_id))


def await_result(
    workflow_id: str, codec: Codec, waiter: WorkflowRun | None = None, *, is_long: bool = False
) -> Flow[Any]:
    """Wait for a workflow to end (or to appear and end): its output, or raise its error."""
    local: tuple[Any] | None = yield AwaitLocal(workflow_id, waiter, is_long)
    if local is not None:
        return local[0]
    outcomes: list[Outcome] = yield Await(
        lambda channel: calls.await_workflows(workflow_ids=[workflow_id], channel=channel),
        [WaitFor("result", workflow_id)],
        waiter=waiter,
        is_long=is_long,
    )
    return resolve(outcomes[0], codec)


def await_first(workflow_ids: Sequence[str], waiter: WorkflowRun | None = None) -> Flow[str]:
    """Wait until one of the workflows has ended: its id, the first in the given order if several have."""
    outcomes: list[Outcome] = yield Await(
        lambda channel: calls.await_workflows(workflow_ids=workflow_ids, channel=channel),
        [WaitFor("result", workflow_id) for workflow_id in workflow_ids],
        waiter=waiter,
    )
    ended = {outcome.workflow_id for outcome in outcomes}
    return next(workflow_id for workflow_id in workflow_ids if workflow_id in ended)


def resolve(outcome: Outcome, codec: Codec) -> Any:
    """The output of an ended workflow, or raise what its callers see."""
    if outcome.status == "SUCCESS":
        return codec.decode(outcome.output, outcome.serialization)
    if outcome.status == "CANCELLED":
        raise DBOSAwaitedWorkflowCancelledError(outcome.workflow_id)
    if outcome.status == "ERROR":
        raise codec.decode_error(outcome.error or "null", outcome.serialization)
    raise DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded(outcome.workflow_id)


def record_result(run: WorkflowRun, workflow_id: str, step_id: int) -> Flow[None]:
    """Note in the waiting workflow that it read another's result. It is never read back: the result is asked again."""
    run.check()
    if step_id in run.history:
        return
    run.accept(
        (
            yield calls.record_step(
                workflow_id=run.workflow_id,
                lease_token=run.lease_token,
                step_id=step_id,
                name=GET_RESULT,
                serialization=run.codec.default_tag,
                child_workflow_id=workflow_id,
            )
        )
    )
