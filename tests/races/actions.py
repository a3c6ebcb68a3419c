"""What may meet: one world, and the calls that tests let meet in it.

Each action is one call of one function. `rows` names what it touches, and actions that touch something in common meet:
an id is a workflow, `q` a queue, `one` … an executor, `k` the key of a debounced workflow.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

Session = psycopg.Connection[Any]
Result = list[Any]

# What an action may be refused with; 23505 is how a transaction learns that its step has an outcome already.
REFUSALS = ("PE001", "PE002", "PE003", "PE400", "PE404", "PE409", "PE429", "23505")
# The leases of the runs of w, s and z.
TOKENS = {name: str(uuid.uuid5(uuid.NAMESPACE_OID, name)) for name in "wsz"}


@dataclass(frozen=True)
class Action:
    """A call that may meet others.

    Attributes:
        name: what it is called in the tests.
        rows: what it touches.
        run: does it in a session, and returns what it answers, without times and random tokens.
        skips: it passes over what is locked and finds that at its next call.
    """

    name: str
    rows: frozenset[str]
    run: Callable[[Session], Result]
    skips: bool = False


ACTIONS: dict[str, Action] = {}


def action(
    name: str, rows: str, query: str, *values: object, skips: bool = False, token: bool = False
) -> None:
    """Add a call to the table; dicts and lists of dicts are sent as json, a token is made anew in each call."""

    def run(session: Session) -> Result:
        sent = [_as_sent(value) for value in values] + ([uuid.uuid4()] if token else [])
        return sorted(session.execute(query, sent).fetchall(), key=repr)  # type: ignore[arg-type, unused-ignore]

    ACTIONS[name] = Action(name, frozenset(rows.split()), run, skips)


def _as_sent(value: object) -> object:
    is_document = isinstance(value, dict) or (
        isinstance(value, list) and isinstance(value[0], dict)
    )
    return json.dumps(value) if is_document else value


def attempt(do: Action, session: Session) -> Result | str:
    """Do it; the code of the error if it is refused, with what it did taken back."""
    try:
        with session.transaction():
            return do.run(session)
    except psycopg.Error as error:
        if error.sqlstate not in REFUSALS:
            raise
        return error.sqlstate


def start(workflow_id: str, **fields: Any) -> dict[str, Any]:
    """A document of start_workflows."""
    return {
        "workflow_id": workflow_id,
        "name": "f",
        "inputs": {},
        "serialization": "json",
        **fields,
    }


def step(workflow_id: str, step_id: int, output: object = 1) -> dict[str, Any]:
    """A document of record_steps."""
    return {**outcome(workflow_id, output), "step_id": step_id, "name": "s"}


def outcome(workflow_id: str, output: object = 1) -> dict[str, Any]:
    """A document of finish_workflows."""
    token = TOKENS[workflow_id]
    fields = {"workflow_id": workflow_id, "lease_token": token, "serialization": "json"}
    return {**fields, "output": output}


def child(workflow_id: str, parent: str, step_id: int, **fields: Any) -> dict[str, Any]:
    """A document of start_workflows of a child."""
    lease = {"parent_workflow_id": parent, "parent_lease_token": TOKENS[parent]}
    return start(workflow_id, **lease, parent_step_id=step_id, step_name="f", **fields)


def _mail(receiver: str, topic: str) -> list[dict[str, Any]]:
    return [{"destination_id": receiver, "topic": topic, "message": 1, "serialization": "json"}]


_EXECUTOR = "(select executor_id from pyengine.executors where name = %s)"
_CLAIM = (
    f"select workflow_id, step_ids, step_outputs from pyengine.claim_workflows(executor_id => {_EXECUTOR}, "
    "claim_limit => 10, lease_token => %s)"
)
_TICK = f"select is_alive from pyengine.tick_executor(executor_id => {_EXECUTOR}, heartbeat_seconds => 0)"
_START = (
    f"select item, refusal, status from pyengine.start_workflows(%s, executor_id => {_EXECUTOR})"
)
_ENQUEUE = "select item, refusal, status from pyengine.start_workflows(%s)"
_RECORD = "select item, refusal, output::text from pyengine.record_steps(%s)"
_RECORD_IN_TRANSACTION = (
    "select pyengine.record_step_in_transaction(workflow_id => 'w', lease_token => %s, step_id => 5, name => 's', "
    "serialization => 'json', output => '2')::text"
)
_FINISH = "select item, refusal from pyengine.finish_workflows(%s)"
_CANCEL = "select pyengine.cancel_workflows(%s, cancel_children => %s)"
_RESUME = "select pyengine.resume_workflows(%s)"
_FORK = "select pyengine.fork_workflow(%s, start_step => 2, new_workflow_id => 'fork')"
_REWIND = "select pyengine.rewind_workflow(%s, start_step => 2)::text"
_DELETE = "select pyengine.delete_workflows(%s, delete_children => %s)"
_HIBERNATE = "select pyengine.hibernate_workflow(workflow_id => %s, lease_token => %s, waits => %s)"
_SEND = "select item, refusal from pyengine.send_messages(%s)"
_SEND_AS_STEP = "select item, refusal from pyengine.send_messages(%s, step => %s, sender_id => %s)"
_SEND_IN_STEP = (
    "select item, refusal from pyengine.send_messages(%s, sender_id => %s, sender_token => %s)"
)
_RECEIVE = (
    "select is_done, output::text from pyengine.receive_message(workflow_id => 'w', lease_token => %s, step_id => 10, "
    "topic => %s, timeout_ms => 1e6)"
)
_RECEIVE_EVENT = (
    "select is_done, output::text from pyengine.receive_event(workflow_id => 'w', lease_token => %s, step_id => 20, "
    "source_id => 's', key => 'ready', timeout_ms => 1e6)"
)
_SET_EVENT = (
    "select pyengine.set_event(workflow_id => %s, lease_token => %s, step_id => 30, key => %s, "
    "serialization => 'json', value => '3', step_name => 'DBOS.setEvent')::text"
)
_APPEND = "select item, refusal from pyengine.append_streams(%s)"
_SLEEP = "select pyengine.sleep_until(workflow_id => 'w', lease_token => %s, step_id => 40, duration_ms => 1e6) > 0"
_CONTINUE = (
    "select pyengine.continue_workflow(workflow_id => 'w', lease_token => %s, step_id => 50, serialization => 'json', "
    "inputs => '{}')"
)
_BATCH = f"select kind, item, answer ->> 'refusal' from pyengine.apply_batch(%s, executor_id => {_EXECUTOR})"
_DEBOUNCE = (
    "select is_new, refusal from pyengine.debounce_workflow(%s, debounce_key => 'k', "
    "period_ms => 1e6)"
)
_DELAY = "select pyengine.set_workflow_delay(workflow_id => 'd', delay_ms => 1e7)::text"
_CHORES = "select overdue_workflows, pruned_workflows from pyengine.run_chores()"
_ATTRIBUTES = "select pyengine.update_workflow_attributes(workflow_id => %s, attributes => '{\"a\": 1}')::text"
_CHANGE_QUEUE = "select concurrency from pyengine.change_queue('q', %s)"

_STREAM = {"step_id": 31, "key": "stream"}
_EVENT_OF_S = [{"kind": "event", "id": "s", "name": "ready"}]

action("claim", "w x n q h z p", _CLAIM, "two", skips=True, token=True)
action("claim by one", "x n q h one", _CLAIM, "one", skips=True, token=True)
action("heartbeat", "one", _TICK, "one", skips=True)
action("heartbeat of the dead", "dead z", _TICK, "dead", skips=True)
action("reap", "dead z one", _TICK, "two", skips=True)
action("leave", "one w", f"select pyengine.leave_executor({_EXECUTOR})", "one", skips=True)
action("start again", "w", _START, [start("w", lease_token=str(uuid.uuid4()))], "two")
action("enqueue", "y q", _ENQUEUE, [start("y", queue_name="q")])
action("take a key", "x q", _ENQUEUE, [start("y2", queue_name="q", deduplication_id="held")])
action("start a child", "w s", _ENQUEUE, [child("c", "w", 6, queue_name="q")])
action("start children", "w s", _ENQUEUE, [child("c2", "w", 6), child("c1", "s", 6)])
action("record", "w", _RECORD, [step("w", 5)])
action("record one", "w", _RECORD, step("w", 5, output="one"))
action("record both", "w s", _RECORD, [step("w", 5, output="both"), step("s", 5)])
action("record in a transaction", "w", _RECORD_IN_TRANSACTION, TOKENS["w"])
action("finish", "w q", _FINISH, outcome("w"))
action("finish in a batch", "w q", _FINISH, [outcome("w", output="batch")])
action("release", "w q", "select pyengine.release_workflows(%s)", [outcome("w")])
action("finish both", "w s h q", _FINISH, [outcome("w"), outcome("s")])
action("finish the dead one", "z", _FINISH, outcome("z"))
action("apply a batch", "w s q", _BATCH, {
    "starts": [child("b", "w", 7, queue_name="q")],
    "steps": [step("w", 5, output="batch")],
    "streams": [{**outcome("s"), **_STREAM, "value": 1}],
    "finishes": [outcome("s")],
}, "two")  # fmt: skip
action("cancel", "w q", _CANCEL, ["w"], False)
action("cancel both", "w s q", _CANCEL, ["w", "s"], True)
action("cancel what waits", "x n h d q p", _CANCEL, ["x", "n", "h", "d", "p"], False)
action("resume", "w q", _RESUME, ["w"])
action("resume both", "w s q", _RESUME, ["w", "s"])
action("resume what waits", "x n h d z p", _RESUME, ["z", "x", "n", "h", "d", "p"])
action("fork", "w", _FORK, "w")
action("fork the ended", "e", _FORK, "e")
action("rewind", "e", _REWIND, "e")
action("rewind what runs", "w", _REWIND, "w")
action("delete", "w q", _DELETE, ["w"], False)
action("delete both", "w s q", _DELETE, ["w", "s"], True)
action("delete what waits", "x n h d q e p", _DELETE, ["x", "n", "h", "d", "e", "p"], False)
action("hibernate", "w s q", _HIBERNATE, "w", TOKENS["w"], _EVENT_OF_S, skips=True)
action("hibernate the other", "w s", _HIBERNATE, "s", TOKENS["s"],
       [{"kind": "result", "id": "w"}], skips=True)  # fmt: skip
action("send", "w", _SEND, _mail("w", "other"))
action(
    "send to all", "w s h", _SEND, [*_mail("w", "mail"), *_mail("s", "mail"), *_mail("h", "wake")]
)
action("send from s to w", "w s", _SEND_AS_STEP, _mail("w", "mail"), step("s", 6), "s")
action("send from w to s", "w s", _SEND_AS_STEP, _mail("s", "mail"), step("w", 6), "w")
action("send within a step of w", "w s", _SEND_IN_STEP, _mail("s", "mail"), "w", TOKENS["w"])
action("receive", "w", _RECEIVE, TOKENS["w"], "mail")
action("receive in vain", "w", _RECEIVE, TOKENS["w"], "other")
action("receive an event", "w s", _RECEIVE_EVENT, TOKENS["w"])
action("set an event", "w", _SET_EVENT, "w", TOKENS["w"], "key")
action("set the awaited event", "s h", _SET_EVENT, "s", TOKENS["s"], "ready")
action("append", "w", _APPEND, [{**outcome("w"), **_STREAM, "value": 1}])
action("sleep", "w", _SLEEP, TOKENS["w"])
action("continue", "w", _CONTINUE, TOKENS["w"])
action("debounce", "d k", _DEBOUNCE, start("d2", inputs={"call": 2}))
action("debounce once more", "d k", _DEBOUNCE, start("d3", inputs={"call": 3}))
action("delay", "d", _DELAY)
action("do chores", "e o", _CHORES, skips=True)
action("set attributes", "w", _ATTRIBUTES, "w")
action("set attributes of what waits", "x q", _ATTRIBUTES, "x")
action("change a queue", "q", _CHANGE_QUEUE, {"concurrency": 1})
action("pause a queue", "q", "select pyengine.pause_queue('q')::text")

# Those that matter most meet in every run of the tests; all others where there is more time.
CORE = {
    "claim", "heartbeat of the dead", "reap", "record", "finish", "cancel", "resume", "fork", "delete", "hibernate",
    "send", "receive", "set the awaited event", "debounce", "debounce once more", "do chores", "rewind", "continue",
    "apply a batch", "append", "cancel what waits",
}  # fmt: skip

_REGISTER = (
    "select pyengine.register_executor(name => %s, application_name => 'app', application_version => '1', "
    "version_is_pinned => false, functions => '{f}', channel => %s, lease_seconds => 600)"
)


def populate(session: Session) -> None:
    """Make the world that the actions are about, in an empty engine.

    w runs and has a bit of everything, s runs beside it, h hibernates until s or a message wakes it, z belongs to a
    dead process, x waits in the queue q of which w runs, p in a partition of another, n is delayed and due, d is
    debounced, e has ended and retention lets it go, o is past its deadline.
    """
    for name in ("one", "two", "dead"):
        session.execute(_REGISTER, [name, f"channel {name}"])
    session.execute("select pyengine.set_retention('app', success_age => '0')")
    session.execute("select from pyengine.register_queue('q', concurrency => 3, max_depth => 10)")

    def begin(workflow_id: str, token: str, executor: str) -> None:
        document = start(workflow_id, lease_token=token, application_name="app")
        session.execute(_START, [json.dumps([document]), executor])

    first = start("w", queue_name="q")
    session.execute(_ENQUEUE, [json.dumps([first])])
    session.execute(
        f"select from pyengine.claim_workflows({_EXECUTOR}, %s, 1)", ["one", TOKENS["w"]]
    )
    begin("s", TOKENS["s"], "two")
    begin("z", TOKENS["z"], "dead")
    begin("h", TOKENS["s"], "two")
    begin("e", TOKENS["s"], "two")
    held = start("x", queue_name="q", deduplication_id="held")
    overdue = start("o", deadline_epoch_ms=1000, queue_name="elsewhere")
    later = start("n", delay_ms=1)
    session.execute("select from pyengine.register_queue('parts', partition_concurrency => 2)")
    keyed = start("p", queue_name="parts", partition_key="key")
    session.execute(_ENQUEUE, [json.dumps([held, overdue, later, keyed])])
    session.execute(_DEBOUNCE, [json.dumps(start("d"))])
    session.execute(_SEND, [json.dumps(_mail("w", "mail"))])
    for workflow_id in ("w", "e"):
        document = {**step("w", 1), "workflow_id": workflow_id, "lease_token": TOKENS["w"]}
        if workflow_id == "e":
            document["lease_token"] = TOKENS["s"]
        session.execute(_RECORD, [json.dumps(document)])
    session.execute(_HIBERNATE, ["h", TOKENS["s"], json.dumps([
        *_EVENT_OF_S,
        {"kind": "message", "id": "h", "name": "wake"},
        {"kind": "result", "id": "s"},
    ])])  # fmt: skip
    ended = {**outcome("s"), "workflow_id": "e"}
    session.execute(_FINISH, [json.dumps(ended)])
    session.execute(
        "update pyengine.executors set heartbeat_at = heartbeat_at - interval '1 hour', "
        "lease_duration = '1 microsecond' where name = 'dead'"
    )
    session.execute("update pyengine.workflows set delayed_until = now() where workflow_id = 'n'")


_STATE = """
    select 'workflow', row(w.workflow_id, w.status, e.name, w.attempt_count, w.queue_name, w.deduplication_id,
        w.inputs::text, w.output::text, w.error::text, w.delayed_until > now() + interval '3000 seconds',
        w.base_step_id, w.was_forked_from, w.forked_from, w.parent_workflow_id, w.attributes, w.request_token,
        w.finished_at is null,
        case when w.lease_token = any (%(tokens)s) then w.lease_token::text
            else (w.lease_token is null)::text end)::text
    from pyengine.workflows w left join pyengine.executors e on e.executor_id = w.executor_id
    union all
    select 'step', row(s.workflow_id, s.step_id, s.name, s.attempt, s.child_workflow_id,
        case when s.name <> 'DBOS.sleep' then s.output::text end, s.error::text)::text
    from pyengine.steps s
    union all
    select 'message', row(m.destination_id, m.topic, m.sender_id, m.message::text,
        row_number() over (partition by m.destination_id, m.topic order by m.message_id))::text
    from pyengine.messages m
    union all
    select 'event', row(v.workflow_id, v.key, v.step_id, v.value::text)::text from pyengine.events v
    union all
    select 'history', row(v.workflow_id, v.key, v.step_id, v.value::text)::text from pyengine.event_history v
    union all
    select 'stream', row(v.workflow_id, v.key, v.position, v.value::text)::text from pyengine.streams v
    union all
    select 'hibernation', row(h.workflow_id, h.kind, h.source_id, h.due_at is null)::text
    from pyengine.hibernations h join pyengine.workflows w on w.workflow_id = h.workflow_id
    where w.status = 'PENDING' and w.lease_token is null
    union all
    select 'executor', row(e.name, e.finish_reason)::text from pyengine.executors e
    union all
    select 'queue', row(q.queue_name, q.concurrency, q.is_paused)::text from pyengine.queues q
    order by 1, 2
"""


def state(session: Session) -> list[Any]:
    """All that counts of what the engine holds, without times.

    What a workflow waited for may outlast its hibernation where somebody had locked that: it means nothing then.
    """
    return session.execute(_STATE, {"tokens": [uuid.UUID(t) for t in TOKENS.values()]}).fetchall()
