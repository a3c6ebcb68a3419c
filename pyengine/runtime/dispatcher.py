"""The one thread that claims work for this process: as much as fits, as soon as it is told that there is some."""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Sequence

from pyengine.database import calls, queue_calls
from pyengine.database.rows import ClaimedWorkflow
from pyengine.errors import DBOSExecutorGoneError
from pyengine.runs import WorkflowRun
from pyengine.runtime.gateway import Gateway

_logger = logging.getLogger("pyengine")

CLAIM_LIMIT = 100

# After nothing was found somebody may have looked at the waiters just before us: look again soon, then only when
# woken or when a timer is due. The maintenance tick keeps the registration alive, and finds what was missed.
_PAUSES_SECONDS = (0.005, 0.05, 0.5, None)

# Anybody may notify. After so many wake-ups in a row for nothing, those that follow are taken together.
_VAIN_WAKES = 8
_VAIN_PAUSE_SECONDS = 0.03


class Dispatcher:
    """Claims workflows while there are free slots and hands them to `execute(claimed, lease_token)`."""

    def __init__(
        self,
        gateway: Gateway,
        channel: str,
        *,
        free_slots: Callable[[], int],
        execute: Callable[[Sequence[ClaimedWorkflow], str], None],
        executor_lost: Callable[[], None],
        queue_names: Sequence[str] | None,
    ) -> None:
        self._gateway = gateway
        self._channel = channel
        self._free_slots = free_slots
        self._execute = execute
        self._executor_lost = executor_lost
        self._queue_names = queue_names
        self._work = threading.Event()
        self._is_full = False
        self._waits_until = math.inf
        self._is_waiting = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pyengine-dispatcher", daemon=True)

    def start(self) -> None:
        """Start claiming."""
        self._thread.start()

    def stop(self) -> None:
        """Claim no more."""
        self._stopping = True
        self._work.set()
        if self._thread.ident is not None:
            self._thread.join(10)

    def wake(self) -> None:
        """There may be work."""
        self._work.set()

    def expect(self, seconds: float) -> None:
        """Something will be due in so many seconds: look at the timers again, if this thread would sleep longer."""
        if time.monotonic() + seconds < self._waits_until:
            self._work.set()

    def run_ended(self, run: WorkflowRun) -> None:
        """A run ended or began to wait: there may be room, in this process or in the run's queue."""
        if self._is_full or run.queue_name is not None:
            self._work.set()

    def _run(self) -> None:
        idle_count = vain_count = 0
        while not self._stopping:
            self._work.clear()
            try:
                if self._claim():
                    idle_count = vain_count = 0
                    continue
                pause = None if self._is_full else self._pause(idle_count)
            except DBOSExecutorGoneError:
                self._executor_lost()
                pause = 0.1
            except Exception:
                if self._stopping:
                    return
                _logger.exception("claiming workflows failed; it is repeated")
                pause = 1.0
            self._waits_until = math.inf if pause is None else time.monotonic() + pause
            if not self._work.wait(pause):
                idle_count += 1
                vain_count = 0
            elif (vain_count := vain_count + 1) > _VAIN_WAKES:
                time.sleep(_VAIN_PAUSE_SECONDS)
            self._waits_until = math.inf

    def _pause(self, idle_count: int) -> float | None:
        """Nothing was found: be known as waiting, and say for how long to wait; None is until woken."""
        executor_id = self._gateway.executor_id
        last = len(_PAUSES_SECONDS) - 1
        pause = _PAUSES_SECONDS[min(idle_count, last)]
        if executor_id is None:
            return _PAUSES_SECONDS[1]
        if 0 < idle_count < last:
            return pause
        call = queue_calls.await_work(
            executor_id=executor_id, channel=self._channel, queue_names=self._queue_names
        )
        self._is_waiting = True
        timer: float | None = self._gateway.run_own(call)[0]
        if timer is None:
            return pause
        return max(timer if pause is None else min(pause, timer), 0.001)

    def _claim(self) -> int:
        """Claim once: the number of workflows that were started."""
        executor_id = self._gateway.executor_id
        self._is_full = True  # a run that ends from here on wakes this thread
        limit = min(self._free_slots(), CLAIM_LIMIT)
        if limit <= 0:
            return 0
        self._is_full = False
        if executor_id is None:
            return 0
        lease_token = str(uuid.uuid4())
        call = queue_calls.claim_workflows(
            executor_id=executor_id,
            lease_token=lease_token,
            claim_limit=limit,
            queue_names=self._queue_names,
            channel=self._channel if self._is_waiting else None,
        )
        claimed = self._gateway.run_own(call)
        self._is_waiting = self._is_waiting and not claimed
        self._hand_over(claimed, lease_token)
        return len(claimed)

    def _hand_over(self, claimed: Sequence[ClaimedWorkflow], lease_token: str) -> None:
        """Begin to run what was claimed; if it can't be run here it is given back, or it would be nobody's."""
        try:
            self._execute(claimed, lease_token)
        except Exception:
            leases = [(workflow.workflow_id, lease_token) for workflow in claimed]
            self._gateway.run_own(calls.release_workflows(leases=leases))
            raise
