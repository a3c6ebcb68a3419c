"""The invariants as queries over the history, the journal and the final tables; each returns what is wrong.

The checks of queues (I-17 to I-26) are those of tests/queues/history.py.
"""

from __future__ import annotations

_TERMINAL = "('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')"

CHECKS = {
    "I-0 the history is whole": """
        select w.workflow_id, w.status, l.status as told
        from pyengine.workflows w
        full join (
            select distinct on (h.id) h.id, (h.new).status from audit.log h order by h.id, h.n desc
        ) l on l.id = w.workflow_id
        where w.status is distinct from l.status""",
    "I-1 acknowledged work exists": """
        select o.workflow_id, o.kind from led.op o
        where o.kind in ('enqueue', 'start') and o.outcome = 'ok'
            and not exists (select from pyengine.workflows w where w.workflow_id = o.workflow_id)""",
    "I-2 first inputs win": """
        select o.workflow_id, o.value, w.inputs from led.op o join pyengine.workflows w using (workflow_id)
        where o.kind = 'enqueue' and o.outcome = 'ok' and w.inputs -> 'positionalArgs' ->> 0 <> o.value""",
    "I-3 transactional steps exactly once": """
        select coalesce(b.workflow_id, s.workflow_id), coalesce(b.step, s.name), b.rows, s.rows
        from (select workflow_id, step, count(*) as rows from public.business group by 1, 2) b
        full join (
            select workflow_id, name as step, name, count(*) as rows from pyengine.steps
            where name like 'transfer%' and error is null group by 1, 2
        ) s using (workflow_id, step)
        where b.rows is distinct from 1 or s.rows is distinct from 1""",
    "I-3 a transactional step's value is the one it wrote": """
        select b.* from public.business b join pyengine.steps s on s.workflow_id = b.workflow_id and s.name = b.step
        where s.output #>> '{}' <> b.value""",
    "I-4 a checkpointed step had its effect": """
        select s.workflow_id, s.name from pyengine.steps s
        where s.name like 'plain%' and s.error is null and not exists (
            select from led.effect e
            where e.workflow_id = s.workflow_id and e.step = s.name and e.value = s.output #>> '{}')""",
    "I-4 no effect after the checkpoint": """
        select e.workflow_id, e.step, e.at, t.committed_at from led.effect e
        join audit.steps s on (s.new).workflow_id = e.workflow_id and (s.new).name = e.step
        join audit.transactions t on t.c = s.c
        where e.at > t.committed_at and not exists (
            select from led.fault f where f.fault = 'stop ' || e.pid)""",
    "I-5 checkpoints are immutable": "select s.old, s.new from audit.steps s where (s.old is null) is false",
    "I-6 replays see one value": """
        select s.workflow_id, s.step, array_agg(distinct s.value) from led.seen s
        group by 1, 2 having count(distinct s.value) > 1""",
    "I-6 what was seen is what is stored": """
        select e.* from led.seen e join pyengine.steps s on s.workflow_id = e.workflow_id and s.name = e.step
        where s.output #>> '{}' <> e.value""",
    "I-7 every checkpoint belongs to the current run": """
        select s.n, (s.new).workflow_id, (s.new).step_id, (s.new).attempt, cur.status, cur.attempt_count
        from audit.steps s
        left join lateral (
            select (h.new).* from audit.log h
            where h.id = (s.new).workflow_id and h.n < s.n order by h.n desc limit 1
        ) cur on true
        where s.old is null and (cur.status is distinct from 'PENDING' or cur.lease_token is null
            or cur.attempt_count <> (s.new).attempt)""",
    "I-8 attempts grow one by one": """
        select l.id, l.c, (l.old).attempt_count, (l.new).attempt_count from audit.log l
        where (l.old is null) is false and (l.new is null) is false and (l.new).attempt_count <> (l.old).attempt_count
                + ((l.new).status = 'PENDING' and (l.old).status in ('ENQUEUED', 'DELAYED'))::int""",
    "I-8 no lease is used twice": """
        select l.id, (l.new).lease_token, count(*) from audit.log l
        where (l.new).lease_token is not null and (l.old).lease_token is distinct from (l.new).lease_token
        group by 1, 2 having count(*) > 1""",
    "I-9 a lease is ended only after its time": """
        select (e.old).executor_id, (e.new).finish_reason, t.committed_at, (e.old).heartbeat_at from audit.executors e
        join audit.transactions t using (c)
        where (e.old).finished_at is null and ((e.new).finish_reason = 'lease expired'
                and t.committed_at < (e.old).heartbeat_at + (e.old).lease_duration
            or (e.new).finish_reason = 'session lost' and t.committed_at < (e.old).session_lost_at + interval '1 s')""",
    "I-9 only a dead executor's work is taken": """
        select l.id, l.c, (l.old).executor_id from audit.log l
        where (l.old).status = 'PENDING' and (l.old).lease_token is not null and (l.new).status = 'DELAYED'
            and not exists (select from audit.executors e where (e.new).executor_id = (l.old).executor_id
                and (e.new).finished_at is not null and e.n < l.n)""",
    "I-10 ends are final": f"""
        select l.id, (l.old).status, (l.new).status from audit.log l
        where (l.old).status in {_TERMINAL} and (l.new is null) is false and (
            (l.old).status <> (l.new).status or (l.old).output::text is distinct from (l.new).output::text
            or (l.old).error::text is distinct from (l.new).error::text)""",
    "I-11 legal transitions only": """
        select l.id, (l.old).status, (l.new).status from audit.log l
        where (l.old is null) is false and (l.new is null) is false and (l.old).status <> (l.new).status
            and ((l.old).status, (l.new).status) not in (
                ('DELAYED', 'ENQUEUED'), ('DELAYED', 'CANCELLED'), ('ENQUEUED', 'PENDING'), ('ENQUEUED', 'CANCELLED'),
                ('ENQUEUED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'), ('PENDING', 'ENQUEUED'), ('PENDING', 'DELAYED'),
                ('PENDING', 'SUCCESS'), ('PENDING', 'ERROR'), ('PENDING', 'CANCELLED'))""",
    "I-12 nothing is stuck": f"""
        select w.workflow_id, w.status, w.queue_name, w.attempt_count, w.executor_id from pyengine.workflows w
        where w.status not in {_TERMINAL}""",
    "I-12 nothing fails that a fault only held up": """
        select w.workflow_id, w.status, w.error from pyengine.workflows w
        where (w.status in ('ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')) <> (w.name in ('lethal', 'unwell'))
            and w.finished_at is not null and w.status <> 'CANCELLED'""",
    "I-14 one result": """
        select o.workflow_id, o.value, w.output from led.op o join pyengine.workflows w using (workflow_id)
        where o.kind = 'result' and o.outcome = 'ok' and w.output::jsonb is distinct from o.value::jsonb""",
    "I-16 dead letters at the limit": """
        select w.workflow_id, w.attempt_count, w.max_attempts from pyengine.workflows w
        where w.status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED' and w.attempt_count <> w.max_attempts""",
    "I-28 a message is received in one commit with its step": """
        select m.c, m.old from audit.messages m
        where m.new is null and not exists (
            select from audit.steps s where s.c = m.c and (s.new).workflow_id = (m.old).destination_id
                and (s.new).name = 'DBOS.recv' and (s.new).output::text = (m.old).message::text)""",
    "I-29 mail comes in order": """
        select m.c, m.old from (
            select m.*, max((m.old).message_id) over (
                partition by (m.old).destination_id, (m.old).topic, (m.old).sender_id order by m.n
                rows between unbounded preceding and 1 preceding) as latest
            from audit.messages m where m.new is null
        ) m where (m.old).message_id < m.latest""",
    "I-30 a message is sent once": """
        select (m.new).destination_id, (m.new).topic, (m.new).sender_id, (m.new).message::text, count(*)
        from audit.messages m where m.old is null group by 1, 2, 3, 4 having count(*) > 1""",
    "I-32 streams are dense": """
        select s.workflow_id, s.key, count(*), max(s.position) from pyengine.streams s
        group by 1, 2 having max(s.position) + 1 <> count(*)""",
    "I-34 no sleep ends early": """
        select s.workflow_id, s.step_id, s.completed_at, t.committed_at from pyengine.steps s
        join audit.steps f on (f.new).workflow_id = s.workflow_id and (f.new).step_id > s.step_id
        join audit.transactions t on t.c = f.c
        where s.name = 'DBOS.sleep' and t.committed_at < s.completed_at and not exists (
            -- the deadline of a wait, which what is waited for may end before
            select from pyengine.steps r
            where r.workflow_id = s.workflow_id and r.step_id in (s.step_id - 1, s.step_id + 1)
                and r.name in ('DBOS.recv', 'DBOS.getEvent'))""",
    "F-34 what goes in comes out": """
        select w.workflow_id, w.inputs, w.output from pyengine.workflows w
        where w.name = 'echo' and w.status = 'SUCCESS'
            and (w.inputs -> 'positionalArgs' -> 1)::text is distinct from coalesce(w.output::text, 'null')""",
    "I-37 stored times are the server's": """
        select l.id, l.c, (l.new).updated_at, l.committed_at from audit.log l
        where (l.new).updated_at > l.committed_at + interval '2 seconds'
            or l.old is null and (l.new).created_at > l.committed_at + interval '2 seconds'""",
    "I-38 a cancel is decisive": """
        select o.workflow_id, w.status, w.finished_at, o.at from led.op o join pyengine.workflows w using (workflow_id)
        where o.kind = 'cancel' and o.outcome = 'ok' and (w.finished_at is null or w.finished_at > o.at)""",
    "I-40 nothing is left of nothing": """
        select 'steps', s.workflow_id from pyengine.steps s
        where not exists (select from pyengine.workflows w where w.workflow_id = s.workflow_id)
        union all select 'messages', m.destination_id from pyengine.messages m
        where not exists (select from pyengine.workflows w where w.workflow_id = m.destination_id)
        union all select 'streams', s.workflow_id from pyengine.streams s
        where not exists (select from pyengine.workflows w where w.workflow_id = s.workflow_id)""",
}  # fmt: skip

# What must have happened in a campaign for it to prove anything, by name.
SOMETIMES = {
    "takeover": "select count(*) from audit.log l where (l.new).status = 'PENDING' and (l.new).attempt_count > 1",
    "replay": """select count(*) from (
        select from led.seen group by workflow_id, step having count(distinct pid) > 1) r""",
    "step done again": """select count(*) from (
        select from led.effect group by workflow_id, step having count(*) > 1) r""",
    "refused zombie": "select count(*) from led.refused",
    "limit reached": """select count(*) from (
        select sum(s.by) over (partition by s.queue order by s.c, s.n) as running, q.concurrency
        from audit.sides s join pyengine.queues q on q.queue_name = s.queue
        where s.status = 'PENDING') r where r.running = r.concurrency""",
    "session lost": """select count(*) from audit.executors e
        where (e.old).finished_at is null and (e.new).finish_reason = 'session lost'""",
    "lease expired": """select count(*) from audit.executors e
        where (e.old).finished_at is null and (e.new).finish_reason = 'lease expired'""",
    "uncertain call": "select count(*) from led.op where outcome = 'info'",
    "cancelled": "select count(*) from pyengine.workflows where status = 'CANCELLED'",
    "dead letter": "select count(*) from pyengine.workflows where status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'",
    "message waited for": "select count(*) from audit.messages where new is null",
    "hibernated": "select count(*) from audit.hibernations where old is null",
    "hostile value": "select count(*) from pyengine.workflows where name = 'echo' and status = 'SUCCESS'",
    "odd id": r"select count(*) from pyengine.workflows where workflow_id ~ '[^\w-]' and status = 'SUCCESS'",
    "delayed": "select count(*) from audit.log l where (l.new).status = 'DELAYED'",
}  # fmt: skip
CLAIMS = """select count(*) from audit.log l join pyengine.queues q on q.queue_name = (l.new).queue_name
    where (l.new).status = 'PENDING' and (l.old).status is distinct from 'PENDING'
        and num_nonnulls(q.concurrency, q.worker_concurrency, q.partition_concurrency, q.limiter_limit) > 0"""
