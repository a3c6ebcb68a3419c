"""When a run that waits is given up, so that it needs no thread and no memory until the wait is over."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pyengine.database import message_calls
from pyengine.database.calls import Call
from pyengine.effects import Await, AwaitLocal, WaitFor
from pyengine.runs import HibernatedRun, WorkflowRun
from pyengine.runtime.waits import documents

# A rest that is not worth a replay.
SHORT_SECONDS = 1.0

# With so many threads waiting already, a further wait that needs a thread is given up at once.
CROWD = 500

Waiting = Await | AwaitLocal


class Hibernation:
    """Decides for all waits of a process. `expect(seconds)` is told when something that was given up is due again."""

    def __init__(self, after: float | None, expect: Callable[[float], None]) -> None:
        self._after = after
        self._expect = expect
        self._threads = 0
        self._lock = threading.Lock()

    @contextmanager
    def thread(self) -> Iterator[None]:
        """A thread waits meanwhile."""
        with self._lock:
            self._threads += 1
        try:
            yield
        finally:
            with self._lock:
                self._threads -= 1

    def stay(self, effect: Waiting, *, in_thread: bool) -> Stay | None:
        """For how long this wait stays in memory; None is to its end."""
        run, after = effect.waiter, self._after
        if run is None or after is None or not run.can_hibernate:
            return None
        if isinstance(effect, Await) and effect.timeout is not None:
            return None  # its end is not recorded
        at_once = effect.is_long or (in_thread and self._threads > CROWD)
        return Stay(
            run, effect, after, 0.0 if at_once else after, in_thread=in_thread, expect=self._expect
        )


class Stay:
    """A wait whose run is given up after `patience` seconds in memory.

    A mere sleep of a thread, whose length is known, is given up at once when it lasts longer than `after`. One that
    needs no thread is kept, because the code around it may be waiting for something else at the same time.
    """

    def __init__(
        self,
        run: WorkflowRun,
        effect: Waiting,
        after: float,
        patience: float,
        *,
        in_thread: bool,
        expect: Callable[[float], None],
    ) -> None:
        self._run = run
        self._timer_step_id = effect.timer_step_id if isinstance(effect, Await) else None
        self._waits = _waits(run, effect)
        self._after = after
        self._sleeps_in_thread = in_thread and not self._waits
        self._ask_at = time.monotonic() + patience
        self._expect = expect

    def seconds(self) -> float:
        """For how long to wait before `is_over` is asked again."""
        return max(self._ask_at - time.monotonic(), 0.0)

    def is_over(self, left: float) -> bool:
        """Whether the run should be given up now; if not, it is asked again after the same time."""
        now = time.monotonic()
        if now < self._ask_at and not (self._sleeps_in_thread and left > self._after):
            return False
        self._sleeps_in_thread = False
        self._ask_at = now + max(self._after, SHORT_SECONDS)
        return left > min(self._after, SHORT_SECONDS) and self._run.only_waits_here()

    def call(self) -> Call[None]:
        """What gives the run up."""
        return message_calls.hibernate_workflow(
            workflow_id=self._run.workflow_id,
            lease_token=self._run.lease_token,
            timer_step_id=self._timer_step_id,
            waits=documents(self._waits),
        )

    def end(self, left: float) -> BaseException:
        """The run is given up: what to raise."""
        self._run.ended_by = HibernatedRun(self._run.workflow_id)
        if left < math.inf:
            self._expect(left)
        return self._run.ended_by

    def failed(self, error: BaseException) -> BaseException:
        """Giving up was refused: what to raise."""
        return self._run.end(error)


def _waits(run: WorkflowRun, effect: Waiting) -> Sequence[WaitFor]:
    """What ends a wait besides its time. The own end does too, without being waited for: it ends a hibernation."""
    if isinstance(effect, AwaitLocal):
        return [WaitFor("result", effect.workflow_id)]
    own_end = WaitFor("result", run.workflow_id)
    return [each for each in effect.keys if each != own_end]
