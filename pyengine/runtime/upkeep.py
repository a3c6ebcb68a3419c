"""What a process does for the engine after a maintenance tick: chores, and its own runs that it lost sight of."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from pyengine.database import calls, upkeep_calls
from pyengine.database.rows import ChoresResult, RunLease, TickResult
from pyengine.runtime.gateway import Gateway
from pyengine.runtime.local import LocalRuns

_logger = logging.getLogger("pyengine")

BATCH_LIMIT = 1000

# The next heartbeat must not wait for long chores; what is left is done after the next tick.
CHORES_SECONDS = 0.5

# A run that was stored so long ago has begun here, or never will: the start was interrupted before its first line.
STRAY_SECONDS = 10.0


class Upkeep:
    """Does what a tick found to do. Raises what the database raises; the next tick tries again."""

    def __init__(self, gateway: Gateway, runs: LocalRuns) -> None:
        self._gateway = gateway
        self._runs = runs
        self.also: list[Callable[[], None]] = []  # to be done after each tick, without waiting

    def after(self, tick: TickResult, executor_id: int) -> None:
        """Do the chores if there are any, and give back runs that are stored as running here and do not."""
        if tick.has_chores:
            self._do_chores()
        if tick.running_workflows is not None and tick.running_workflows > len(self._runs):
            self._give_back_strays(executor_id)
        for chore in self.also:
            chore()

    def _do_chores(self) -> None:
        until = time.monotonic() + CHORES_SECONDS
        is_more = True
        while is_more and time.monotonic() < until:
            call = upkeep_calls.run_chores(batch_limit=BATCH_LIMIT)
            result: ChoresResult = self._gateway.run_own(call)[0]
            is_more = result.is_more
            if result.overdue_workflows:
                _logger.info("%d workflows passed their deadline", result.overdue_workflows)
            if result.pruned_workflows:
                _logger.info("retention removed %d workflows", result.pruned_workflows)
            if result.unlimited_history is not None:
                _logger.warning(
                    "about %d workflows are stored and no retention policy limits them: call DBOS.set_retention",
                    result.unlimited_history,
                )

    def _give_back_strays(self, executor_id: int) -> None:
        owned: list[RunLease] = self._gateway.run_own(
            upkeep_calls.list_runs(executor_id=executor_id, older_than_seconds=STRAY_SECONDS)
        )
        known = self._runs.leases()
        strays = [
            (run.workflow_id, str(run.lease_token))
            for run in owned
            if (run.workflow_id, str(run.lease_token)) not in known
        ]
        if strays:
            _logger.warning(
                "%d workflows were started here and never ran: they are given back", len(strays)
            )
            self._gateway.run_own(calls.release_workflows(leases=strays))
