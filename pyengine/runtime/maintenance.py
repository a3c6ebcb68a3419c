"""The heartbeat of a process: one statement a second that proves its life, reaps the dead and tells of work."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from pyengine.database import calls
from pyengine.database.rows import TickResult
from pyengine.runs import WorkflowRun
from pyengine.runtime.gateway import Gateway
from pyengine.runtime.upkeep import Upkeep

_logger = logging.getLogger("pyengine")

TICK_SECONDS = 1.0


class Maintenance:
    """Ticks once a second (more often if heartbeats are to be), at once when `hurry` is called."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        lease_seconds: float,
        heartbeat_seconds: float,
        session_pid: Callable[[], int | None],
        register: Callable[[], None],
        work_found: Callable[[], None],
        upkeep: Upkeep,
        schedules_due: Callable[[], None],
        queue_names: Sequence[str] | None,
    ) -> None:
        self._gateway = gateway
        self._upkeep = upkeep
        self._heartbeat_seconds = heartbeat_seconds
        self._tick_seconds = min(TICK_SECONDS, heartbeat_seconds)
        # The server's lease runs from a heartbeat that may be one interval older than the last tick.
        self._sure_seconds = lease_seconds - heartbeat_seconds - self._tick_seconds
        self._session_pid = session_pid
        self._register = register
        self._work_found = work_found
        self._schedules_due = schedules_due
        self._queue_names = queue_names
        self._sure_until = self._registered_at = time.monotonic()
        self._hurry = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pyengine-maintenance", daemon=True)

    def start(self) -> None:
        """Start ticking."""
        self._registered_at = time.monotonic()
        self._sure_until = self._registered_at + self._sure_seconds
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping = True
        self._hurry.set()
        if self._thread.ident is not None:
            self._thread.join(10)

    def hurry(self) -> None:
        """Tick now: the listening session is a new one, or the executor seems to be lost."""
        self._hurry.set()

    def lease_is_sure(self, run: WorkflowRun) -> bool:
        """Whether the lease can't have run out since the last tick, by this process's own monotonic clock.

        It is never sure for a run that is older than the registration: that one may have lost its lease with the
        process's earlier registration.
        """
        return self._registered_at <= run.began_at and time.monotonic() < self._sure_until

    def _run(self) -> None:
        while not self._stopping:
            began = time.monotonic()
            try:
                self._tick(began)
            except Exception:
                if self._stopping:
                    return
                _logger.exception("a maintenance tick failed; it is repeated")
            self._hurry.wait(max(self._tick_seconds - (time.monotonic() - began), 0.0))
            self._hurry.clear()

    def _tick(self, began: float) -> None:
        executor_id = self._gateway.executor_id
        if executor_id is None:
            return
        call = calls.tick_executor(
            executor_id=executor_id,
            session_pid=self._session_pid(),
            heartbeat_seconds=self._heartbeat_seconds,
            queue_names=self._queue_names,
        )
        result: TickResult = self._gateway.run_own(call)[0]
        if not result.is_alive:
            _logger.warning(
                "executor %s was declared dead while it was silent; its workflows were taken over "
                "and it registers anew",
                executor_id,
            )
            # Before it registers: a run that begins meanwhile asks once too often.
            self._registered_at = time.monotonic()
            self._register()
            self._work_found()
        else:
            self._sure_until = began + self._sure_seconds
        if result.requeued_workflows:
            _logger.info("%d workflows of dead executors are recovered", result.requeued_workflows)
        if result.claimable or result.requeued_workflows:
            self._work_found()
        self._upkeep.after(result, executor_id)
        if result.has_due_schedules:
            self._schedules_due()
