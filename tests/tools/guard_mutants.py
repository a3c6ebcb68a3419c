"""The edits of the SQL that the tests must notice, each with the tests that should.

A guard is a lock, a comparison, an order, an index: something without which everything works until two sessions meet,
or a process dies at the wrong moment. See `tests.tools.mutants`.
"""

# ruff: noqa: E501 -- a table, whose rows hold lines of SQL
from __future__ import annotations

from dataclasses import dataclass, field

PAIRS = "tests/races/test_function_pairs.py"
OWNERS = "tests/races/test_owner_races.py"
NOTICES = "tests/races/test_notices.py"
QUEUE_ORDER = "tests/races/test_enqueue_lock_order.py"
REPEATED = "tests/races/test_repeated_calls.py"
WRITES = "tests/races/test_refused_writes.py"
HIBERNATION_RACES = "tests/races/test_hibernation_races.py"
EXACTNESS = "tests/queues/test_exactness.py"
QUEUE_RECOVERY = "tests/queues/test_recovery.py"
STEERING = "tests/management/test_cancel_and_resume.py"
TRANSITIONS = "tests/management/test_transitions.py"
FORKS = "tests/management/test_fork_and_rewind.py"
DELETIONS = "tests/management/test_delete.py"
RETENTION = "tests/management/test_retention.py"
DEADLINES = "tests/management/test_deadlines.py"
DEBOUNCE = "tests/debounce/test_debounce_sql.py"
MESSAGES = "tests/messages"
CONTRACT = "tests/test_contract.py"

NO_LOCK = "for no key update"
SKIPPED = "for no key update skip locked"


@dataclass(frozen=True)
class Mutant:
    """Edits of one file that take one guard away.

    Attributes:
        name: which guard, in words.
        path: the file, under sql/.
        edits: what is replaced by what.
        tests: where that should be noticed.
        times: how often each replaced text is there; all of them are replaced.
    """

    name: str
    path: str
    edits: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]
    times: int = field(default=1)


def edit(name: str, path: str, old: str, new: str, *tests: str, times: int = 1) -> Mutant:
    """A mutant of one edit of a function."""
    return Mutant(name, f"functions/{path}.sql", ((old, new),), tests, times)


MUTANTS = (
    # Ownership: every write names the lease, under a lock.
    edit("hold_lease: no lock", "workflow/_hold_lease", NO_LOCK, "", PAIRS, WRITES),
    edit("hold_lease: any token", "workflow/_hold_lease",
         "v_workflow.lease_token is distinct from _hold_lease.lease_token", "false", PAIRS, CONTRACT, MESSAGES, WRITES),
    edit("hold_lease: cancelled is not told", "workflow/_hold_lease", "v_workflow.status = 'CANCELLED'", "false", WRITES),
    edit("record a step: any token", "step/record_steps", " and w.lease_token = v_step.lease_token", "", WRITES),
    edit("record a step: no lock", "step/record_steps", NO_LOCK, "", WRITES),
    edit("record steps: any token", "step/_record_batch", "where w.lease_token = r.lease_token", "", OWNERS),
    edit("record steps: no lock", "step/_record_batch", NO_LOCK, "", OWNERS, PAIRS),
    edit("record steps: no lock order", "step/_record_batch", ' order by q.workflow_id collate "C"', "", PAIRS),
    edit("finish one: any token", "workflow/finish_workflows", " and w.lease_token = v_outcome.lease_token", "", WRITES),
    edit("finish: any token", "workflow/_finish_batch", " and w.lease_token = r.lease_token", "", OWNERS, PAIRS),
    edit("finish: no lock order", "workflow/_finish_batch", ' order by q.workflow_id collate "C"', "", PAIRS),
    edit("finish one: keeps its deduplication id", "workflow/finish_workflows", "deduplication_id = null, ", "",
         "tests/queues/test_enqueue.py"),
    edit("finish one: wakes nobody", "workflow/finish_workflows",
         "perform pyengine._wake(array[pyengine.wait_key('result', v_outcome.workflow_id)])", "null", NOTICES),
    edit("finish: wakes nobody", "workflow/_finish_batch", "perform pyengine._wake_ended(v_ids, v_queue_names);", "",
         HIBERNATION_RACES),
    edit("append: any token", "stream/append_streams", " and w.lease_token = r.lease_token", "", WRITES),
    edit("append: no lock", "stream/append_streams", NO_LOCK, "", PAIRS),
    edit("append: no wake-up", "stream/append_streams", "perform pyengine._wake(v_keys);", "", HIBERNATION_RACES),
    edit("apply a batch: no lock order", "workflow/apply_batch", "        order by 1\n", "        order by 1 desc\n", PAIRS),
    edit("apply a batch: no lock", "workflow/apply_batch", NO_LOCK, "", PAIRS),
    edit("start children: no lock of the parent", "workflow/_start_batch", NO_LOCK, "", WRITES),
    edit("start children: any token of the parent", "workflow/_start_batch",
         "p.lease_token is distinct from r.parent_lease_token", "false", WRITES),
    edit("start children: no lock order of parents", "workflow/_start_batch",
         ' order by q.parent_workflow_id collate "C"', "", PAIRS),
    edit("start: by a dead executor", "workflow/start_workflows", " and e.finished_at is null", "", OWNERS),
    edit("start: wakes nobody", "workflow/_start_batch",
         "perform pyengine._wake(array(select pyengine.wait_key('work', n) from unnest(v_queue_names) n));", "null;", NOTICES),
    edit("start alone: wakes nobody", "workflow/_start_alone",
         "perform pyengine._wake(array[pyengine.wait_key('work', coalesce(v_start.queue_name, ''))]);", "null;", NOTICES,
         "tests/workflows/test_start_alone.py"),
    edit("release: any token", "workflow/release_workflows", " and w.lease_token = r.lease_token", "", WRITES),
    edit("continue: keeps its lease", "workflow/continue_workflow", "lease_token = null, ", "", PAIRS,
         "tests/workflows/test_continue_as_new.py"),

    # Steering.
    edit("cancel: no lock", "workflow/_cancel_workflows", NO_LOCK, "", PAIRS, OWNERS),
    edit("cancel: no lock order", "workflow/_cancel_workflows", " order by 1", " order by 1 desc", PAIRS),
    edit("cancel: what has succeeded", "workflow/_cancel_workflows", "in ('PENDING', ", "in ('SUCCESS', 'PENDING', ",
         TRANSITIONS, OWNERS),
    edit("cancel: hibernation goes on", "workflow/_cancel_workflows", "perform pyengine._end_hibernations(v_active);", "",
         HIBERNATION_RACES),
    edit("cancel: wakes nobody", "workflow/_cancel_workflows", "perform pyengine._wake_ended(v_active, v_queue_names);", "", NOTICES),
    edit("cancel: owners are not warned", "workflow/_cancel_workflows", "perform pyengine._warn_owners(v_running);", "",
         STEERING, "tests/steps/test_cancelled_runs.py"),
    edit("cancel: keeps its deduplication id", "workflow/_cancel_workflows", "deduplication_id = null, ", "", STEERING),
    edit("resume: no lock", "workflow/resume_workflows", NO_LOCK, "", PAIRS),
    edit("resume: no lock order", "workflow/resume_workflows", " order by 1) i", " order by 1 desc) i", PAIRS),
    edit("resume: what has succeeded", "workflow/resume_workflows", "not in ('SUCCESS', 'ERROR')", "not in ('ERROR')",
         TRANSITIONS),
    edit("resume: the old run keeps its lease", "workflow/resume_workflows", "lease_token = null, ", "", OWNERS),
    edit("resume: a repeated call resumes again", "workflow/resume_workflows",
         "or o.request_token is distinct from resume_workflows.request_token", "or true", STEERING),
    edit("resume: hibernation goes on", "workflow/resume_workflows", "perform pyengine._end_hibernations(v_resumed);", "",
         HIBERNATION_RACES),
    edit("rewind: no lock", "workflow/rewind_workflow", NO_LOCK, "", PAIRS),
    edit("rewind: what runs", "workflow/rewind_workflow", "v_workflow.finished_at is null", "false", FORKS, TRANSITIONS),
    edit("rewind: a step too few", "workflow/_cut_history", "s.step_id >= v_from_step;\n    delete from pyengine.event_history",
         "s.step_id > v_from_step;\n    delete from pyengine.event_history", FORKS),
    edit("fork: a step too many", "workflow/_copy_history",
         "s.step_id < v_before_step;\n\n    insert into pyengine.event_history",
         "s.step_id <= v_before_step;\n\n    insert into pyengine.event_history", FORKS),
    edit("delete: a lock that lets mail in", "workflow/delete_workflows", "for update", "for no key update", PAIRS),
    edit("delete: no lock order", "workflow/delete_workflows", " order by 1) i", " order by 1 desc) i", PAIRS),
    edit("delete: leaves the mail", "workflow/_delete_workflows",
         "delete from pyengine.messages m where m.destination_id = any (_delete_workflows.workflow_ids);", "", DELETIONS),
    edit("delete: no second look for children", "workflow/delete_workflows",
         "exit when not delete_workflows.delete_children;", "exit;", DELETIONS, PAIRS),

    # Claims.
    edit("claim: waits for what is locked", "queue/_pick_from_order", SKIPPED, "for no key update", OWNERS, EXACTNESS,
         PAIRS, times=3),
    edit("claim: no lock", "queue/_pick_from_order", SKIPPED, "", OWNERS, times=3),
    edit("claim: no order", "queue/_pick_from_order", "order by c.priority, c.created_at, c.workflow_id",
         "order by c.workflow_id desc", "tests/queues"),
    edit("claim by key: no order", "queue/_pick_from_keys", "order by w.priority, w.created_at, w.workflow_id",
         "order by w.priority desc, w.created_at desc", "tests/queues/test_enqueue.py", QUEUE_RECOVERY),
    edit("claim by key: no lock", "queue/_pick_from_keys", SKIPPED, "", PAIRS),
    Mutant("claim: queues are not locked", "functions/queue/_lock_queues.sql", (
        ("update pyengine.queues q\n        set snapshot_claims_until = pyengine.now() + interval '1 hour'\n        from (select",
         "select row(q.*)::pyengine.queues as queue, true as is_known from pyengine.queues q, (select"),
        ("        returning row(q.*)::pyengine.queues as queue, limited.snapshot_claims_until > pyengine.now() as is_known\n",
         ""),
    ), (EXACTNESS,)),
    edit("claim: queues are not locked where a lock is enough", "queue/_lock_queues",
         "order by l.queue_name\n            for no key update", "", EXACTNESS),
    edit("claim: queues are locked in any order", "queue/_lock_queues", "order by l.queue_name",
         "order by l.queue_name desc", QUEUE_ORDER),
    edit("claim: a paused queue", "queue/_lock_queues", "where not k.is_paused", "", OWNERS),
    edit("claim: one place too many", "queue/_queue_room", "(_queue_room.queue).concurrency - v_running",
         "(_queue_room.queue).concurrency + 1 - v_running", EXACTNESS),
    edit("claim: claims under snapshots are not thought of", "queue/_lock_queues",
         "if v_shared is not null then", "if false then", EXACTNESS),
    edit("claim: a claim under a snapshot does not wait to be known", "queue/_lock_queues", " and l.is_known", "",
         EXACTNESS),
    edit("claim: what was claimed without a limit has no place", "queue/_queue_room", "and w.claim_number is null",
         "and false", EXACTNESS),
    edit("claim: the mark is behind what runs", "queue/_queue_room",
         "set counted_from = least(v_first, q.claim_count)", "set counted_from = q.claim_count", EXACTNESS),
    edit("claim: the mark is beyond this claim", "queue/_queue_room", "least(v_first, q.claim_count)",
         "coalesce(v_first, q.claim_count)", EXACTNESS, times=2),
    edit("claim: the hibernated have no place", "queue/_queue_room", "w.status = 'PENDING' and w.executor_id is null",
         "false", "tests/hibernation/test_queues.py"),
    edit("claim: places in a process are not counted", "queue/_queue_room",
         "(_queue_room.queue).worker_concurrency - v_running_here", "(_queue_room.queue).worker_concurrency", EXACTNESS),
    edit("claim: places of a key are not counted", "queue/_key_room", "v_limit - v_running", "v_limit", EXACTNESS),
    edit("claim: a dead executor", "workflow/claim_workflows",
         "where e.executor_id = claim_workflows.executor_id and e.finished_at is null\n    ) then",
         "where e.executor_id = claim_workflows.executor_id\n    ) then", EXACTNESS),
    edit("claim: a repeated call claims more", "workflow/claim_workflows", "if claim_workflows.is_repeated then",
         "if false then", QUEUE_RECOVERY),
    edit("claim: a repeated call does not wait", "workflow/claim_workflows",
         "perform pg_advisory_xact_lock(hashtextextended(claim_workflows.lease_token::text, 0));", "", OWNERS),
    edit("claim: an attempt too many", "workflow/_lease_workflows", "w.attempt_count < coalesce(w.max_attempts",
         "w.attempt_count <= coalesce(w.max_attempts", QUEUE_RECOVERY),
    edit("claim: attempts are not counted", "workflow/_lease_workflows", " + (w.status <> 'PENDING')::int", "",
         QUEUE_RECOVERY, OWNERS),
    edit("rate: starts are not logged", "queue/_log_starts",
         "values (v_queue.queue_name, null, v_now, _log_starts.start_count);",
         "select v_queue.queue_name, null, v_now, _log_starts.start_count where false;", EXACTNESS),
    edit("rate: one start too many", "queue/_queue_room", "(_queue_room.queue).limiter_limit - pyengine",
         "(_queue_room.queue).limiter_limit + 1 - pyengine", EXACTNESS),
    edit("rate: the end of the window", "queue/_starts_in_window", "s.started_at > v_since", "s.started_at >= v_since",
         "tests/queues/test_limits.py"),
    edit("rate: a clock that goes back", "queue/_log_starts", "greatest(pyengine.now(), v_queue.last_started_at)",
         "pyengine.now()", "tests/queues/test_limits.py"),
    edit("delayed: before its time", "queue/_promote_delayed",
         "w.status = 'DELAYED' and w.delayed_until <= v_now\n        order by", "w.status = 'DELAYED'\n        order by",
         "tests/queues", DEBOUNCE),
    Mutant("depth: the queue is not locked", "functions/queue/_prepare_enqueue.sql", (
        ("update pyengine.queues q\n        set claim_count = q.claim_count + 1\n        where q.queue_name = v_queue_name\n        returning q.max_depth into v_max_depth;",
         "select q.max_depth into v_max_depth from pyengine.queues q where q.queue_name = v_queue_name;"),
    ), (EXACTNESS, PAIRS, QUEUE_ORDER)),
    edit("depth: one too many", "queue/_prepare_enqueue", "offset greatest(v_max_depth - ",
         "offset greatest(v_max_depth + 1 - ", EXACTNESS),
    Mutant("deduplication: the index is not unique", "migrations/0011_debounce.sql",
           (("create unique index workflows_deduplication_idx", "create index workflows_deduplication_idx"),),
           (DEBOUNCE, "tests/queues/test_enqueue.py")),

    # Debouncing.
    edit("debounce: what has begun keeps its key", "queue/_promote_delayed",
         "case when w.debounce_until is null then w.deduplication_id end", "w.deduplication_id", DEBOUNCE),
    edit("debounce: what was not debounced", "queue/_bounce", " and w.debounce_until is not null", "", DEBOUNCE),
    edit("debounce: no bound", "queue/_bounce", "least(v_now + (call).period, w.debounce_until)",
         "v_now + (call).period", DEBOUNCE),
    edit("delay: what is not delayed", "queue/set_workflow_delay", " and w.status = 'DELAYED'", "", TRANSITIONS),

    # Messages and events.
    edit("send: receivers are not locked", "message/send_messages", "where w.workflow_id = r.destination_id for key share",
         "where w.workflow_id = r.destination_id", PAIRS, times=2),
    edit("send: a sender before smaller receivers", "message/send_messages",
         'where r.destination_id < v_sender_id collate "C";', "where false;", PAIRS),
    edit("send: a sender without its lease", "message/send_messages", "send_messages.sender_token is not null then\n        perform pyengine._hold",
         "false then\n        perform pyengine._hold", PAIRS, MESSAGES, WRITES),
    edit("send: keys are ignored", "message/send_messages", "        or exists (\n            select 1 from keyed k",
         "        or not exists (\n            select 1 from keyed k where false) or exists (\n            select 1 from keyed k", MESSAGES),
    edit("send: no order", "message/send_messages", "order by r.item;", "order by r.item desc;", MESSAGES),
    edit("send: wakes nobody", "message/send_messages", "perform pyengine._wake(array(", "perform array_length(array(",
         HIBERNATION_RACES),
    edit("receive: the newest first", "message/receive_message", "order by o.message_id", "order by o.message_id desc",
         MESSAGES),
    edit("receive: again after its checkpoint", "message/receive_message", "    if found then\n        return;\n    end if;\n",
         "", REPEATED),
    edit("event: wakes nobody", "event/set_event",
         "perform pyengine._wake(array[pyengine.wait_key('event', set_event.workflow_id, set_event.key)]);", "null;",
         HIBERNATION_RACES),

    # Hibernation.
    edit("hibernate: a lock that lets mail in", "hibernation/hibernate_workflow", "for update skip locked",
         "for no key update skip locked", HIBERNATION_RACES, PAIRS),
    edit("hibernate: sources are not locked", "hibernation/_hold_sources", "for share skip locked", "", HIBERNATION_RACES),
    edit("hibernate: sources are locked too weakly", "hibernation/_hold_sources", "for share skip locked",
         "for key share skip locked", HIBERNATION_RACES),
    edit("hibernate: no second look", "hibernation/hibernate_workflow",
         "        or exists (select 1 from pyengine.look_again(waits => hibernate_workflow.waits, channel => null)) then",
         "        then", HIBERNATION_RACES),
    edit("hibernate: any isolation", "hibernation/hibernate_workflow",
         "current_setting('transaction_isolation') <> 'read committed'", "false", HIBERNATION_RACES, "tests/hibernation"),
    edit("claim the hibernated: who runs already", "hibernation/_pick_due", " and o.lease_token is null", "",
         HIBERNATION_RACES),
    edit("claim the hibernated: no lock", "hibernation/_pick_due", SKIPPED, "", HIBERNATION_RACES),

    # Executors.
    edit("tick: a dead executor revives", "executor/tick_executor",
         "where e.executor_id = tick_executor.executor_id and e.finished_at is null;\n        v_result",
         "where e.executor_id = tick_executor.executor_id;\n        v_result", OWNERS),
    edit("reap: waits for heartbeats", "executor/_reap_executors", SKIPPED, "for no key update", OWNERS),
    edit("reap: no lock", "executor/_reap_executors", SKIPPED, "", OWNERS),
    edit("reap: a session is missed at once", "executor/_reap_executors", "v_dead.is_expired or v_dead.session_lost_at is not null",
         "true", OWNERS),
    edit("give back: waits for what is locked", "executor/_return_work",
         "order by o.workflow_id\n            for no key update skip locked", "order by o.workflow_id\n            for no key update",
         OWNERS),
    edit("give back: what has ended", "executor/_return_work", "o.status = 'PENDING' and o.executor_id", "o.executor_id",
         OWNERS, QUEUE_RECOVERY, PAIRS),
    edit("give back: looks no longer than the end", "executor/_return_work",
         "and e.finished_at < pyengine.now() - interval '1 minute'", "", OWNERS),
    edit("give back: wakes nobody", "executor/_return_work", "perform pyengine._wake_returned(v_work_keys);", "",
         NOTICES),

    # Upkeep.
    edit("prune: what has begun again", "upkeep/_prune_workflows", " and w.finished_at is not null", "", PAIRS, RETENTION),
    edit("prune: waits for what is locked", "upkeep/_prune_workflows", "for update skip locked", "for update", PAIRS, RETENTION),
    edit("prune: children before parents", "upkeep/_prune_workflows", "(p.workflow_id is null\n            or ",
         "(true\n            or ", RETENTION),
    edit("chores: two at once", "upkeep/run_chores", "from pyengine.upkeep u for update skip locked",
         "from pyengine.upkeep u", RETENTION, DEADLINES),
    edit("deadlines: waits for what is locked", "upkeep/_cancel_overdue", SKIPPED, "for no key update", DEADLINES),
    edit("deadlines: what has ended", "upkeep/_cancel_overdue", " and w.finished_at is null", "", DEADLINES),

    # Schedules.
    edit("schedules: fired by two", "schedule/fire_schedules", SKIPPED, "", OWNERS),
    edit("limits: a byte too many", "base/_is_too_large", "> pyengine._payload_limit()", "> pyengine._payload_limit() + 1",
         "tests/sqlclient/test_hostile_input.py"),
)  # fmt: skip
