"""What `pyengine doctor` checks of the engine: its schema, rights, processes, queues and history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pyengine import schema
from pyengine.commands.checks import ADVICE, OK, PROBLEM, Finding, settings
from pyengine.commands.database import Engine
from pyengine.commands.printing import duration
from pyengine.conditions import any_of, as_json
from pyengine.database import insight_calls, queue_calls, schedule_calls, upkeep_calls
from pyengine.errors import DBOSInitializationError

_LARGE_HISTORY = 1_000_000
_OVERDUE = timedelta(minutes=1)
_DEAD_SHARE, _FEW_DEAD = 0.3, 50_000


def check_schema(engine: Engine) -> Iterator[Finding]:
    """Whether the engine is installed, in the version of this library."""
    target = engine.target
    shipped = schema.load().latest_version
    try:
        plan = schema.pending(engine.connection, schema=target.schema)
        applied = engine.connection.execute(
            "select to_regnamespace(quote_ident(%s)) is not null", [target.schema]
        ).fetchone()
    except DBOSInitializationError as error:
        yield Finding("schema", PROBLEM, error.detail)
        return
    if applied != (True,):
        yield Finding(
            "schema", PROBLEM, f"there is no schema {target.schema}: run `pyengine migrate`"
        )
    elif plan:
        yield Finding(
            "schema",
            PROBLEM,
            f"schema {target.schema} is not that of this library (version {shipped}): run `pyengine migrate`",
        )
    else:
        yield Finding("schema", OK, f"{target.schema}, version {shipped}")


def check_rights(engine: Engine) -> Iterator[Finding]:
    """What the connecting role may do."""
    query = """
        select current_user, r.rolsuper, n.nspowner = r.oid, array(
            select s.suffix from unnest(array['observer', 'client', 'worker', 'admin']) s (suffix)
            where exists (select 1 from pg_catalog.pg_roles g
                where g.rolname = %(schema)s || '_' || s.suffix and pg_has_role(current_user, g.oid, 'member')))
        from pg_catalog.pg_roles r, pg_catalog.pg_namespace n
        where r.rolname = current_user and n.nspname = %(schema)s
    """
    row = engine.connection.execute(query, {"schema": engine.target.schema}).fetchone()
    if row is None:
        return
    user, is_superuser, is_owner, roles = row
    if is_superuser:
        yield Finding("rights", ADVICE, f"{user} is a superuser: give programs a role of their own")
    elif is_owner:
        yield Finding("rights", OK, f"{user} owns the schema")
    else:
        yield Finding(
            "rights", OK, f"{user} has the engine's role {', '.join(roles) or 'that it was given'}"
        )


def check_executors(engine: Engine) -> Iterator[Finding]:
    """Whether processes are there to run workflows."""
    rows = engine.rows(
        insight_calls.list_executors(application_name=None, include_finished=False, row_limit=None)
    )
    live = [row for row in rows if row.state == "live"]
    deaf = [row.name for row in live if not row.is_listening]
    if deaf:
        yield Finding(
            "executors",
            ADVICE,
            f"{', '.join(sorted(set(deaf))[:5])} poll instead of listening: work begins up to a second later",
        )
    lost = [row for row in rows if row.state != "live"]
    if lost and not live:
        running = sum(row.running_count for row in lost)
        yield Finding(
            "executors",
            PROBLEM,
            f"no process is alive, and {running} workflows belong to dead ones: start one",
        )
    elif not live:
        yield Finding("executors", ADVICE, "no process is alive: nothing runs workflows now")
    else:
        applications = sorted({row.application_name for row in live})
        yield Finding("executors", OK, f"{len(live)} alive, of {', '.join(applications)}")


def check_queues(engine: Engine) -> Iterator[Finding]:
    """Work that nobody will take as things are."""
    queues = engine.rows(queue_calls.list_queues(application_name=None, queue_names=None))
    depths = engine.rows(insight_calls.queue_depth())
    known = {queue.queue_name for queue in queues}
    paused = {queue.queue_name for queue in queues if queue.is_paused}
    is_clean = True
    for depth in depths:
        waiting = depth.enqueued + depth.delayed
        if waiting and depth.queue_name not in known:
            is_clean = False
            yield Finding(
                "queues",
                PROBLEM,
                f"{waiting} workflows wait in {depth.queue_name}, which is not registered: no process claims them "
                "until one declares it",
            )
        elif waiting and depth.queue_name in paused:
            is_clean = False
            yield Finding(
                "queues", ADVICE, f"{waiting} workflows wait in {depth.queue_name}, which is paused"
            )
    if is_clean:
        yield Finding("queues", OK, f"{len(queues)} registered, none of them stuck")


def check_schedules(engine: Engine) -> Iterator[Finding]:
    """Schedules whose times can't be computed, or whose workflow nobody starts."""
    rows = engine.rows(schedule_calls.list_schedules(statuses=["ACTIVE"]))
    now = engine.now()
    is_clean = True
    for row in rows:
        if row.error is not None:
            is_clean = False
            yield Finding("schedules", PROBLEM, f"{row.schedule_name}: {row.error}")
        elif row.next_due_at is not None and now - row.next_due_at > _OVERDUE:
            is_clean = False
            overdue = duration((now - row.next_due_at).total_seconds())
            yield Finding(
                "schedules",
                PROBLEM,
                f"{row.schedule_name} is due for {overdue}: no live process has its workflow {row.workflow_name}; "
                "start one, or pause or delete the schedule",
            )
    if is_clean:
        yield Finding("schedules", OK, f"{len(rows)} active")


def check_dead_letters(engine: Engine) -> Iterator[Finding]:
    """Workflows that have used up their attempts."""
    status = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
    groups = engine.rows(
        insight_calls.aggregate_workflows(
            group_by=["status"], condition=as_json(any_of("status", [status])), row_limit=1
        )
    )
    if groups:
        yield Finding(
            "dead letters",
            ADVICE,
            f"{groups[0].workflow_count}: `pyengine workflow list -S {status}` shows them",
        )
    else:
        yield Finding("dead letters", OK, "none")


def check_history(engine: Engine) -> Iterator[Finding]:
    """How much is stored, and whether anything limits it."""
    rows = _statistics(engine, "workflows")
    count = 0 if not rows else max(rows[0][0], 0)
    policies = engine.rows(upkeep_calls.list_retention(application_name=None))
    told = f"about {count} workflows"
    if count >= _LARGE_HISTORY and not policies:
        yield Finding(
            "history",
            ADVICE,
            f"{told}, and no policy limits them: `pyengine retention set` or `pyengine prune`",
        )
    else:
        yield Finding("history", OK, f"{told}, {len(policies)} retention policies")


def check_tables(engine: Engine) -> Iterator[Finding]:
    """Dead rows that vacuum has not removed."""
    is_clean = True
    for live, dead, table, vacuumed in _statistics(engine):
        if dead > _FEW_DEAD and dead > live * _DEAD_SHARE:
            is_clean = False
            last = "never" if vacuumed is None else f"{duration(vacuumed)} ago"
            yield Finding(
                "tables",
                ADVICE,
                f"{table} has {dead} dead rows beside {live} live ones, and was last vacuumed {last}: run vacuum, and "
                "look for old transactions and replication slots",
            )
    if is_clean:
        yield Finding("tables", OK, "few dead rows")


def check_server_log(engine: Engine) -> Iterator[Finding]:
    """Settings under which the server's log shows payloads."""
    found = settings(engine.connection, "log_parameter_max_length_on_error", "log_statement")
    if found.get("log_parameter_max_length_on_error", "0") != "0" or found.get("log_statement") in (
        "all",
        "mod",
    ):
        yield Finding(
            "server log",
            ADVICE,
            "it shows statements or their parameters, and so payloads (log_statement, "
            "log_parameter_max_length_on_error)",
        )
    else:
        yield Finding("server log", OK, "it shows no payloads")


def _statistics(
    engine: Engine, table: str | None = None
) -> list[tuple[int, int, str, float | None]]:
    """Live rows, dead rows, name, and seconds since the last vacuum of the engine's tables."""
    query = """
        select greatest(c.reltuples, s.n_live_tup)::bigint, s.n_dead_tup, s.relname,
            extract(epoch from clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum))::float8
        from pg_catalog.pg_stat_all_tables s join pg_catalog.pg_class c on c.oid = s.relid
        where s.schemaname = %s and (%s::text is null or s.relname = %s)
        order by s.relname
    """
    values = [engine.target.schema, table, table]
    return engine.connection.execute(query, values).fetchall()
