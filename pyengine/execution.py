"""Running workflows: what a call, a start or a claim of a registered function does, for sync and async alike."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from pyengine.context import (
    Scope,
    current_run,
    entered,
)
from pyengine.database import calls
from pyengine.database.rows import ClaimedWorkflow, WorkflowRow
from pyengine.effects import Flow
from pyengine.errors import (
    DBOSBaseException,
    DBOSNonExistentWorkflowError,
)
from pyengine.flows.steering import ElsewhereStored
from pyengine.flows.steps import record_operation
from pyengine.flows.tracing import in_span, observed
from pyengine.flows.workflows import (
    GET_RESULT,
    Application,
    Differing,
    Started,
    await_result,
    enqueue_alike,
    enqueue_workflows,
    record_result,
    run_in_database,
    run_workflow,
    start_workflow,
    start_write,
)
from pyengine.identity import authorize
from pyengine.preparation import Preparation, Prepared, recorded_child
from pyengine.propagation import Carrier, stored_carrier
from pyengine.registry import RegisteredWorkflow, Registry
from pyengine.runs import HibernatedRun, WorkflowRun, run_of
from pyengine.runtime.engine import Engine
from pyengine.runtime.gateway import Gateway
from pyengine.runtime.local import LocalRun
from pyengine.runtime.transactions import Transactions
from pyengine.serialization import PORTABLE, Codec, parse_portable_dates
from pyengine.spans import OPERATION, Telemetry
from pyengine.status import WorkflowStatus, status_of

T = TypeVar("T")
_logger = logging.getLogger("pyengine")

GET_STATUS = "DBOS.getStatus"

# A run that has begun, its body, and the event loop that is to run it; None is a thread.
Background = tuple[LocalRun, Callable[[], Any], asyncio.AbstractEventLoop | None]


@dataclass(frozen=True, slots=True)
class _SQLSteps:
    """The body of a workflow written in SQL: each call runs its next step, and tells whether that was the last."""

    gateway: Gateway
    step: calls.Call[None]

    def __call__(self) -> bool:
        return bool(self.gateway.run(self.step)[0])


class Runtime(Preparation):
    """The launched engine with what the Python side adds: the codec, the registry, the application."""

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        codec: Codec,
        application: Application,
        transactions: Transactions,
    ) -> None:
        super().__init__(registry, codec, application)
        self.engine = engine
        self.transactions = transactions
        self.datasources: list[Transactions] = []
        self.telemetry: Telemetry | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self, flow: Flow[T]) -> T:
        """Run a flow, blocking."""
        return self.engine.drivers.run(flow)

    async def run_async(self, flow: Flow[T]) -> T:
        """Run a flow on the running loop."""
        return await self.engine.drivers.run_async(flow)

    def elsewhere(self) -> ElsewhereStored:
        """The checkpoints that this application has in other databases than the engine's."""
        databases = [self.transactions, *self.datasources]
        return ElsewhereStored(
            [(each.checkpoints, each.execute) for each in databases if each.checkpoints.is_separate]
        )

    def elsewhere_async(self) -> ElsewhereStored:
        """As `elsewhere`, for coroutines."""
        databases = [self.transactions, *self.datasources]
        return ElsewhereStored(
            [
                (each.checkpoints, each.execute_async)
                for each in databases
                if each.checkpoints.is_separate
            ]
        )

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

    def enqueue_all(self, prepared: Sequence[Prepared]) -> Flow[list[str]]:
        """Several enqueues, all or none. The ids of the workflows."""
        recorded = [recorded_child(each) for each in prepared]
        new = [each for each, known in zip(prepared, recorded, strict=True) if known is None]
        if new:
            yield from enqueue_workflows(
                [each.request for each in new], new[0].parent, [each.step_id for each in new]
            )
        return [
            known or each.request.workflow_id
            for each, known in zip(prepared, recorded, strict=True)
        ]

    def enqueue_alike(
        self, first: Prepared, others: Sequence[tuple[tuple[Any, ...], Mapping[str, Any]]]
    ) -> Flow[list[str]]:
        """Enqueue `first`, and the same workflow with these arguments, all or none. The ids of the workflows."""
        request = first.request
        starts = [Differing(request.workflow_id, request.inputs)]
        starts += [self.prepare_alike(first, args, kwargs) for args, kwargs in others]
        return (yield from enqueue_alike(request, starts))

    def start_here(self, prepared: Prepared, workflow: RegisteredWorkflow) -> Flow[str]:
        """As `start`; a coroutine workflow runs on the running loop, untouched by the caller's cancellation."""
        started = yield from self._start(prepared)
        if started.is_new:
            if workflow.is_async:
                prepared.run.can_hibernate = True
                local = self._begin(prepared.run, asyncio.get_running_loop())
                self._spawn_task(local, prepared.body)
            else:
                self._spawn(prepared.run, prepared.body, is_async=False)
        return started.workflow_id

    def execute_claimed(self, claims: Sequence[ClaimedWorkflow], lease_token: str) -> None:
        """Run claimed workflows in the background; on the dispatcher's thread. When it raises none of them runs."""
        begun: list[Background] = []
        carriers = self._carriers(claims) if self.telemetry is not None else {}
        try:
            for claimed in claims:
                run = run_of(claimed, lease_token, self.codec, WorkflowRun)
                run.carrier = carriers.get(run.workflow_id)
                body, is_async = self._claimed_body(claimed, run)
                begun.append(self._background(run, body, is_async=is_async))
            self._run_in_background(begun)
        except Exception:
            for local, _, _ in begun:
                local.drop()
            raise

    def _carriers(self, claims: Sequence[ClaimedWorkflow]) -> dict[str, Carrier | None]:
        """The traces that claimed workflows were given."""
        ids = [claimed.workflow_id for claimed in claims]
        rows = self.engine.gateway.run(calls.find_attributes(workflow_ids=ids))
        return {row.workflow_id: stored_carrier(row.attributes) for row in rows}

    def _claimed_body(
        self, claimed: ClaimedWorkflow, run: WorkflowRun
    ) -> tuple[Callable[[], Any], bool]:
        """What runs a claimed workflow, and whether that is a coroutine function."""
        found = self.registry.find(claimed.name, claimed.class_name, claimed.config_name)
        if found is None:
            step = calls.run_sql_step(workflow_id=run.workflow_id, lease_token=run.lease_token)
            return _SQLSteps(self.engine.sql_gateway, step), False
        workflow, bound = found
        call: Callable[..., Any] = (
            self._call_claimed_async if workflow.is_async else self._call_claimed
        )
        return functools.partial(call, claimed, run, workflow, bound), workflow.is_async

    def _call_claimed(
        self,
        claimed: ClaimedWorkflow,
        run: WorkflowRun,
        workflow: RegisteredWorkflow,
        bound: tuple[Any, ...],
    ) -> Any:
        args, kwargs = self.arguments_of(claimed, run, workflow)
        with entered(Scope(run)):
            return workflow.function(*bound, *args, **kwargs)

    async def _call_claimed_async(
        self,
        claimed: ClaimedWorkflow,
        run: WorkflowRun,
        workflow: RegisteredWorkflow,
        bound: tuple[Any, ...],
    ) -> Any:
        args, kwargs = self.arguments_of(claimed, run, workflow)
        with entered(Scope(run)):
            return await workflow.function(*bound, *args, **kwargs)

    def arguments_of(
        self, claimed: ClaimedWorkflow, run: WorkflowRun, workflow: RegisteredWorkflow
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a claimed workflow, which another language may have written, for who may run it."""
        run.identity = authorize(workflow.name, workflow.roles, run.identity)
        args, kwargs = self.codec.decode_arguments(claimed.inputs, claimed.serialization)
        if workflow.validate_args is not None:
            args, kwargs = workflow.validate_args(args, kwargs)
        elif claimed.serialization == PORTABLE:
            args, kwargs = parse_portable_dates(workflow.function, args, kwargs)
        return args, kwargs

    def handle_result(self, workflow_id: str) -> Flow[Any]:
        """The result of another workflow; in a workflow, noted as a step when the wait is over."""
        run = current_run()
        flow = await_result(workflow_id, self.codec, run)
        if run is not None:
            flow = observed(run, OPERATION, GET_RESULT, run.upcoming_step_id(), flow)
        try:
            output = yield from flow
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
        flow = await_result(workflow_id, self.codec, run)
        try:
            output = yield from observed(run, OPERATION, GET_RESULT, step_id, flow)
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
        recorded = recorded_child(prepared)
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
        parent, is_long = prepared.parent, False
        if started.is_new:
            prepared.run.can_hibernate = parent is not None and parent.can_hibernate
            try:
                with parent.branch() if parent is not None else nullcontext():
                    return (yield from self._tracked(self._begin(prepared.run), prepared.body))
            except DBOSBaseException as error:
                is_long = isinstance(error, HibernatedRun)
                _logger.debug("following workflow %s after a lost run", started.workflow_id)
        return (yield from await_result(started.workflow_id, self.codec, parent, is_long=is_long))

    def _tracked(self, local: LocalRun, body: Callable[[], Any]) -> Flow[Any]:
        flow = self._to_its_end(local, body)
        return flow if self.telemetry is None else self._in_span(self.telemetry, local.run, flow)

    def _in_span(self, telemetry: Telemetry, run: WorkflowRun, flow: Flow[Any]) -> Flow[Any]:
        run.span = telemetry.workflow(run)
        return (yield from in_span(run.span, flow))

    def _to_its_end(self, local: LocalRun, body: Callable[[], Any]) -> Flow[Any]:
        local.run.settle()
        with local:
            if isinstance(body, _SQLSteps):
                yield from run_in_database(local.run, body)
                return local.hand_over()
            return local.succeed((yield from run_workflow(local.run, body)))

    def _begin(self, run: WorkflowRun, loop: asyncio.AbstractEventLoop | None = None) -> LocalRun:
        return LocalRun(self.engine.runs, run, loop)

    def _spawn(self, run: WorkflowRun, body: Callable[[], Any], *, is_async: bool) -> None:
        """Run a workflow that is leased already, in a thread or on the background loop."""
        self._run_in_background([self._background(run, body, is_async=is_async)])

    def _background(
        self, run: WorkflowRun, body: Callable[[], Any], *, is_async: bool
    ) -> Background:
        run.can_hibernate = True
        loop = self.engine.loop.get() if is_async else None
        return self._begin(run, loop), body, loop

    def _run_in_background(self, begun: Sequence[Background]) -> None:
        """Run these, with one wake-up of the threads and of each loop for all of them."""
        jobs = [
            functools.partial(self._run_in_context, contextvars.copy_context(), local, body)
            for local, body, loop in begun
            if loop is None
        ]
        if jobs:
            self.engine.threads.submit(*jobs)
        for loop in {loop for _, _, loop in begun if loop is not None}:
            tasks = [(local, body) for local, body, its_loop in begun if its_loop is loop]
            loop.call_soon_threadsafe(self._spawn_tasks, tasks)

    def _spawn_tasks(self, tasks: Sequence[tuple[LocalRun, Callable[[], Any]]]) -> None:
        for local, body in tasks:
            self._spawn_task(local, body)

    def _run_in_context(
        self, context: contextvars.Context, local: LocalRun, body: Callable[[], Any]
    ) -> None:
        context.run(self._run_in_thread, local, body)

    def _run_in_thread(self, local: LocalRun, body: Callable[[], Any]) -> None:
        self.engine.drivers.run_detached(
            self._tracked(local, body), lambda error: _log_end(local.run, error)
        )

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


def recorded(name: str, flow: Flow[T]) -> Flow[T]:
    """An operation of the engine: in the body of a workflow it is a recorded step."""
    run = current_run()
    if run is None:
        return (yield from flow)
    output: T = yield from record_operation(run, name, flow)
    return output


def _log_end(run: WorkflowRun, error: BaseException) -> None:
    if isinstance(error, DBOSBaseException):
        return
    what = type(error).__name__
    if isinstance(error, Exception):
        _logger.warning(
            "workflow %s (%s) ended with %s: %s", run.workflow_id, run.name, what, error
        )
    else:
        _logger.warning(
            "a run of workflow %s (%s) was broken off by %s: %s. It has no outcome, and runs again",
            run.workflow_id,
            run.name,
            what,
            error,
        )
