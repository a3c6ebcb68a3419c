"""The one thread that claims work for this process: as much as fits, as soon as it is told that there is some."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable

from pyengine.database import calls
from pyengine.database.rows import ClaimedWorkflow
from pyengine.errors import DBOSWorkflowConflictIDError
from pyengine.runtime.gateway import Gateway

_logger = logging.getLogger("pyengine")

CLAIM_LIMIT = 100

# After nothing was found somebody may have looked at the waiters just before us: look again soon, then rarely.
# The last pause is shorter than the life of a row in waiters.
_PAUSES_SECONDS = (0.005, 0.02, 0.1, 0.4, 1.0, 25.0)


class Dispatcher:
    """Claims workflows while there are free slots and hands each to `execute(claimed, lease_token)`."""

    def __init__(
        self,
        gateway: Gateway,
        channel: str,
        *,
        free_slots: Callable[[], int],
        execute: Callable[[ClaimedWorkflow, str], None],
        executor_lost: Callable[[], None],
    ) -> None:
        self._gateway = gateway
        self._channel = channel
        self._free_slots = free_slots
        self._execute = execute
        self._executor_lost = executor_lost
        self._work = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pyengine-dispatcher", daemon=True)

    def start(self) -> None:
        """Start claiming."""
        self._thread.start()

    def stop(self) -> None:
        """Claim no more."""
        self._stopping = True
        self._work.set()
        self._thread.join(10)

    def wake(self) -> None:
        """There may be work, or room for work."""
        self._work.set()

    def _run(self) -> None:
        idle_count = 0
        while not self._stopping:
            self._work.clear()
            try:
                claimed = self._claim()
            except DBOSWorkflowConflictIDError:
                self._executor_lost()
                claimed = 0
            except Exception:
                if self._stopping:
                    return
                _logger.exception("claiming workflows failed; it is repeated")
                time.sleep(1.0)
                continue
            if claimed or self._work.wait(
                _PAUSES_SECONDS[min(idle_count, len(_PAUSES_SECONDS) - 1)]
            ):
                idle_count = 0
            else:
                idle_count += 1

    def _claim(self) -> int:
        """Claim once: the number of workflows that were started."""
        executor_id = self._gateway.executor_id
        limit = min(self._free_slots(), CLAIM_LIMIT)
        if limit <= 0 or executor_id is None:
            return 0
        lease_token = str(uuid.uuid4())
        call = calls.claim_workflows(
            executor_id=executor_id,
            lease_token=lease_token,
            claim_limit=limit,
            channel=self._channel,
        )
        claimed = self._gateway.run(call)
        for workflow in claimed:
            self._execute(workflow, lease_token)
        return len(claimed)
