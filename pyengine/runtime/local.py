"""The runs of this process: what waits for one of them here need not ask the database."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Literal

from pyengine.effects import WaitFor, wait_key
from pyengine.errors import DBOSBaseException, DBOSWorkflowConflictIDError
from pyengine.runs import ContinuedRun, HibernatedRun, WorkflowRun

_logger = logging.getLogger("pyengine")


class LostRun(Exception):  # noqa: N818 - it is not an error
    """The run ended without deciding the workflow's outcome: another run, or an operator, does."""


class LocalRun:
    """One run in this process, from its lease on; as a block: what leaves the block is its outcome.

    `loop` is the event loop that runs it, None for a run in a thread.
    """

    __slots__ = ("_future", "_lock", "_runs", "_settled", "loop", "run")

    def __init__(
        self, runs: LocalRuns, run: WorkflowRun, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._runs = runs
        self._lock = runs.lock
        self._future: Future[Any] | None = None
        self._settled: tuple[Any, Exception | None] | None = None
        self.run = run
        self.loop = loop
        runs.begin(self)

    @property
    def is_settled(self) -> bool:
        """Whether the outcome is known."""
        return self._settled is not None

    def outcome(self) -> Future[Any]:
        """The outcome to wait for. Most runs end without anybody waiting here: they never need a future."""
        with self._lock:
            if self._future is None:
                self._future = Future()
                if self._settled is not None:
                    _fulfil(self._future, self._settled)
            return self._future

    def __enter__(self) -> LocalRun:
        return self

    def succeed(self, output: Any) -> Any:
        """The run has ended with this output."""
        self._settle(output, None)
        return output

    def hand_over(self) -> None:
        """The database has the outcome: who waits here asks it."""
        self._settle(None, LostRun())

    def lose(self) -> None:
        """Another run has taken over: who waits here asks the database, and this run may write nothing more."""
        self.run.end(DBOSWorkflowConflictIDError(self.run.workflow_id))
        self._settle(None, LostRun())

    def drop(self) -> None:
        """It could not be begun here after all: who waits here asks the database."""
        self._runs.end(self)
        self._settle(None, LostRun())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self._runs.end(self)
        if isinstance(error, Exception):
            self._settle(None, error)
        elif error is not None:
            self._settle(None, LostRun())
            if isinstance(error, (HibernatedRun, ContinuedRun)):
                _logger.debug("%s", error.message)
            elif isinstance(error, DBOSBaseException):
                _logger.info("a run of workflow %s ended: %s", self.run.workflow_id, error)
            else:
                self._runs.interrupted(self.run)
        return False

    def _settle(self, output: Any, error: Exception | None) -> None:
        """The first outcome counts: a run that was superseded has one already."""
        with self._lock:
            if self._settled is not None:
                return
            self._settled = (output, error)
            future = self._future
        if future is not None:
            _fulfil(future, self._settled)


def _fulfil(future: Future[Any], settled: tuple[Any, Exception | None]) -> None:
    output, error = settled
    with suppress(InvalidStateError):  # whoever waits on an event loop may cancel it
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(output)


class LocalRuns:
    """The runs that are under way in this process, by workflow id.

    `ended(run)` is called when one ends or begins to wait; `interrupted(run)` when one was interrupted (by a signal,
    by the end of its event loop) and should be given back.
    """

    def __init__(
        self, ended: Callable[[WorkflowRun], None], interrupted: Callable[[WorkflowRun], None]
    ) -> None:
        self._ended = ended
        self.interrupted = interrupted
        self.lock = threading.Lock()
        self._runs: dict[str, LocalRun] = {}
        self._busy = 0

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def busy(self) -> int:
        """How many claimed runs are under way and do not wait for another workflow."""
        return self._busy

    def begin(self, local: LocalRun) -> None:
        """A run begins; an earlier run of the same workflow has lost it."""
        with self.lock:
            earlier = self._runs.get(local.run.workflow_id)
            self._runs[local.run.workflow_id] = local
            self._busy += local.run.is_claimed
        if earlier is not None:
            earlier.lose()

    def end(self, local: LocalRun) -> None:
        """A run ends; a later run of the same workflow stays."""
        with self.lock:
            if self._runs.get(local.run.workflow_id) is local:
                del self._runs[local.run.workflow_id]
            self._busy -= local.run.is_claimed
        self._ended(local.run)

    @contextmanager
    def waiting(self, run: WorkflowRun | None) -> Iterator[None]:
        """The run waits for another workflow: meanwhile it takes no slot of this process."""
        if run is None or not run.is_claimed:
            yield
            return
        with self.lock:
            self._busy -= 1
        self._ended(run)
        try:
            yield
        finally:
            with self.lock:
                self._busy += 1

    def abandon(self) -> None:
        """All runs were given back: they may write nothing more, and end at their next operation."""
        with self.lock:
            for local in self._runs.values():
                local.run.end(DBOSWorkflowConflictIDError(local.run.workflow_id))

    def doubt(self, key: int) -> None:
        """The workflow with this wait key was taken from its run: that asks before it begins another step."""
        for workflow_id, local in tuple(self._runs.items()):
            if wait_key(WaitFor("result", workflow_id)) == key:
                local.run.is_doubtful = True

    def leases(self) -> set[tuple[str, str]]:
        """The workflows that run here, with the leases of their runs."""
        return {(each.run.workflow_id, each.run.lease_token) for each in tuple(self._runs.values())}

    def find(self, workflow_id: str) -> LocalRun | None:
        """The run of a workflow that is under way in this process.

        One that has just settled is none any more: who waits from now on may wait for a later run, after a rewind.
        """
        local = self._runs.get(workflow_id)
        return None if local is None or local.is_settled else local
