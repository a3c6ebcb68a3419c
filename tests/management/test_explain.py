"""explain_workflow: each reason why a workflow does not run is told, with who holds what it waits for."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, Queue, SetEnqueueOptions, SetWorkflowID
from pyengine.errors import DBOSNonExistentWorkflowError

Session = psycopg.Connection[Any]


def rows(sql: Session, text: str, *values: object) -> list[Any]:
    return sql.execute(text, values).fetchall()


class Engine:
    """The engine by hand: processes that do nothing by themselves."""

    def __init__(self, sql: Session) -> None:
        self.sql = sql

    def process(
        self, name: str = "one", *, functions: str = "{f}", version: str = "1", pinned: bool = False
    ) -> int:
        found = rows(
            self.sql,
            "select pyengine.register_executor(name => %s, application_name => 'app', application_version => %s, "
            "version_is_pinned => %s, functions => %s, channel => %s, lease_seconds => 15, host => 'h', "
            "process_id => 7)",
            name,
            version,
            pinned,
            functions,
            f"channel {uuid.uuid4()}",
        )
        return int(found[0][0])

    def queue(self, **limits: object) -> None:
        given = "".join(f", {key} => %s" for key in limits)
        rows(self.sql, f"select pyengine.register_queue('q'{given})", *limits.values())

    def enqueue(self, workflow_id: str, **fields: object) -> None:
        request = {
            "workflow_id": workflow_id,
            "name": "f",
            "application_name": "app",
            "serialization": "json",
            "inputs": {},
            **fields,
        }
        assert rows(self.sql, "select pyengine.start_workflows(%s)", json.dumps([request])) == []

    def claim(self, process: int, count: int = 1) -> str:
        token = str(uuid.uuid4())
        claimed = rows(
            self.sql,
            "select pyengine.claim_workflows(executor_id => %s, lease_token => %s, claim_limit => %s)",
            process,
            token,
            count,
        )
        assert len(claimed) == count
        return token

    def explain(self, workflow_id: str = "w") -> tuple[dict[str, Any], str]:
        """The facts by their codes, and the paragraph."""
        query = "select summary, facts from pyengine.explain_workflow(%s)"
        ((summary, facts),) = rows(self.sql, query, workflow_id)
        for fact in facts:
            assert fact["sentence"] in summary
            assert fact["sentence"].endswith("."), fact
        return {fact["code"]: fact["detail"] for fact in facts}, summary


@pytest.fixture
def engine(sql: Session) -> Engine:
    return Engine(sql)


def test_nobody_is_there(engine: Engine) -> None:
    engine.enqueue("w")

    facts, summary = engine.explain()

    assert set(facts) == {"no_process", "waiting_to_be_claimed"}
    assert "queue" not in summary
    assert summary.startswith("Workflow w (f) is ENQUEUED. No process of application app is alive.")


def test_nobody_has_the_function(engine: Engine) -> None:
    engine.process(functions="{g}")
    engine.enqueue("w", class_name="C")

    facts, summary = engine.explain()

    assert facts["no_function"] == {"function_key": "C/f"}
    assert "Application app has 1 live process, and none has the function C/f" in summary


def test_nobody_has_the_function_of_a_workflow_that_belongs_to_no_application(
    engine: Engine,
) -> None:
    engine.enqueue("w", application_name=None)
    assert "No process of any application is alive." in engine.explain()[1]

    engine.process(functions="{g}")

    assert "This database has 1 live process, and none has the function f" in engine.explain()[1]


def test_nobody_has_the_pinned_version(engine: Engine) -> None:
    engine.process(version="2", pinned=True)
    engine.enqueue("w", application_version="1", version_is_pinned=True)

    facts, summary = engine.explain()

    assert facts["no_version"]["application_versions"] == ["2"]
    assert "Only version 1 may run it" in summary


def test_it_can_be_claimed_at_once(engine: Engine) -> None:
    engine.process()
    engine.enqueue("w")

    facts, summary = engine.explain()

    assert facts["processes"]["executor_names"] == ["one"]
    assert "It can be run by 1 live process: one." in summary


def test_its_queue_is_not_registered(engine: Engine) -> None:
    engine.queue()
    engine.enqueue("w", queue_name="q")
    rows(engine.sql, "select pyengine.delete_queue('q')")

    assert engine.explain()[0]["queue_unknown"] == {"queue_name": "q"}


def test_its_queue_is_paused(engine: Engine) -> None:
    engine.queue()
    engine.enqueue("w", queue_name="q")
    rows(engine.sql, "select pyengine.pause_queue('q')")

    facts, summary = engine.explain()

    assert "queue_paused" in facts
    assert "nothing in its queue holds it back" not in summary


def test_the_queue_belongs_to_another_application(engine: Engine) -> None:
    engine.queue(application_name="other")
    engine.enqueue("w", queue_name="q")

    assert engine.explain()[0]["queue_of_another"]["application_name"] == "other"


def test_the_concurrency_is_used_up_and_by_whom(engine: Engine) -> None:
    process = engine.process()
    engine.queue(concurrency=2)
    for name in ("a", "b", "w"):
        engine.enqueue(name, queue_name="q")
    engine.claim(process, 2)

    facts, summary = engine.explain()

    assert facts["concurrency"]["limit"] == 2
    assert sorted(facts["concurrency"]["workflow_ids"]) == ["a", "b"]
    assert "a (in one)" in summary


def test_a_process_is_full(engine: Engine) -> None:
    process = engine.process()
    engine.queue(worker_concurrency=1)
    for name in ("a", "w"):
        engine.enqueue(name, queue_name="q")
    engine.claim(process)

    facts, _ = engine.explain()

    assert facts["worker_concurrency"] == {
        "queue_name": "q",
        "limit": 1,
        "executor_name": "one",
        "running": 1,
    }
    assert "concurrency" not in facts


def test_a_partition_is_full_and_another_is_not(engine: Engine) -> None:
    process = engine.process()
    engine.queue(partition_concurrency=1)
    for name, key in (("a", "k"), ("w", "k"), ("x", "other")):
        engine.enqueue(name, queue_name="q", partition_key=key)
        if name == "a":
            engine.claim(process)

    assert engine.explain()[0]["partition_concurrency"]["workflow_ids"] == ["a"]
    assert "partition_concurrency" not in engine.explain("x")[0]


def test_serial_work_waits_for_its_predecessor(engine: Engine) -> None:
    process = engine.process()
    engine.queue()
    for name in ("a", "w"):
        engine.enqueue(name, queue_name="q", partition_key="k", is_serial=True)
    engine.claim(process)

    assert engine.explain()[0]["serial"]["workflow_ids"] == ["a"]


def test_a_rate_window_tells_when_it_opens(engine: Engine) -> None:
    process = engine.process()
    engine.queue(limiter_limit=1, limiter_period_seconds=60)
    for name in ("a", "w"):
        engine.enqueue(name, queue_name="q")
    engine.claim(process)

    facts, summary = engine.explain()

    ((expected, told),) = rows(
        engine.sql,
        "select started_at + interval '60 seconds', %s::timestamptz from pyengine.queue_starts where queue_name = 'q'",
        facts["limiter"]["opens_at"],
    )
    assert told == expected
    assert re.search(
        r"1 of 1 starts within 60 s\. Its window opens at .* UTC \(in (59|60) s\)", summary
    )


def test_a_rate_window_of_a_partition(engine: Engine) -> None:
    process = engine.process()
    engine.queue(partition_limiter_limit=1, partition_limiter_period_seconds=60)
    for name in ("a", "w"):
        engine.enqueue(name, queue_name="q", partition_key="k")
    engine.claim(process)

    assert engine.explain()[0]["partition_limiter"]["partition_key"] == "k"


def test_others_are_before_it(engine: Engine) -> None:
    engine.process()
    engine.queue()
    for name, priority in (("a", 0), ("b", 5), ("w", 5), ("c", 9)):
        engine.enqueue(name, queue_name="q", priority=priority)

    assert engine.explain()[0]["behind"] == {"count": 2}


def test_it_is_delayed(engine: Engine) -> None:
    engine.queue()
    engine.enqueue("w", queue_name="q", delay_ms=90_000)

    facts, summary = engine.explain()

    assert "delayed" in facts
    assert re.search(r"It is delayed until .* UTC \((89|90) s\)", summary)


def test_its_delay_is_over(engine: Engine) -> None:
    engine.enqueue("w", delay_ms=90_000)
    engine.sql.execute("update pyengine.workflows set delayed_until = pyengine.now()")

    facts, summary = engine.explain()

    assert set(facts) >= {"delay_over"}
    assert "Its delay is over: the next process that claims work makes it claimable." in summary


def test_it_is_debounced(engine: Engine) -> None:
    request = {"workflow_id": "w", "name": "f", "serialization": "json", "inputs": {}}
    rows(
        engine.sql,
        "select pyengine.debounce_workflow(request => %s, debounce_key => 'k', period_ms => 90000)",
        json.dumps(request),
    )

    facts, summary = engine.explain()

    assert "debounced" in facts
    assert re.search(
        r"It is debounced: it is put off until .* UTC \((89|90) s\), and further", summary
    )


@pytest.mark.parametrize("timeout_ms", [60_000, None])
def test_its_deadline_has_passed(engine: Engine, timeout_ms: int | None) -> None:
    engine.enqueue("w", timeout_ms=timeout_ms)
    engine.claim(engine.process())
    engine.sql.execute("update pyengine.workflows set deadline_at = deadline_at - interval '70 s'")

    facts, summary = engine.explain()

    assert ("deadline" in facts) is (timeout_ms is not None)
    passed = re.search(r"Its deadline passed 1\d s ago: any live process cancels it", summary)
    assert (passed is not None) is (timeout_ms is not None)


def test_it_is_put_off_after_deaths(engine: Engine) -> None:
    engine.enqueue("w", max_attempts=10)
    for _ in range(3):
        process = engine.process()
        engine.claim(process)
        rows(engine.sql, "select pyengine.leave_executor(%s)", process)

    facts, summary = engine.explain()

    assert facts["backoff"]["attempt_count"] == 3
    assert "It has had 3 attempts that ended with the death of their process" in summary


def test_it_has_no_attempts_left_and_then_is_dead(engine: Engine) -> None:
    engine.enqueue("w", max_attempts=1)
    process = engine.process()
    engine.claim(process)
    rows(engine.sql, "select pyengine.leave_executor(%s)", process)

    assert engine.explain()[0]["no_attempts"] == {"attempt_count": 1, "max_attempts": 1}

    rows(
        engine.sql,
        "select pyengine.claim_workflows(executor_id => %s, lease_token => %s, claim_limit => 1)",
        engine.process(),
        uuid.uuid4(),
    )
    facts, summary = engine.explain()
    assert facts["dead_lettered"]["attempt_count"] == 1
    assert (
        "of 1 attempts, 1 ended with the death of their process, the last in executor one"
        in summary
    )


def test_it_runs_and_says_where(engine: Engine) -> None:
    engine.enqueue("w", timeout_ms=60_000)
    engine.claim(engine.process())

    facts, summary = engine.explain()

    assert set(facts) == {"owned", "no_step", "deadline"}
    assert facts["owned"]["executor_name"] == "one"
    assert re.search(
        r"executor one \(id \d+, host h, process 7\) since 0\.\d s, in attempt 1", summary
    )


def test_its_process_is_silent_and_then_gone(engine: Engine) -> None:
    engine.enqueue("w")
    process = engine.process()
    engine.claim(process)
    engine.sql.execute(
        "update pyengine.executors set session_lost_at = pyengine.now() where executor_id = %s",
        [process],
    )

    assert "owner_silent" in engine.explain()[0]

    engine.sql.execute(
        "update pyengine.executors set finished_at = pyengine.now(), finish_reason = 'session lost'"
        " where executor_id = %s",
        [process],
    )
    facts, summary = engine.explain()
    assert "owner_gone" in facts
    assert "(session lost)" in summary


def test_it_waits_in_memory(engine: Engine) -> None:
    engine.enqueue("w")
    token = engine.claim(engine.process())
    rows(engine.sql, "select pyengine.receive_message('w', %s, 1, 'mail', 60000)", token)

    facts, _ = engine.explain()
    assert facts["waiting"]["step_id"] == 2

    engine.enqueue("s")
    token = engine.claim(engine.process("two"))
    rows(engine.sql, "select pyengine.sleep_until('s', %s, 1, 60000)", token)
    facts, summary = engine.explain("s")
    assert facts["sleeping"]["step_id"] == 1
    assert "It sleeps until" in summary


@pytest.mark.parametrize(
    ("wait", "code", "sentence"),
    [
        (
            {"kind": "message", "id": "w", "name": "mail"},
            "hibernates_for_message",
            "a message with topic 'mail'",
        ),
        (
            {"kind": "event", "id": "other", "name": "k"},
            "hibernates_for_event",
            "workflow other sets the event 'k'",
        ),
        (
            {"kind": "result", "id": "other", "name": ""},
            "hibernates_for_result",
            "until workflow other ends.",
        ),
        (
            {"kind": "stream", "id": "other", "name": "log", "position": 0},
            "hibernates_for_stream",
            "workflow other writes to the stream 'log'.",
        ),
    ],
)
def test_it_hibernates_and_says_for_what(
    engine: Engine, wait: dict[str, str], code: str, sentence: str
) -> None:
    engine.enqueue("w")
    process = engine.process()
    token = engine.claim(process)
    engine.enqueue("other")
    hibernated = rows(
        engine.sql,
        "select pyengine.hibernate_workflow('w', %s, waits => %s)",
        token,
        json.dumps([wait]),
    )
    assert hibernated == [(True,)]

    facts, summary = engine.explain()

    assert code in facts
    assert sentence in summary
    assert "processes" in facts


def hibernate_until(engine: Engine, milliseconds: int, waits: str = "[]") -> None:
    """Let w sleep, or wait for at most so long."""
    engine.enqueue("w")
    token = engine.claim(engine.process())
    rows(engine.sql, "select pyengine.sleep_until('w', %s, 1, %s)", token, milliseconds)
    hibernated = rows(
        engine.sql,
        "select pyengine.hibernate_workflow('w', %s, timer_step_id => 1, waits => %s)",
        token,
        waits,
    )
    assert hibernated == [(True,)]


def test_it_hibernates_until_a_time(engine: Engine) -> None:
    hibernate_until(engine, 90_000)

    facts, summary = engine.explain()

    assert facts["hibernates_until"]["kind"] == "time"
    assert re.search(r"It hibernates until .* UTC \((89|90) s\), using no process", summary)
    assert "sleeping" not in facts


def test_it_hibernates_for_a_message_and_not_for_ever(engine: Engine) -> None:
    hibernate_until(engine, 90_000, '[{"kind": "message", "id": "w", "name": "mail"}]')

    facts, summary = engine.explain()

    assert facts["hibernates_for_message"]["due_at"] is not None
    assert re.search(r"topic 'mail' arrives, until .* UTC at the latest\.", summary)


@pytest.mark.parametrize(
    ("waits", "what"),
    [("[]", "a time"), ('[{"kind": "message", "id": "w", "name": "mail"}]', "the message")],
)
def test_its_hibernation_is_over(engine: Engine, waits: str, what: str) -> None:
    hibernate_until(engine, 90_000, waits)
    engine.sql.execute("update pyengine.hibernations set due_at = due_at - interval '100 s'")

    facts, summary = engine.explain()

    assert "due" in facts
    assert f"its wait (for {what}) is over since" in summary
    assert not {code for code in facts if code.startswith("hibernates")}


def test_a_parent_names_its_children(engine: Engine) -> None:
    engine.enqueue("w")
    token = engine.claim(engine.process())
    for number in range(7):
        engine.enqueue(
            f"child-{number}",
            parent_workflow_id="w",
            parent_lease_token=token,
            parent_step_id=number + 1,
            step_name="f",
        )

    facts, summary = engine.explain()

    assert len(facts["children"]["workflow_ids"]) == 5
    assert "Not ended are more than 5 of its children: child-0, " in summary
    assert facts["last_step"]["step_id"] == 7


@pytest.mark.parametrize(
    ("outcome", "code"), [({"output": 1}, "succeeded"), ({"error": {"name": "E"}}, "failed")]
)
def test_it_has_ended(engine: Engine, outcome: dict[str, Any], code: str) -> None:
    engine.enqueue("w")
    token = engine.claim(engine.process())
    request = {"workflow_id": "w", "lease_token": token, **outcome}
    rows(engine.sql, "select pyengine.finish_workflows(%s)", json.dumps([request]))

    assert set(engine.explain()[0]) == {code}


def test_it_was_cancelled(engine: Engine) -> None:
    engine.enqueue("w")
    rows(engine.sql, "select pyengine.cancel_workflows('{w}')")

    facts, summary = engine.explain()

    assert set(facts) == {"cancelled"}
    assert "resume lets it run again" in summary


def test_it_does_not_exist(engine: Engine) -> None:
    with pytest.raises(psycopg.Error) as refused:
        engine.explain("nobody")

    assert refused.value.sqlstate == "PE404"


def test_explaining_changes_nothing_and_is_allowed_in_a_read_only_transaction(
    engine: Engine,
) -> None:
    engine.queue(concurrency=1, limiter_limit=1, limiter_period_seconds=60)
    engine.enqueue("w", queue_name="q")
    rows(engine.sql, "select set_config('default_transaction_read_only', 'on', false)")
    try:
        assert engine.explain()[1]
    finally:
        engine.sql.execute("reset default_transaction_read_only")


explained = Queue("explained")


@DBOS.workflow()
def idle() -> None:
    """Does nothing."""


def test_python_explains_with_the_same_facts(dbos: type[DBOS]) -> None:
    DBOS.pause_queue("explained")
    with SetWorkflowID("w"), SetEnqueueOptions(priority=1):
        explained.enqueue(idle)

    explanation = DBOS.explain_workflow("w")

    assert explanation.status == "ENQUEUED"
    assert explanation.facts[0].code == "queue_paused"
    assert str(explanation) == explanation.summary
    assert asyncio.run(DBOS.explain_workflow_async("w")).workflow_id == "w"
    with pytest.raises(DBOSNonExistentWorkflowError):
        DBOS.explain_workflow("nobody")


def test_executors_are_listed_with_what_they_run(engine: Engine) -> None:
    engine.enqueue("w")
    process = engine.process("busy")
    engine.claim(process)
    idle_process = engine.process("idle")
    rows(engine.sql, "select pyengine.leave_executor(%s)", idle_process)
    query = "select name, state, running_count from pyengine.list_executors({})"

    assert rows(engine.sql, query.format("")) == [("busy", "live", 1)]
    assert rows(engine.sql, query.format("include_finished => true")) == [
        ("idle", "left", 0),
        ("busy", "live", 1),
    ]
