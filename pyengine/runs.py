"""The state of one run of a workflow: its lease, its numbering and its history."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from pyengine.database.rows import ClaimedWorkflow, StepAnswer, WorkflowOrigin
from pyengine.errors import (
    DBOSBaseException,
    DBOSUnexpectedStepError,
    DBOSWorkflowCancelledError,
    DBOSWorkflowConflictIDError,
)
from pyengine.refusals import refusal
from pyengine.serialization import Codec
from pyengine.spans import Span


@dataclass(frozen=True, slots=True)
class Recorded:
    """The recorded outcome of a step."""

    name: str
    child_workflow_id: str | None
    serialization: str
    output: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Identity:
    """On whose behalf a workflow runs."""

    user: str | None = None
    assumed_role: str | None = None
    roles: Sequence[str] | None = None


NOBODY = Identity()


class HibernatedRun(DBOSBaseException):
    """A run was given up because its workflow waits for long: another run goes on when the wait is over."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"Workflow {workflow_id} hibernates until its wait is over")


class ContinueAsNew(BaseException):
    """The body wants its workflow to begin again with these inputs, encoded as the workflow's are."""

    def __init__(self, inputs: str) -> None:
        super().__init__("the workflow begins again as new")
        self.inputs = inputs


class ContinuedRun(DBOSBaseException):
    """A run has ended, and its workflow begins again as new: another run goes on."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"Workflow {workflow_id} has begun again as new")


@dataclass(slots=True)
class WorkflowRun:
    """One run of a workflow, from its start or claim to its end in this process.

    `can_hibernate` is true when nobody's stack waits for the run. A branch is a thread or task in which the run waits
    or runs a step; its home is the one that runs its body. The origin tells its checkpoints in a separate application
    database, once it has been asked for. The carrier is the trace that its workflow was given, the span
    that of this run, if it is traced.
    """

    workflow_id: str
    name: str
    lease_token: str
    codec: Codec
    serialization: str
    attempt: int = 1
    queue_name: str | None = None
    is_claimed: bool = False
    claimed_at: datetime | None = None
    can_hibernate: bool = False
    identity: Identity = NOBODY
    history: Mapping[int, Recorded] = field(default_factory=dict)
    ended_by: BaseException | None = None
    began_at: float = field(default_factory=time.monotonic)
    is_reading_stream: bool = False
    is_doubtful: bool = False
    origin: WorkflowOrigin | None = None
    carrier: Mapping[str, str] | None = None
    span: Span | None = None
    _last_step_id: int = 0
    _home: object = None
    _branches: dict[object, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_step_id(self) -> int:
        """Draw the next step number; safe among threads and tasks."""
        return self.next_step_ids(1)

    def next_step_ids(self, count: int) -> int:
        """Draw several numbers in a row: the first of them."""
        with self._lock:
            first = self._last_step_id + 1
            self._last_step_id += count
        return first

    def next_step_id_unless(self, is_other: Callable[[Recorded | None], bool]) -> int | None:
        """Draw the next step number, unless `is_other` says that what is recorded there is not of this step."""
        with self._lock:
            step_id = self._last_step_id + 1
            if is_other(self.history.get(step_id)):
                return None
            self._last_step_id = step_id
        return step_id

    def upcoming_step_id(self) -> int:
        """The number that is drawn next."""
        return self._last_step_id + 1

    def settle(self) -> None:
        """The body begins, in this thread or task."""
        self._home = _here()

    @contextmanager
    def branch(self) -> Iterator[None]:
        """The run waits or runs a step in this thread or task."""
        key, branches = _here(), self._branches
        branches[key] = branches.get(key, 0) + 1
        try:
            yield
        finally:
            branches[key] -= 1
            if not branches[key]:
                del branches[key]

    def only_waits_here(self) -> bool:
        """Whether this is the body of the run, waiting, and nothing else of the run is under way."""
        return _here() == self._home and len(self._branches) == 1 and self._home in self._branches

    def check(self) -> None:
        """Refuse to go on once the run has ended.

        Raises:
            DBOSBaseException: Why it ended: it was cancelled, another run owns the workflow, or it hibernates.
        """
        if self.ended_by is not None:
            raise self.ended_by

    def recorded(self, step_id: int, name: str) -> Recorded | None:
        """The recorded outcome of a step, if it has one.

        Raises:
            DBOSUnexpectedStepError: Another step was recorded under this number: the code has changed,
                or is not deterministic.
        """
        self.check()
        found = self.history.get(step_id)
        if found is not None and found.name != name:
            raise DBOSUnexpectedStepError(self.workflow_id, step_id, name, found.name)
        return found

    def replay(self, recorded: Recorded) -> Any:
        """Return the recorded output, or raise the recorded error."""
        if recorded.error is not None:
            raise self.codec.decode_error(recorded.error, recorded.serialization)
        return self.codec.decode(recorded.output, recorded.serialization)

    def accept(self, answer: StepAnswer | None) -> Recorded | None:
        """Read the answer to a checkpoint: None when it was stored, the earlier outcome when there is one.

        Raises:
            DBOSWorkflowConflictIDError: Another run owns the workflow.
            DBOSWorkflowCancelledError: The workflow was cancelled.
            DBOSException: The checkpoint was refused for another reason.
        """
        if answer is None:
            return None
        if answer.refusal is not None:
            raise self.end(refusal(answer.refusal, answer.message or "", self.workflow_id))
        if answer.name is None or answer.serialization is None:
            return None
        return Recorded(
            answer.name,
            answer.child_workflow_id,
            answer.serialization,
            answer.output,
            answer.error,
        )

    def end(self, error: BaseException) -> BaseException:
        """Remember that this run may not go on, if that is what the error says."""
        if isinstance(error, (DBOSWorkflowConflictIDError, DBOSWorkflowCancelledError)):
            self.ended_by = error
        return error


Run = TypeVar("Run", bound=WorkflowRun)


def _here() -> object:
    """The running task, or else the thread."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident() if task is None else task


def run_of(claimed: ClaimedWorkflow, lease_token: str, codec: Codec, kind: type[Run]) -> Run:
    """The run of a claimed workflow, with its history."""
    identity = (claimed.authenticated_user, claimed.assumed_role, claimed.authenticated_roles)
    return kind(
        workflow_id=claimed.workflow_id,
        name=claimed.name,
        lease_token=lease_token,
        codec=codec,
        serialization=claimed.serialization,
        attempt=claimed.attempt_count,
        queue_name=claimed.queue_name,
        is_claimed=True,
        claimed_at=claimed.claimed_at,
        _last_step_id=claimed.base_step_id,
        identity=NOBODY if identity == (None, None, None) else Identity(*identity),
        history=_history(claimed) if claimed.step_ids else {},
    )


def _history(claimed: ClaimedWorkflow) -> dict[int, Recorded]:
    columns = (
        claimed.step_names,
        claimed.step_children,
        claimed.step_serializations,
        claimed.step_outputs,
        claimed.step_errors,
    )
    recorded = (
        Recorded(*values) for values in zip(*(column or () for column in columns), strict=True)
    )
    return dict(zip(claimed.step_ids or (), recorded, strict=True))
