"""Running workflows: what a call, a start or a claim of a registered function does, for sync and async alike."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pyengine.context import (
    ChosenID,
    Scope,
    current_options,
    current_run,
    current_scope,
    entered,
    take_chosen_id,
)
from pyengine.database import calls
from pyengine.database.rows import ClaimedWorkflow, WorkflowRow
from pyengine.effects import Flow
from pyengine.errors import (
    DBOSBaseException,
    DBOSException,
    DBOSNonExistentWorkflowError,
    DBOSWorkflowFunctionNotFoundError,
)
from pyengine.flows.steps import record_operation
from pyengine.flows.workflows import (
    Application,
    Placement,
    Started,
    StartRequest,
    Target,
    await_result,
    record_result,
    run_workflow,
    start_workflow,
    start_write,
)
from pyengine.registry import RegisteredWorkflow, Registry
from pyengine.runs import Identity, WorkflowRun, run_of
from pyengine.runtime.engine import Engine
from pyengine.runtime.local import LocalRun
from pyengine.runtime.transactions import Transactions
from pyengine.serialization import Codec
from pyengine.status import WorkflowStatus, status_of
from pyengine.workflow_ids import generate_workflow_id

T = TypeVar("T")
_logger = logging.getLogger("pyengine")

GET_STATUS = "DBOS.getStatus"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A workflow that is about to start: nothing is stored yet."""

    request: StartRequest
    run: WorkflowRun
    body: Callable[[], Any]
    parent: WorkflowRun | None
    step_id: int | None


class Runtime:
    """The launched engine with what the Python side adds: the codec, the registry, the application."""

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        codec: Codec,
        application: Application,
        transactions: Transactions,
    ) -> None:
        self.engine = engine
        self.registry = registry
        self.codec = codec
        self.application = application
        self.transactions = transactions
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self, flow: Flow[T]) -> T:
        """Run a flow, blocking."""
        return self.engine.drivers.run(flow)

    async def run_async(self, flow: Flow[T]) -> T:
        """Run a flow on the running loop."""
        return await self.engine.drivers.run_async(flow)

    def prepare(
        self,
        workflow: RegisteredWorkflow,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        placement: Placement | None = None,
        app_version: str | None = None,
        *,
        is_independent: bool = False,
    ) -> Prepared:
        """Number, name and encode a start, or with a placement an enqueue; nothing is stored when this raises.

        Raises:
            AssertionError: Called inside a step.
            DBOSSerializationError: An argument can't be stored.
        """
        chosen = take_chosen_id()
        target, stored_args = self.registry.target(workflow, args)
        prepared = self.prepare_by_name(
            target,
            stored_args,
            kwargs,
            placement,
            tag=workflow.serialization,
            app_version=app_version,
            chosen=chosen,
            is_independent=is_independent,
        )
        return replace(prepared, body=_body(workflow, prepared.run, args, kwargs))

    def prepare_by_name(
        self,
        target: Target,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        placement: Placement | None,
        *,
        tag: str | None = None,
        app_version: str | None = None,
        chosen: ChosenID | None = None,
        identity: Identity | None = None,
        is_independent: bool = False,
    ) -> Prepared:
        """As `prepare`, for a function that need not be registered here.

        An independent workflow is no child of the calling one, whose steps may start it too.
        """
        parent = None if is_independent else _starting_run(target.name)
        tag = tag or self.codec.default_tag
        inputs = self.codec.encode_arguments(args, dict(kwargs), tag)
        step_id = None if parent is None else parent.next_step_id()
        request = StartRequest(
            workflow_id=_workflow_id(chosen, parent, step_id),
            target=target,
            application=self._application(app_version),
            inputs=inputs,
            serialization=tag,
            lease_token=None if placement is not None else str(uuid.uuid4()),
            identity=identity or _identity(parent),
            reject_known_id=chosen is not None and chosen.reuse_policy == "reject",
            placement=placement,
        )
        run = WorkflowRun(
            workflow_id=request.workflow_id,
            name=target.name,
            lease_token=request.lease_token or "",
            codec=self.codec,
            serialization=tag,
            identity=request.identity,
        )
        return Prepared(request, run, _no_body, parent, step_id)

    def _application(self, version: str | None) -> Application:
        """The application as the starter: a version that was asked for is pinned."""
        if version is None:
            return self.application
        return replace(self.application, version=version, version_is_pinned=True)

    def call(self, prepared: Prepared) -> Flow[Any]:
        """A direct call: start, run here, and return the outcome; an existing workflow is waited for."""
        parent = prepared.parent
        result_id = None if parent is None else parent.next_step_id()
        started = yield from self._start(prepared)
        try:
            output = yield from self._run_or_follow(prepared, started)
        except Exception:
            if parent is not None and result_id is not None:
                yield from record_result(parent, started.workflow_id, result_id)
            raise
        if parent is not None and result_id is not None:
            yield from record_result(parent, started.workflow_id, result_id)
        return output

    def start(self, prepared: Prepared, workflow: RegisteredWorkflow) -> Flow[str]:
        """A start in the background: durable when it returns. The id of the workflow."""
        started = yield from self._start(prepared)
        if started.is_new:
            self._spawn(prepared.run, prepared.body, is_async=workflow.is_async)
        return started.workflow_id

    def enqueue(self, prepared: Prepared) -> Flow[str]:
        """An enqueue: durable when it returns, and run by whichever process claims it. The id of the workflow."""
        return (yield from self._start(prepared)).workflow_id

    def start_here(self, prepared: Prepared, workflow: RegisteredWorkflow) -> Flow[str]:
        """As `start`; a coroutine workflow runs on the running loop, untouched by the caller's cancellation."""
        started = yield from self._start(prepared)
        if started.is_new:
            if workflow.is_async:
                local = self._begin(prepared.run, asyncio.get_running_loop())
                self._spawn_task(local, prepared.body)
            else:
                self._spawn(prepared.run, prepared.body, is_async=False)
        return started.workflow_id

    def execute_claimed(self, claimed: ClaimedWorkflow, lease_token: str) -> None:
        """Run a claimed workflow in the background; called on the dispatcher's thread."""
        run = run_of(claimed, lease_token, self.codec)
        found = self.registry.find(claimed.name, claimed.class_name, claimed.config_name)
        if found is None:
            self._spawn(run, _not_found(claimed), is_async=False)
            return
        workflow, bound = found

        def body() -> Any:
            args, kwargs = self.codec.decode_arguments(claimed.inputs, claimed.serialization)
            if workflow.validate_args is not None:
                args, kwargs = workflow.validate_args(args, kwargs)
            with entered(Scope(run)):
                return workflow.function(*bound, *args, **kwargs)

        async def body_async() -> Any:
            args, kwargs = self.codec.decode_arguments(claimed.inputs, claimed.serialization)
            if workflow.validate_args is not None:
                args, kwargs = workflow.validate_args(args, kwargs)
            with entered(Scope(run)):
                return await workflow.function(*bound, *args, **kwargs)

        self._spawn(run, body_async if workflow.is_async else body, is_async=workflow.is_async)

    def handle_result(self, workflow_id: str) -> Flow[Any]:
        """The result of another workflow; in a workflow, noted as a step when the wait is over."""
        run = current_run()
        try:
            output = yield from await_result(workflow_id, self.codec, run)
        except Exception:
            if run is not None:
                yield from record_result(run, workflow_id, run.next_step_id())
            raise
        if run is not None:
            yield from record_result(run, workflow_id, run.next_step_id())
        return output

    def result_of(self, workflow_id: str) -> Flow[Any]:
        """As `handle_result`, but the step is numbered when the wait begins."""
        run = current_run()
        if run is None:
            return (yield from await_result(workflow_id, self.codec))
        step_id = run.next_step_id()
        try:
            output = yield from await_result(workflow_id, self.codec, run)
        except Exception:
            yield from record_result(run, workflow_id, step_id)
            raise
        yield from record_result(run, workflow_id, step_id)
        return output

    def status(self, workflow_id: str) -> Flow[WorkflowStatus | None]:
        """How a workflow stands; None if there is none. A recorded step in a workflow."""
        run = current_run()
        if run is None:
            return (yield from self._read_status(workflow_id))
        status: WorkflowStatus | None = yield from record_operation(
            run, GET_STATUS, self._read_status(workflow_id)
        )
        return status

    def existing_status(self, workflow_id: str) -> Flow[WorkflowStatus]:
        """How a workflow stands.

        Raises:
            DBOSNonExistentWorkflowError: There is no such workflow.
        """
        status = yield from self.status(workflow_id)
        if status is None:
            raise DBOSNonExistentWorkflowError("target", workflow_id)
        return status

    def existing(self, workflow_id: str) -> Flow[WorkflowRow]:
        """A workflow's row.

        Raises:
            DBOSNonExistentWorkflowError: There is no such workflow.
        """
        rows: list[WorkflowRow] = yield calls.find_workflows(workflow_ids=[workflow_id])
        if not rows:
            raise DBOSNonExistentWorkflowError("target", workflow_id)
        return rows[0]

    def _read_status(self, workflow_id: str) -> Flow[WorkflowStatus | None]:
        rows: list[WorkflowRow] = yield calls.find_workflows(workflow_ids=[workflow_id])
        return status_of(rows[0], self.codec) if rows else None

    def _start(self, prepared: Prepared) -> Flow[Started]:
        recorded = _recorded_child(prepared)
        if recorded is not None:
            return Started(recorded, is_new=False)
        try:
            return (yield from start_workflow(prepared.request, prepared.parent, prepared.step_id))
        except (Exception, DBOSBaseException):
            raise
        except BaseException:
            if prepared.request.placement is None:
                write = start_write(prepared.request, prepared.parent, prepared.step_id)
                self.engine.give_back(prepared.run, write)
            raise

    def _run_or_follow(self, prepared: Prepared, started: Started) -> Flow[Any]:
        if started.is_new:
            try:
                return (yield from self._tracked(self._begin(prepared.run), prepared.body))
            except DBOSBaseException:
                _logger.debug("following workflow %s after a lost run", started.workflow_id)
        return (yield from await_result(started.workflow_id, self.codec, prepared.parent))

    def _tracked(self, local: LocalRun, body: Callable[[], Any]) -> Flow[Any]:
        with local:
            return local.succeed((yield from run_workflow(local.run, body)))

    def _begin(self, run: WorkflowRun, loop: asyncio.AbstractEventLoop | None = None) -> LocalRun:
        return LocalRun(self.engine.runs, run, loop)

    def _spawn(self, run: WorkflowRun, body: Callable[[], Any], *, is_async: bool) -> None:
        """Run a workflow that is leased already, in a thread or on the background loop."""
        if is_async:
            loop = self.engine.loop.get()
            loop.call_soon_threadsafe(self._spawn_task, self._begin(run, loop), body)
            return
        local = self._begin(run)
        context = contextvars.copy_context()
        self.engine.threads.submit(lambda: context.run(self._run_in_thread, local, body))

    def _run_in_thread(self, local: LocalRun, body: Callable[[], Any]) -> None:
        try:
            self.run(self._tracked(local, body))
        except BaseException as error:
            _log_end(local.run, error)

    def _spawn_task(self, local: LocalRun, body: Callable[[], Any]) -> None:
        task = asyncio.get_running_loop().create_task(self._run_task(local, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_task(self, local: LocalRun, body: Callable[[], Awaitable[Any]]) -> None:
        try:
            await self.run_async(self._tracked(local, body))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            _log_end(local.run, error)


def _starting_run(name: str) -> WorkflowRun | None:
    """The run whose body starts a workflow; None outside workflows.

    Raises:
        AssertionError: A step is running.
    """
    scope = current_scope()
    if scope is not None and scope.step is not None:
        raise AssertionError(
            f"workflow {name} was called inside a step: start workflows from the workflow's body"
        )
    return current_run()


def _no_body() -> Any:
    raise AssertionError("an enqueued workflow runs where it is claimed")


def _workflow_id(chosen: ChosenID | None, parent: WorkflowRun | None, step_id: int | None) -> str:
    if chosen is not None:
        return chosen.workflow_id
    if parent is not None:
        return f"{parent.workflow_id}-{step_id}"
    return generate_workflow_id()


def _identity(parent: WorkflowRun | None) -> Identity:
    chosen = current_options().identity
    if chosen is not None:
        return chosen
    return Identity() if parent is None else parent.identity


def _body(
    workflow: RegisteredWorkflow,
    run: WorkflowRun,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Callable[[], Any]:
    if not workflow.is_async:

        def body() -> Any:
            with entered(Scope(run)):
                return workflow.function(*args, **kwargs)

        return body

    async def body_async() -> Any:
        with entered(Scope(run)):
            return await workflow.function(*args, **kwargs)

    return body_async


def _recorded_child(prepared: Prepared) -> str | None:
    """On replay the child that was recorded is the child; a recorded refusal is raised again."""
    parent, step_id = prepared.parent, prepared.step_id
    if parent is None or step_id is None:
        return None
    recorded = parent.recorded(step_id, prepared.request.target.name)
    if recorded is None:
        return None
    if recorded.child_workflow_id is None:
        parent.replay(recorded)
        raise DBOSException(
            f"step {step_id} of workflow {parent.workflow_id} is not recorded as the start of a workflow"
        )
    return recorded.child_workflow_id


def _not_found(claimed: ClaimedWorkflow) -> Callable[[], Any]:
    def body() -> Any:
        raise DBOSWorkflowFunctionNotFoundError(
            claimed.workflow_id, f"no function {claimed.name} is registered in this process"
        )

    return body


def _log_end(run: WorkflowRun, error: BaseException) -> None:
    if isinstance(error, DBOSBaseException):
        return
    _logger.warning(
        "workflow %s (%s) ended with %s: %s", run.workflow_id, run.name, type(error).__name__, error
    )
