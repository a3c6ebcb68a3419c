"""How long to wait before a database call is repeated, and when not to repeat it."""

from __future__ import annotations

import logging
import random

import psycopg

from pyengine.sqlstates import retry_cap, retry_policy_of

_logger = logging.getLogger("pyengine")

_FIRST_PAUSE = {"outage": 0.05, "conflict": 0.002, "busy": 0.1}
_WARN_AFTER = 3


class Retries:
    """The repetitions of one database call, by the table of SQLSTATEs.

    Outages, conflicts and timeouts are repeated for ever: a call of the engine stalls rather than fails,
    so that an outage never becomes a workflow's error. A client may prefer the error of an outage.
    """

    def __init__(self, *, through_outages: bool = True) -> None:
        self._count = 0
        self._through_outages = through_outages

    def pause_after(self, error: BaseException) -> float | None:
        """Seconds to wait before the call is repeated, or None when repeating cannot help."""
        if not isinstance(error, psycopg.Error):
            return None
        sqlstate = error.diag.sqlstate or error.sqlstate
        policy = retry_policy_of(error)
        if policy == "fatal" or (policy == "outage" and not self._through_outages):
            return None
        self._count += 1
        if self._count >= _WARN_AFTER and self._count & (self._count - 1) == 0:
            code = sqlstate or "connection lost"
            _logger.warning("database call repeated %d times (%s, %s)", self._count, policy, code)
        longest = _FIRST_PAUSE[policy] * float(2 ** min(self._count, 12))
        ceiling = min(longest, retry_cap(sqlstate))
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing
