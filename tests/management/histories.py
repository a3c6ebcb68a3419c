"""A history of workflows, and lists of it: by each filter, of what is old and many, new and many, or few."""

from __future__ import annotations

import json

from pyengine.filters import compile_condition

# The oldest tenth has values of its own in every column: many workflows have these, and all of them are old.
HISTORY = """
    insert into pyengine.workflows (
        workflow_id, status, name, queue_name, application_name, application_version, executor_id, executor_name,
        lease_token, attempt_count, created_at, updated_at, started_at, finished_at, authenticated_user,
        parent_workflow_id, forked_from, was_forked_from, schedule_name, attributes, serialization, inputs, output
    )
    select case when r.is_old then 'early-' else 'order-' end || lpad(i::text, 8, '0'), r.status,
        case when i % (n / 20) = 3 then 'seldom' when i % 100 = 5 then 'often' when i % 1000 = 14 then 'sparse'
            when r.is_old then 'retired' else 'mostly_' || i % 4 end,
        case when i % (n / 20) = 7 then 'quiet' when r.is_old then 'drained' when i % 2 = 0 then 'busy' end,
        case when i % (n / 20) = 8 then 'another' when r.is_old then 'former' else 'app' end,
        case when i <= 50 then '1' when r.is_old then '2' when i <= n / 2 then '3' else '4' end,
        case when r.status <> 'PENDING' or i % 2 = 0 then 1 end,
        case when i between n / 2 and n / 2 + 60 then 'gone' when r.is_old then 'lost' else 'local-' || i % 3 end,
        case when r.status = 'PENDING' and i % 2 = 0 then gen_random_uuid() end,
        1, r.at, r.at, case when r.status <> 'ENQUEUED' then r.at + interval '1 second' end,
        case when r.status not in ('ENQUEUED', 'PENDING') then r.at + interval '2 seconds' end,
        case when r.is_old then 'ann' when i % 1000 = 11 then 'user-' || i % 7 end,
        case when r.is_old then 'order-0' when i % 20 = 0 then 'order-' || lpad((i / 200)::text, 8, '0') end,
        case when r.is_old then 'order-1' when i % 1000 = 12 then 'order-00000001' end, i % 1000 = 13 or r.is_old,
        case when r.is_old then 'hourly' when i % 500 = 0 then 'nightly' end,
        case when r.is_old then '{"release": "old"}'
            when i % 100 = 0 then jsonb_build_object('customer', i / 1000) end,
        'json', '{"positionalArgs": [1, 2, 3]}', '{"a": 1}'
    from generate_series(1, ROWS) i
    cross join (select ROWS as n) size
    cross join lateral (
        select pyengine.now() - (n - i) * interval '1 second' as at, i <= n / 10 as is_old,
            case when i % 5000 = 1 then 'ERROR' when i % 10000 = 2 then 'CANCELLED'
                when i in (9, 99) or i > n - 100 then 'ENQUEUED'
                when i in (19, 199) or i > n - 300 then 'PENDING' else 'SUCCESS' end as status
    ) r
    order by i
"""

# The same, but nearly all of it still waits.
BACKLOG = HISTORY.replace("i in (9, 99) or i > n - 100", "i > 1000")

FILTERS = {
    "nothing": "load_input => true",
    "ids": "workflow_ids => '{early-00000001,order-00030777}'",
    "an id that began with long ago": "id_prefixes => '{early-}'",
    "an id that begins with": "id_prefixes => '{order-000031}'",
    "no id that begins with": "id_prefixes => '{another-}'",
    "two beginnings of ids": "id_prefixes => '{order-0000311,order-0000312}'",
    "succeeded": "statuses => '{SUCCESS}'",
    "failed": "statuses => '{ERROR}'",
    "cancelled": "statuses => '{CANCELLED}'",
    "dead letters": "statuses => '{MAX_RECOVERY_ATTEMPTS_EXCEEDED}'",
    "enqueued": "statuses => '{ENQUEUED}'",
    "running": "statuses => '{PENDING}'",
    "delayed": "statuses => '{DELAYED}'",
    "failed in any way": "statuses => '{ERROR,CANCELLED,MAX_RECOVERY_ATTEMPTS_EXCEEDED}'",
    "in queues": "queues_only => true",
    "a function": "names => '{mostly_1}'",
    "a function of one in a hundred": "names => '{often}'",
    "a function that seldom runs": "names => '{seldom}'",
    "a function of one in a thousand": "names => '{sparse}'",
    "a function that never ran": "names => '{never}'",
    "a function that ran long ago": "names => '{retired}'",
    "a queue": "queue_names => '{busy}'",
    "a queue with little work": "queue_names => '{quiet}'",
    "a queue that was drained long ago": "queue_names => '{drained}'",
    "the application": "application_name => 'app'",
    "another application": "application_name => 'another'",
    "an application that is gone": "application_name => 'former'",
    "this version": "application_versions => '{4}'",
    "the version before": "application_versions => '{3}'",
    "a version of long ago": "application_versions => '{2}'",
    "two versions": "application_versions => '{1,2}'",
    "the first version": "application_versions => '{1}'",
    "an executor": "executor_names => '{local-1}'",
    "an executor that is gone": "executor_names => '{gone}'",
    "an executor that was lost long ago": "executor_names => '{lost}'",
    "created since": "created_from => pyengine.now() - interval '1 hour'",
    "created until": "created_to => pyengine.now() - interval '3 hours'",
    "started since": "started_from => pyengine.now() - interval '1 hour'",
    "started until": "started_to => pyengine.now() - interval '3 hours'",
    "finished since": "finished_from => pyengine.now() - interval '1 hour'",
    "finished until": "finished_to => pyengine.now() - interval '3 hours'",
    "nothing started since": "started_from => pyengine.now() + interval '1 hour'",
    "nothing finished since": "finished_from => pyengine.now() + interval '1 hour'",
    "a user": "authenticated_users => '{user-3}'",
    "a user who left": "authenticated_users => '{ann}'",
    "two users": "authenticated_users => '{ann,user-3}'",
    "nobody": "authenticated_users => '{nobody}'",
    "children": "has_parent => true",
    "no children": "has_parent => false",
    "children of one long ago": "parent_workflow_ids => '{order-0}'",
    "children of some": "parent_workflow_ids => '{order-0,order-00000007,order-00000100}'",
    "forks": "is_fork => true",
    "forks of one": "forked_from => '{order-00000001}'",
    "forks of one long ago": "forked_from => '{order-1}'",
    "no forks": "is_fork => false",
    "no originals": "was_forked_from => false",
    "originals": "was_forked_from => true",
    "a schedule": "schedule_names => '{nightly}'",
    "a schedule that was stopped long ago": "schedule_names => '{hourly}'",
    "no such schedule": "schedule_names => '{weekly}'",
    "attributes": """attributes => '{"customer": 5}'""",
    "attributes of long ago": """attributes => '{"release": "old"}'""",
    "a function that ran long ago, of the application": "names => '{retired}', application_name => 'former'",
    "a function of the application": "names => '{sparse}', application_name => 'app'",
    "ids of the application that begin with": "id_prefixes => '{early-}', application_name => 'former'",
}
CONDITIONS = {
    "the failed of a day": "status = 'ERROR' and created_at > now() - interval '1 day'",
    "enqueued": "status = 'ENQUEUED'",
    "a function that seldom runs": "name = 'seldom'",
    "functions of long ago": "name like 'retir%' and status = 'SUCCESS' and created_at < now()",
    "versions of long ago": "application_version in ('1', '2')",
    "a user who left": "authenticated_user = 'ann'",
    "succeeded": "status = 'SUCCESS'",
    "a user": "authenticated_user = 'user-3'",
    "slow ones that just ended": "finished_at > now() - interval '10 minutes' and finished_at - started_at > '1s'",
    "attributes": """attributes @> '{"customer": 5}'""",
}


def lists() -> dict[str, str]:
    """The arguments of `list_workflows`, by what they ask for."""
    return FILTERS | {
        f"where {name}": f"condition => $tree${json.dumps(compile_condition(where))}$tree$"
        for name, where in CONDITIONS.items()
    }


def newest(call: str) -> str:
    """The statement that lists the newest 100."""
    return (
        "select workflow_id, status, name, created_at"
        f" from pyengine.list_workflows({call}, newest_first => true, row_limit => 100)"
    )
