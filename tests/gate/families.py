"""Calls about something other than a running workflow: schedules, queues, applications, workflows in SQL, imports.

They are those of the scenarios of lost replies, and variants of them. A family has a world in which all of its calls
have something to do, and what counts in it is everything that is stored, but for times and random ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from tests.races.actions import TOKENS, Action, start
from tests.races.scenarios import (
    DUE_SCHEDULE,
    IGNORED,
    LEASED_SQL_WORKFLOW,
    SCENARIOS,
    SQL_FUNCTION,
    TOKEN,
    TWO,
    Scenario,
    of_run,
    tables,
    told,
)
from tests.races.world import World

Session = psycopg.Connection[Any]

# Ids, the moments that are parts of ids, and those at which a wait ends.
_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_MOMENT = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+"
_EPOCH = r"1\d{9}\.\d+"
_RANDOM = re.compile(f"{_UUID}|{_MOMENT}|{_EPOCH}")
# Numbers of a sequence go on where an order was tried and taken back: in columns, and as answers.
_IGNORED = {**IGNORED, "workflows": ("executor_id",), "messages": ("message_id",)}
_NUMBERED = ("register_executor",)
_KNOWN = {TOKEN, *TOKENS.values()}


@dataclass(frozen=True)
class Family:
    """Calls that may meet in a world.

    Attributes:
        before: SQL that makes what they need.
        calls: the calls by name; what follows a colon in it tells those of one function apart.
        skips: those that pass over what is locked.
    """

    before: str
    calls: dict[str, Scenario]
    skips: tuple[str, ...] = ()

    def actions(self) -> list[Action]:
        """Its calls."""
        return [
            Action(name, frozenset(), _runner(name.partition(":")[0], call), name in self.skips)
            for name, call in self.calls.items()
        ]


class FamilyWorld(World):
    """The world of the actions, and what the calls of a family need."""

    def __init__(self, url: str, look: Session, before: str) -> None:
        self._before = before
        super().__init__(url, look)

    def restore(self) -> None:
        """Put everything back, and make what the calls need."""
        super().restore()
        self.look.execute(self._before.encode())

    def state(self) -> list[Any]:
        """Everything that is stored, without times and random ids."""
        rows = tables(self, ignored=_IGNORED)
        return sorted((table, _without_random_ids(row)) for table, row in rows)


def _runner(function: str, call: Scenario) -> Callable[[Session], list[Any]]:
    text = f"select * from pyengine.{function}({call.call})".encode()

    def run(session: Session) -> list[Any]:
        rows = session.execute(text, call.values or None).fetchall()
        if function in _NUMBERED:
            return []
        return sorted(([_plain(value) for value in row] for row in rows), key=repr)

    return run


def _plain(value: Any) -> Any:
    """A value of an answer, without what is new in every moment."""
    if isinstance(value, (datetime, UUID, float)):
        return type(value).__name__
    return _without_random_ids(str(value))


def _without_random_ids(text: str) -> str:
    return _RANDOM.sub(lambda found: found[0] if found[0] in _KNOWN else "random", text)


def _as_in_scenarios(*functions: str) -> dict[str, Scenario]:
    return {name: SCENARIOS[name] for name in functions}


_LATER = {"schedule_name": "nightly", "workflow_name": "f", "schedule": "0 4 * * *"}

FAMILIES: dict[str, Family] = {
    "schedules": Family(
        before=DUE_SCHEDULE,
        calls={
            **_as_in_scenarios(
                "create_schedule", "pause_schedule", "resume_schedule", "delete_schedule", "trigger_schedule",
                "backfill_schedule", "fire_schedules", "claim_unplanned_schedules", "plan_schedule",
            ),
            "apply_schedules": told("%s", [_LATER]),
            "fire_schedules: by two": told(TWO),
        },
        skips=("fire_schedules", "fire_schedules: by two", "claim_unplanned_schedules"),
    ),
    "queues": Family(
        before="select from pyengine.register_queue('idle'); "
        "select pyengine.enqueue_workflow('f', 'idle', workflow_id => 'holder', deduplication_id => 'held')",
        calls={
            **_as_in_scenarios(
                "change_queue", "pause_queue", "resume_queue", "enqueue_workflow", "claim_workflows",
                "enqueue_workflows", "register_queue",
            ),
            "register_queue: q": told("'q', concurrency => 2"),
            "register_queue: of another": told("'new', application_name => 'other'"),
            "register_queue: of app": told("'new', application_name => 'app'"),
            "register_queue: idle": told("'idle', on_conflict => 'never_update'"),
            "delete_queue: q": told("'q'"),
            "delete_queue: idle": told("'idle'"),
            "change_queue: idle": told("'idle', '{\"concurrency\": 2}'"),
            "enqueue_workflow: held": told("'f', 'idle', workflow_id => 'new', deduplication_id => 'held', "
                "duplication_policy => 'return-existing'"),
            "enqueue_workflow: throttled": told(
                "'f', 'idle', workflow_id => 'one', throttle_key => 'k', throttle_ms => 1000000"
            ),
            "enqueue_workflow: throttled too": told(
                "'f', 'idle', workflow_id => 'two', throttle_key => 'k', throttle_ms => 1000000, "
                "duplication_policy => 'return-existing'"
            ),
            "delete_workflows": told("array['holder']"),
            "cancel_workflow": told("'holder'"),
            "start_workflows": told("%s", [start("new", queue_name="q", deduplication_id="d")]),
        },
        skips=("claim_workflows",),
    ),
    "applications": Family(
        before=f"{SQL_FUNCTION}; select from pyengine.register_application_version('app', '1')",
        calls={
            **_as_in_scenarios(
                "rename_application", "set_retention", "register_application_version", "set_latest_application_version",
                "run_chores", "register_sql_workflow",
            ),
            "register_application_version: of another": told("'other', '2'"),
            "register_application_version: third": told("'app', '3'"),
            "register_queue": told("'new', application_name => 'app'"),
            "register_queue: latest": told(
                "'q', 'app', concurrency => 5, on_conflict => 'update_if_latest_version', application_version => '1'"
            ),
            "create_schedule": told("'nightly', 'f', '0 3 * * *', application_name => 'app'"),
            "start_workflow": told("'f', workflow_id => 'new', application_name => 'app'"),
            "rename_application: again": told("'app', 'another'"),
        },
        skips=("run_chores",),
    ),
    "workflows in SQL": Family(
        before=LEASED_SQL_WORKFLOW,
        calls={
            **_as_in_scenarios(
                "run_sql_step", "finish_sql_step", "fail_sql_step", "next_sql_step", "register_sql_workflow",
                "drop_sql_workflow", "claim_sql_workflow",
            ),
            "run_sql_workflows": SCENARIOS["run_sql_workflows"],
            "set_executor_functions": SCENARIOS["set_executor_functions"],
            "register_executor": told(
                "name => 'new', application_name => 'app', application_version => '1', version_is_pinned => false, "
                "functions => '{f}', channel => 'new channel', lease_seconds => 600, runs_sql_workflows => true"
            ),
            "register_sql_workflow: second": told("'second', '{races.work}', 'app'"),
            "cancel_workflow": told("'sql'"),
            "resume_workflow": told("'sql'"),
            "delete_workflows": told("array['sql']"),
        },
        skips=("claim_sql_workflow", "run_sql_workflows"),
    ),
    "mail": Family(
        before="select pyengine.send_message('w', '0', 't', message_id => 'before')",
        calls={
            **_as_in_scenarios("send_message", "send_messages"),
            "send_message: another": told("'w', '2', 't', message_id => 'another'"),
            "receive_message": of_run(", step_id => 10, topic => 't', timeout_ms => 1e6"),
            "receive_message: next": of_run(", step_id => 12, topic => 't', timeout_ms => 1e6"),
            "delete_workflows": told("array['w']"),
            "resume_workflow": told("'w'"),
        },
    ),
    "attributes": Family(
        before="select pyengine.update_workflow_attributes('w', '{\"a\": 0}')",
        calls={
            "update_workflow_attributes": told("'w', '{\"a\": 1}', merge => true"),
            "update_workflow_attributes: b": told("'w', '{\"b\": 2}', merge => true"),
            "update_workflow_attributes: all": told("'w', '{\"c\": 3}'"),
            "set_event": of_run(
                ", step_id => 30, key => 'key', serialization => 'json', value => '3', step_name => 'DBOS.setEvent'"
            ),
            "set_event: next": of_run(
                ", step_id => 31, key => 'key', serialization => 'json', value => '4', step_name => 'DBOS.setEvent'"
            ),
            "delete_workflows": told("array['w']"),
            "cancel_workflow": told("'w'"),
            "fork_workflow": SCENARIOS["fork_workflow"],
        },
    ),
    "imports": Family(
        before=SCENARIOS["import_workflow"].before,
        calls={
            "import_workflow": SCENARIOS["import_workflow"],
            "start_workflow": told("'f', workflow_id => 'e'"),
            "delete_workflows": told("array['e']"),
        },
    ),
}  # fmt: skip
