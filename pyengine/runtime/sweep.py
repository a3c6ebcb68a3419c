"""Removes the checkpoints that a separate application database still has of workflows that are gone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import RawCursor

from pyengine.database import calls
from pyengine.database.checkpoints import Statement
from pyengine.database.connections import StepConnection
from pyengine.errors import DBOSBaseException
from pyengine.runtime.transactions import Transactions

_logger = logging.getLogger("pyengine")

BATCH_LIMIT = 1000

# Between two batches of a round, between two rounds, and how often a process asks whether it is time.
BATCH_PAUSE_SECONDS = 1.0
ROUND_PAUSE_SECONDS = 3600.0
LOOK_SECONDS = 60.0


class Sweep:
    """Goes through the checkpoints, one process at a time; the application's database knows how far it has come.

    Nothing is wrong with those that are left over, for no later workflow finds them; they take room.
    """

    def __init__(self, transactions: Transactions, submit: Callable[[Callable[[], None]], None]):
        self._transactions = transactions
        self._submit = submit
        self._next_at = time.monotonic() + LOOK_SECONDS

    def after_tick(self) -> None:
        """Do the next batch in a thread of its own if it is time: a heartbeat does not wait for this database."""
        if time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + LOOK_SECONDS
            self._submit(self._work)

    def _work(self) -> None:
        pause = LOOK_SECONDS
        try:
            if self.next_batch():
                pause = BATCH_PAUSE_SECONDS
        except (psycopg.Error, DBOSBaseException) as error:
            pause = ROUND_PAUSE_SECONDS
            _logger.warning(
                "the checkpoints of removed workflows stay in the application's database for now (%s)",
                type(error).__name__,
            )
        self._next_at = time.monotonic() + pause

    def next_batch(self) -> bool:
        """Remove what is left over of up to `BATCH_LIMIT` workflows; whether the round goes on behind them."""
        checkpoints, owner = self._transactions.checkpoints, self._transactions.owner()
        with self._transactions.threads.use() as connection:
            try:
                _execute(connection, checkpoints.begin_upkeep(owner))
                connection.commit()
                found = _execute(connection, checkpoints.begin_batch(BATCH_LIMIT, owner)).fetchone()
                if found is None:
                    return False
                [workflow_ids] = found
                known = self._transactions.gateway.run_own(
                    calls.find_origins(workflow_ids=workflow_ids)
                )
                removed = _execute(connection, checkpoints.forget_gone(workflow_ids, known, owner))
                is_more = len(workflow_ids) == BATCH_LIMIT
                end = checkpoints.end_batch(
                    workflow_ids[-1] if is_more else "",
                    BATCH_PAUSE_SECONDS if is_more else ROUND_PAUSE_SECONDS,
                    owner,
                )
                _execute(connection, end)
                connection.commit()
            finally:
                connection.rollback()
        if removed.rowcount:
            _logger.info("%d checkpoints of removed workflows are gone", removed.rowcount)
        return is_more


def _execute(connection: StepConnection, statement: Statement) -> RawCursor[Any]:
    return RawCursor(connection).execute(statement.query, statement.values)
