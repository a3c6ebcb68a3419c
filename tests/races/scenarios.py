"""How every function that writes is called, and all that is stored afterwards.

Every function that writes and that a client, a worker or an administrator may call is here: `tests/schema` asks the
catalogue which they are. Whoever adds one says how it is called, and what its repetition is told.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql as composed

from tests.races.actions import TOKENS, child, outcome, start, step
from tests.races.world import World

TOKEN = str(uuid.uuid5(uuid.NAMESPACE_OID, "a call's own"))
ONE, TWO, DEAD = (
    f"(select executor_id from pyengine.executors where name = '{name}')"
    for name in ("one", "two", "dead")
)
MAIL = [
    {
        "destination_id": "w",
        "topic": "t",
        "message": 1,
        "serialization": "json",
        "idempotency_key": "k",
    }
]
SCHEDULE = {"schedule_name": "nightly", "workflow_name": "f", "schedule": "0 3 * * *"}
CREATE_SCHEDULE = (
    "select from pyengine.create_schedule('nightly', 'f', '0 3 * * *', application_name => 'app')"
)
DUE_SCHEDULE = (
    f"{CREATE_SCHEDULE}; update pyengine.schedules set upcoming = array['2001-01-01T03:00:00+00:00'], "
    "catch_up = 'all', next_due_at = now(), planned_until = now() + interval '1 hour', "
    "plan_at = now() + interval '1 hour'"
)
SQL_FUNCTION = "create or replace function races.work(arguments json) returns json language sql as 'select arguments'"
SQL_WORKFLOW = (
    f"{SQL_FUNCTION}; select pyengine.register_sql_workflow('written', '{{races.work}}', 'app')"
)
LEASED_SQL_WORKFLOW = (
    f"{SQL_WORKFLOW}; select pyengine.start_workflow('written', workflow_id => 'sql', application_name => 'app'); "
    f"update pyengine.workflows set status = 'PENDING', attempt_count = 1, executor_id = {ONE}, "
    f"lease_token = '{TOKEN}' where workflow_id = 'sql'"
)
WRITTEN = {"step_id": 31, "step_name": "DBOS.writeStream", "key": "stream", "value": 1}
SQL_STEP = "workflow_id => 'sql', lease_token => %s, step_id => 1, name => 'work'"


@dataclass(frozen=True)
class Scenario:
    """How a function is called twice.

    Attributes:
        call: the arguments, as SQL.
        values: what is sent with them.
        before: SQL that makes what the call needs.
        code: what the repetition is refused with, if it is.
        another: it answers otherwise than the first time, though it does nothing: it tells what is new since.
    """

    call: str
    values: tuple[object, ...] = ()
    before: str = ""
    code: str | None = None
    another: bool = False


def told(call: str, *values: object, **keys: Any) -> Scenario:
    """A scenario; dicts and lists are sent as json."""
    sent = tuple(json.dumps(v) if isinstance(v, (dict, list)) else v for v in values)
    return Scenario(call, sent, **keys)


def of_run(call: str = "", *values: object, **keys: Any) -> Scenario:
    """A scenario of what the run of w does."""
    return told("workflow_id => 'w', lease_token => %s" + call, TOKENS["w"], *values, **keys)


CLAIM = f"executor_id => {TWO}, lease_token => '{TOKEN}', claim_limit => 10"
SCENARIOS: dict[str, Scenario] = {
    # What a client does.
    "start_workflow": told("'f', workflow_id => 'new'"),
    "start_workflows": told(
        "%s", [start("new"), start("new2", queue_name="q", deduplication_id="d")], another=True
    ),
    "enqueue_workflow": told("'f', 'q', workflow_id => 'new', deduplication_id => 'd'"),
    "enqueue_workflows": told(
        "%s", [start("new", queue_name="q", deduplication_id="d")], another=True
    ),
    "debounce_workflow": told("%s, 'k', 1e6", start("d2", inputs={"call": 2}), another=True),
    "cancel_workflow": told("'w'", another=True),
    "cancel_workflows": told("array['w', 's', 'x'], true", another=True),
    "resume_workflow": told("'w'"),
    "resume_workflows": told("array['w', 'x'], request_token => %s", TOKEN),
    "rewind_workflow": told("'e', start_step => 1, request_token => %s", TOKEN),
    "fork_workflow": told("'w', start_step => 2, request_token => %s", TOKEN),
    "delete_workflows": told("array['w', 'e'], true", another=True),
    "update_workflow_attributes": told("'w', '{\"a\": 1}', merge => true"),
    "set_workflow_delay": told("'d', delayed_until_ms => 4102444800000"),
    "send_message": told("'w', '1', 't', message_id => 'k'"),
    "send_messages": told("%s", MAIL),
    # What only waits: it leaves a note of it, once.
    "await_workflow": told("'w', 0"),
    "await_workflows": told("array['w'], channel => 'a'"),
    "get_event": told("'w', 'key', 0"),
    "get_workflow_result": told("'e', 0"),
    "find_event": told("'w', 'key', channel => 'a'"),
    "read_stream": told("'w', 'stream', channel => 'a'"),
    "look_again": told("%s, channel => 'a'", [{"kind": "result", "id": "w"}]),
    "forget_waits": told(
        "array[1], 'a'",
        before="insert into pyengine.waiters values (1, 'a', now() + interval '1 hour')",
    ),
    "generate_workflow_id": told("", another=True),
    # Queues, schedules, versions.
    "register_queue": told("'new', concurrency => 3", another=True),
    "change_queue": told("'q', '{\"concurrency\": 2}'", another=True),
    "pause_queue": told("'q'"),
    "resume_queue": told("'q'", before="select pyengine.pause_queue('q')"),
    "delete_queue": told("'parts'"),
    "create_schedule": told("'nightly', 'f', '0 3 * * *'", code="PE409"),
    "apply_schedules": told("%s", [SCHEDULE], another=True),
    "pause_schedule": told("'nightly'", before=CREATE_SCHEDULE),
    "resume_schedule": told(
        "'nightly'", before=f"{CREATE_SCHEDULE}; select pyengine.pause_schedule('nightly')"
    ),
    "delete_schedule": told("'nightly'", before=CREATE_SCHEDULE, another=True),
    "trigger_schedule": told("'nightly', %s", TOKEN, before=CREATE_SCHEDULE),
    "backfill_schedule": told("'nightly', '{2001-01-01T03:00:00+00:00}'", before=CREATE_SCHEDULE),
    "set_latest_application_version": told(
        "'1', 'app'",
        before="select from pyengine.register_application_version('app', '1')",
        another=True,
    ),
    # What a worker does.
    "register_application_version": told("'app', '2'"),
    "claim_workflows": told(CLAIM, another=True),
    "apply_batch": told(
        f"%s, executor_id => {ONE}",
        {
            "starts": [child("b", "w", 7, queue_name="q")],
            "steps": [step("w", 5, output="batch")],
            "streams": [{**outcome("s"), **WRITTEN}],
            "finishes": [outcome("w")],
        },
        another=True,
    ),
    "finish_and_claim": told(f"%s, {CLAIM}", [outcome("s")], another=True),
    "finish_workflows": told("%s", [outcome("w")], another=True),
    "record_steps": told("%s", [step("w", 5)], another=True),
    "record_step_in_transaction": of_run(
        ", step_id => 5, name => 's', serialization => 'json', output => '2'", code="23505"
    ),
    "append_streams": told("%s", [{**outcome("w"), **WRITTEN}]),
    "set_event": of_run(
        ", step_id => 30, key => 'key', serialization => 'json', value => '3', step_name => 'DBOS.setEvent'"
    ),
    "receive_message": of_run(", step_id => 10, topic => 'mail', timeout_ms => 1e6"),
    "receive_event": of_run(
        ", step_id => 20, source_id => 's', key => 'ready', timeout_ms => 1e6, channel => 'a'",
        another=True,
    ),
    "sleep_until": of_run(", step_id => 40, duration_ms => 1e6", another=True),
    "check_lease": of_run(),
    "continue_workflow": of_run(
        ", step_id => 50, serialization => 'json', inputs => '{}'", code="PE001"
    ),
    "hibernate_workflow": of_run(", waits => %s", [{"kind": "result", "id": "s"}], code="PE001"),
    "release_workflows": told("%s", [outcome("w")], another=True),
    "set_max_payload_bytes": told("2097152"),
    # What a process does for all.
    "register_executor": told(
        "name => 'new', application_name => 'app', application_version => '1', version_is_pinned => false, "
        "functions => '{f}', channel => 'new channel', lease_seconds => 600",
        another=True,
    ),
    "set_executor_functions": told(f"{ONE}, '{{f,g}}'"),
    "tick_executor": told(f"{TWO}", another=True),
    "await_work": told(f"{TWO}, channel => 'a'", another=True),
    "leave_executor": told(f"{ONE}", another=True),
    "run_chores": told("", another=True),
    "fire_schedules": told(f"{ONE}", before=DUE_SCHEDULE, another=True),
    "claim_unplanned_schedules": told(f"{ONE}", before=CREATE_SCHEDULE, another=True),
    "plan_schedule": told(
        "'nightly', (select revision from pyengine.schedules), %s::timestamptz, "
        "ticks => '{2100-01-01T03:00:00+00:00}', planned_until => '2100-01-02'",
        "2099-01-01 00:00+00",
        before=f"{CREATE_SCHEDULE}; update pyengine.schedules set planned_until = '2099-01-01 00:00+00'",
        another=True,
    ),
    # Workflows written in SQL.
    "claim_sql_workflow": told(
        "'app'",
        before=f"{SQL_WORKFLOW}; select pyengine.start_workflow('written', workflow_id => 'sql', "
        "application_name => 'app')",
        another=True,
    ),
    "next_sql_step": told("'sql', %s", TOKEN, before=LEASED_SQL_WORKFLOW),
    "run_sql_step": told("'sql', %s", TOKEN, before=LEASED_SQL_WORKFLOW, code="PE001"),
    "finish_sql_step": told(
        f"{SQL_STEP}, output => '1', is_last => true, began_at => now()",
        TOKEN,
        before=LEASED_SQL_WORKFLOW,
        code="PE001",
    ),
    "fail_sql_step": told(
        f"{SQL_STEP}, error_code => 'SH001', error_message => 'no'",
        TOKEN,
        before=LEASED_SQL_WORKFLOW,
        another=True,
    ),
    "run_sql_workflows": told(
        "10, 'app'",
        before=f"{SQL_WORKFLOW}; select pyengine.start_workflow('written', workflow_id => 'sql', "
        "application_name => 'app')",
        another=True,
    ),
    # What an administrator does.
    "register_sql_workflow": told("'written', '{races.work}', 'app'", before=SQL_FUNCTION),
    "drop_sql_workflow": told("'written'", before=SQL_WORKFLOW, code="PE404"),
    "rename_application": told("'app', 'renamed'", another=True),
    "register_kafka_queues": told(""),
    "set_retention": told("'app', success_age => '1 day'"),
    "import_workflow": told(
        "(select document from races.exported)",
        before="create table if not exists races.exported as select pyengine.export_workflow('e') as document; "
        "delete from pyengine.workflows where workflow_id = 'e'; delete from pyengine.steps where workflow_id = 'e'",
    ),
}

# What is new in every moment and means nothing by itself. A time counts as being there or not.
IGNORED = {
    "queues": ("claim_count", "counted_from", "partition_cursor"),
    "executors": ("executor_id",),
}


def perform(
    session: psycopg.Connection[Any], function: str, scenario: Scenario
) -> tuple[list[Any], str | None]:
    """What a call answers, or the code that refuses it."""
    text = f"select * from pyengine.{function}({scenario.call})"
    try:
        return session.execute(text.encode(), scenario.values or None).fetchall(), None
    except psycopg.Error as error:
        return [], error.sqlstate


def tables(
    world: World, *, with_times: bool = False, ignored: Mapping[str, tuple[str, ...]] = IGNORED
) -> list[tuple[str, str]]:
    """All that is stored, but for some columns; without times only whether they are there."""
    # A process that registers again replaces itself; a bookmark only saves time.
    world.look.execute("delete from pyengine.executors where finish_reason = 'replaced'")
    names = [name for name in (*world.tables, "settings") if name != "bookmarks"]
    columns = world.look.execute(
        "select c.relname::text, a.attname::text, a.atttypid = 'timestamptz'::regtype "
        "from pg_attribute a join pg_class c on c.oid = a.attrelid "
        "where c.relnamespace = 'pyengine'::regnamespace and a.attnum > 0 and not a.attisdropped order by a.attnum"
    ).fetchall()
    queries = []
    for table in names:
        parts = [
            composed.SQL("{} is null" if is_time and not with_times else "{}").format(
                composed.Identifier(name)
            )
            for owner, name, is_time in columns
            if owner == table and name not in ignored.get(table, ())
        ]
        queries.append(
            composed.SQL("select {}, row({})::text from {}").format(
                table, composed.SQL(", ").join(parts), composed.Identifier("pyengine", table)
            )
        )
    query = composed.SQL("{} order by 1, 2").format(composed.SQL(" union all ").join(queries))
    return world.look.execute(query).fetchall()
