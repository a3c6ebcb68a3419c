"""Replaying recorded histories against the code that is here, without any effect: does it still match?"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg

from pyengine.assembly import assemble
from pyengine.context import Scope, entered
from pyengine.current import acting
from pyengine.database import calls
from pyengine.database.calls import Call
from pyengine.database.rows import ClaimedWorkflow, WorkflowRow
from pyengine.database.session import Session
from pyengine.effects import Await, AwaitLocal, Effect, Flow, drive
from pyengine.errors import DBOSBaseException, DBOSUnexpectedStepError
from pyengine.execution import Runtime
from pyengine.flows.workflows import Application
from pyengine.registry import Registry
from pyengine.runs import ContinueAsNew, Recorded, WorkflowRun, run_of
from pyengine.settings import Settings

T = TypeVar("T")

_ACTIVE = ("PENDING", "ENQUEUED", "DELAYED")
_PAGE = 100

# What a replay may ask the database: these change nothing, and a run asks them again too.
_READS = frozenset(
    {
        "await_workflows",
        "find_event",
        "find_workflows",
        "list_application_versions",
        "list_events",
        "list_queues",
        "list_steps",
        "list_workflows",
    }
)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A workflow whose recorded history the code does not follow.

    Attributes:
        workflow_id: the workflow.
        name: its function.
        step_id: the step at which they part; None if the function can't even be called.
        recorded: the name of the step that is recorded there.
        expected: what the code wants to do there instead; None if it ends.
        reason: all of that as a sentence.
    """

    workflow_id: str
    name: str
    step_id: int | None
    recorded: str | None
    expected: str | None
    reason: str


@dataclass(slots=True)
class ReplayReport:
    """What a replay check found.

    Attributes:
        checked: how many workflows were replayed.
        mismatches: those whose history the code does not follow.
    """

    checked: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether the code follows every history."""
        return not self.mismatches


class _EndOfHistory(DBOSBaseException):
    """The replay came to something that is not recorded: up to here the code matches."""

    def __init__(self) -> None:
        super().__init__("this is not recorded")


@dataclass(slots=True)
class _Run(WorkflowRun):
    """A run that remembers where it left its history, whoever catches the error."""

    mismatch: DBOSUnexpectedStepError | None = None

    def recorded(self, step_id: int, name: str) -> Recorded | None:
        """As for every run."""
        try:
            return WorkflowRun.recorded(self, step_id, name)
        except DBOSUnexpectedStepError as error:
            self.mismatch = self.mismatch or error
            raise

    def first_left(self) -> int | None:
        """The first recorded step that was not come to."""
        return min((n for n in self.history if n > self._last_step_id), default=None)


class _ReplayRuntime(Runtime):
    """A runtime that answers from histories, reads, and stops at anything else."""

    def __init__(self, built: Runtime, connection: psycopg.Connection[Any]) -> None:
        super().__init__(
            built.engine, built.registry, built.codec, built.application, built.transactions
        )
        self._connection = connection
        self._session = Session(connection, prepare=False)
        self.replayed: _Run | None = None

    def run(self, flow: Flow[T]) -> T:
        """Run a flow as far as nothing has to be done."""
        return drive(flow, self._answer)

    async def run_async(self, flow: Flow[T]) -> T:
        """As `run`."""
        return self.run(flow)

    def read(self, call: Call[Any]) -> list[Any]:
        """Call a function that changes nothing, in a transaction of its own that can't."""
        with self._connection.transaction():
            return self._session.call(call, self.engine.options.schema)

    def _answer(self, effect: Effect) -> Any:
        if isinstance(effect, AwaitLocal):
            return None
        if isinstance(effect, Await):
            call = effect.call(None)
            rows = self.read(call) if call.function in _READS else []
            if rows and effect.left(rows) is None:
                return rows
        elif isinstance(effect, Call) and effect.function in _READS:
            return self.read(effect)
        raise self._end()

    def _end(self) -> BaseException:
        error = _EndOfHistory()
        if self.replayed is not None:
            self.replayed.ended_by = error
        return error


def check_replay(
    settings: Settings,
    url: str,
    registry: Registry,
    filters: Mapping[str, object],
    limit: int | None = None,
) -> ReplayReport:
    """Replay the workflows that are under way, oldest first. Writes nothing: each transaction is read-only.

    Args:
        settings: The configuration of the application.
        url: The engine's database.
        registry: Its functions.
        filters: Which workflows, as `list_workflows` takes them.
        limit: At most so many workflows; None is no limit.
    """
    application = Application(settings.name, "", version_is_pinned=False)
    built = assemble(settings, url, registry, application)
    try:
        with psycopg.connect(
            url, autocommit=True, connect_timeout=10, prepare_threshold=None
        ) as connection:
            # Of the transactions, not of the session: that is another program's next, behind a pooler.
            connection.read_only = True
            runtime = _ReplayRuntime(built, connection)
            return _report(runtime, _pages(runtime, filters, limit))
    finally:
        built.engine.destroy(0)


def _report(runtime: _ReplayRuntime, pages: Iterator[Sequence[str]]) -> ReplayReport:
    report = ReplayReport()
    for workflow_ids in pages:
        for history in runtime.read(calls.find_histories(workflow_ids=workflow_ids)):
            report.checked += 1
            with acting(runtime):
                mismatch = _replay(runtime, history)
            if mismatch is not None:
                report.mismatches.append(mismatch)
    return report


def _pages(
    runtime: _ReplayRuntime, filters: Mapping[str, object], limit: int | None
) -> Iterator[Sequence[str]]:
    offset = 0
    while limit is None or offset < limit:
        size = _PAGE if limit is None else min(_PAGE, limit - offset)
        page = {"statuses": list(_ACTIVE), "application_name": runtime.application.name, **filters}
        rows: list[WorkflowRow] = runtime.read(
            calls.list_workflows(filters={**page, "row_limit": size, "row_offset": offset})
        )
        if rows:
            yield [row.workflow_id for row in rows]
        if len(rows) < size:
            return
        offset += size


def _replay(runtime: _ReplayRuntime, history: ClaimedWorkflow) -> Mismatch | None:
    run = run_of(history, "", runtime.codec, _Run)
    runtime.replayed = run
    found = runtime.registry.find(history.name, history.class_name, history.config_name)
    if found is None:
        return _mismatch(run, None, None, f"no function {history.name} is registered")
    workflow, bound = found
    ending = "it ends"
    try:
        args, kwargs = runtime.arguments_of(history, run, workflow)
        inspect.signature(workflow.function).bind(*bound, *args, **kwargs)
    except Exception as error:
        reason = f"it can't be called: {type(error).__name__}: {error}"
        return _mismatch(run, None, None, reason)
    try:
        with entered(Scope(run)):
            output = workflow.function(*bound, *args, **kwargs)
            if inspect.isawaitable(output):
                asyncio.run(_finished(output))
    except ContinueAsNew:
        ending = "it continues as new"
    except Exception as error:
        ending = f"it raises {type(error).__name__}"
    except BaseException:
        if run.ended_by is None:
            raise
    return _verdict(run, ending)


async def _finished(output: Any) -> Any:
    return await output


def _verdict(run: _Run, ending: str) -> Mismatch | None:
    """What the replay says: the first step with another name, or one that is recorded beyond the end of the code."""
    wrong = run.mismatch
    if wrong is not None:
        _, step_id, expected, recorded = wrong.inputs
        reason = f"step {step_id} is recorded as {recorded}, where the code has {expected}"
        return _mismatch(run, step_id, expected, reason)
    left = run.first_left()
    if run.ended_by is None and left is not None:
        reason = f"step {left} is recorded as {run.history[left].name}, where the code has no more: {ending}"
        return _mismatch(run, left, None, reason)
    return None


def _mismatch(run: _Run, step_id: int | None, expected: str | None, reason: str) -> Mismatch:
    recorded = None if step_id is None else run.history[step_id].name
    return Mismatch(run.workflow_id, run.name, step_id, recorded, expected, reason)
