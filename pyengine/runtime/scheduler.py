"""The thread that keeps schedules going: it computes their next ticks, and has the database fire those that are due.

It sleeps until its process is told that there is something to do: by the maintenance tick, which sees what nobody does,
or by the timer of the schedules that this process planned.
"""

from __future__ import annotations

import logging
import threading

from pyengine.cron import parse
from pyengine.database import schedule_calls
from pyengine.database.rows import SchedulePlan
from pyengine.runtime.gateway import Gateway

_logger = logging.getLogger("pyengine")

PLAN_LIMIT = 20

# Until the process has registered.
_REGISTRATION_SECONDS = 0.1


class Scheduler:
    """Plans and fires schedules of its application whenever it is woken or a tick of one that it planned is due."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._due = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pyengine-scheduler", daemon=True)

    def start(self) -> None:
        """Start."""
        self._thread.start()

    def stop(self) -> None:
        """Fire no more."""
        self._stopping = True
        self._due.set()
        if self._thread.ident is not None:
            self._thread.join(10)

    def wake(self) -> None:
        """A schedule is due or is to be planned."""
        self._due.set()

    def _run(self) -> None:
        pause: float | None = None
        while True:
            self._due.wait(pause)
            self._due.clear()
            if self._stopping:
                return
            try:
                pause = self.work()
            except Exception:
                if self._stopping:
                    return
                _logger.exception("the schedules could not be fired; it is repeated")
                pause = 1.0

    def work(self) -> float | None:
        """Plan, and fire until nothing is due: the seconds until there is something to do again, None until woken."""
        executor_id = self._gateway.executor_id
        if executor_id is None:
            return _REGISTRATION_SECONDS
        call = schedule_calls.claim_unplanned_schedules(
            executor_id=executor_id, row_limit=PLAN_LIMIT
        )
        for plan in self._gateway.run_own(call):
            self._plan(plan)
        call_again: float | None = 0
        while call_again == 0 and not self._stopping:
            fire = schedule_calls.fire_schedules(executor_id=executor_id)
            call_again = self._gateway.run_own(fire)[0]
        return call_again

    def _plan(self, plan: SchedulePlan) -> None:
        try:
            ticks, until = parse(plan.schedule, plan.cron_timezone).plan(
                plan.plan_from, plan.planned_at, last_only=plan.catch_up == "last"
            )
            error = None if ticks else "no further time fits this expression"
        except Exception as failure:
            ticks, until, error = [], None, f"{type(failure).__name__}: {failure}"
        if error is not None:
            _logger.error(
                "the next ticks of schedule %s can't be computed: %s", plan.schedule_name, error
            )
        self._gateway.run_own(
            schedule_calls.plan_schedule(
                schedule_name=plan.schedule_name,
                revision=plan.revision,
                known_until=plan.planned_until,
                ticks=[tick.isoformat() for tick in ticks],
                planned_until=until,
                error=error,
            )
        )
