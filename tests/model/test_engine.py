"""Whatever is called in whatever order, the engine answers and stores what the model does, and breaks no invariant."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg.types.json import set_json_loads

from pyengine import schema
from pyengine.testing import Clock
from tests.model.engine import LEASE_SECONDS, Engine, RefusalError

Session = psycopg.Connection[Any]
# One step of the clock. No duration of the tests is near a multiple of it: how long a test takes decides nothing.
TICK_SECONDS = 200
DURATIONS = st.sampled_from([300.0, 700.0])

IDS = st.sampled_from(
    ["a", "b", "B", "\u00e9", "e\u0301", " x", "%s", "'; --", "\U0001f600", "$$\\", "\x01\n", "x" * 512]
)  # fmt: skip
BAD_IDS = st.sampled_from(["", "  ", "x" * 513, "\u00fc" * 257])
KEYS = st.sampled_from(["", "k", "\u00e9", "'", "x" * 512])
STEPS = st.integers(1, 6)
# PostgreSQL takes apart no document with these in it; where a value is an argument of its own they are stored.
UNREADABLE = st.sampled_from(["\x00", "a\x00b", "\ud800", "\udc00x"])
PLAIN = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=5)


def values(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Json texts of anything."""
    scalars = (
        st.none()
        | st.booleans()
        | st.sampled_from([0, -1, 2**63, 10**40, -0.0, 1e308])
        | texts
    )  # fmt: skip
    nested = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=5,
    )
    return nested.map(json.dumps)


VALUES = values(PLAIN)
ANY_VALUES = values(PLAIN | UNREADABLE)


def value_of(text: str | bytes | None) -> str | None:
    """One form of a json text: PostgreSQL writes some otherwise than they came, and null in a document is no value."""
    value = None if text is None else json.loads(text)
    return None if value is None else json.dumps(value)


class EngineMachine(RuleBasedStateMachine):
    """Calls the functions and the model side by side."""

    sql: Session
    clock: Clock

    @initialize()
    def begin(self) -> None:
        schema.reset(self.sql, truncate=True)
        self.model = Engine()
        self.tokens = [str(uuid.uuid4())]
        self.sql.execute("select from pyengine.register_queue('q', concurrency => 2)")
        self.alive = [self._register(), self._register()]

    def _register(self) -> int:
        query = (
            "select pyengine.register_executor(name => %s, application_name => 'app', application_version => '1', "
            "version_is_pinned => false, functions => '{f}', channel => %s, lease_seconds => %s)"
        )
        name = str(uuid.uuid4())
        executor = int(self.ask(query, name, name, LEASE_SECONDS)[0][0])
        self.model.register(executor)
        return executor

    def ask(self, query: str, *arguments: object) -> list[Any]:
        """The rows of a call."""
        return self.sql.execute(query, arguments).fetchall()  # type: ignore[arg-type, unused-ignore]

    def compare(self, expected: Callable[[], Any], query: str, *arguments: object) -> Any:
        """Call a function and the model: both answer the same or refuse with the same code."""
        try:
            answer: Any = self.ask(query, *arguments)
        except psycopg.Error as error:
            answer = error.sqlstate
        try:
            told = expected()
        except RefusalError as refused:
            told = refused.code
        assert answer == told
        return answer

    def token(self, number: int) -> str:
        """A lease: that of the newest claims and starts, or an older one."""
        return self.tokens[-min(number, len(self.tokens))]

    def fresh(self) -> str:
        self.tokens.append(str(uuid.uuid4()))
        return self.tokens[-1]

    # Starting and claiming.

    def _start(
        self,
        expected: Callable[[], Any],
        document: dict[str, Any],
        inputs: str,
        executor: int | None,
    ) -> None:
        text = f'{json.dumps({"name": "f", "serialization": "json", **document})[:-1]}, "inputs": {inputs}}}'
        query = "select refusal, status from pyengine.start_workflows(%s, executor_id => %s)"
        self.compare(
            lambda: [a for a in [expected()] if a is not None], query, f"[{text}]", executor
        )

    @rule(workflow_id=IDS, inputs=VALUES, which=st.integers(0, 1), timeout=st.none() | DURATIONS)
    def start(self, workflow_id: str, inputs: str, which: int, timeout: float | None) -> None:
        executor, token = self.alive[which], self.fresh()
        document: dict[str, Any] = {"workflow_id": workflow_id, "lease_token": token}
        if timeout is not None:
            document["timeout_ms"] = timeout * 1000
        self._start(
            lambda: self.model.start(workflow_id, value_of(inputs), token, executor, timeout),
            document,
            inputs,
            executor,
        )

    @rule(
        workflow_id=IDS, inputs=VALUES, queue=st.sampled_from([None, "q", "unregistered"]), key=st.none() | KEYS,
        delay=st.none() | DURATIONS, priority=st.integers(0, 2), attempts=st.none() | st.integers(1, 2),
    )  # fmt: skip
    def enqueue(
        self, workflow_id: str, inputs: str, queue: str | None, key: str | None, delay: float | None,
        priority: int, attempts: int | None,
    ) -> None:  # fmt: skip
        key = key if queue else None
        document = {
            "workflow_id": workflow_id, "queue_name": queue, "priority": priority, "deduplication_id": key,
            "max_attempts": attempts, "delay_ms": None if delay is None else delay * 1000,
        }  # fmt: skip
        self._start(
            lambda: self.model.enqueue(workflow_id, value_of(inputs), delay, key,
                queue=queue, priority=priority, max_attempts=attempts,
            ),
            document, inputs, None,
        )  # fmt: skip

    @rule(which=st.integers(0, 1))
    def claim(self, which: int) -> None:
        executor, token = self.alive[which], self.fresh()
        query = 'select workflow_id from pyengine.claim_workflows(%s, %s, 1000) order by workflow_id collate "C"'
        self.compare(
            lambda: [(i,) for i in sorted(self.model.claim(executor, token), key=str.encode)], query, executor, token
        )  # fmt: skip

    @rule(which=st.integers(0, 5))
    def claim_by_the_dead(self, which: int) -> None:
        dead = [e for e, executor in self.model.executors.items() if executor.is_dead]
        if dead:
            executor = dead[which % len(dead)]
            query = "select workflow_id from pyengine.claim_workflows(%s, %s, 1000)"
            self.compare(lambda: self.model.claim(executor, ""), query, executor, uuid.uuid4())

    # Runs.

    @rule(
        workflow_id=IDS, number=st.integers(1, 4), step=STEPS, output=VALUES, is_batch=st.booleans()
    )
    def record(self, workflow_id: str, number: int, step: int, output: str, is_batch: bool) -> None:
        fields = {
            "workflow_id": workflow_id,
            "lease_token": self.token(number),
            "step_id": step,
            "name": "s",
        }
        text = f'{json.dumps({**fields, "serialization": "json"})[:-1]}, "output": {output}}}'

        def expected() -> list[Any]:
            try:
                is_known = self.model._held(workflow_id, self.token(number)).steps.get(step)
                found = self.model.record(workflow_id, self.token(number), step, value_of(output))
            except RefusalError as refused:
                return [(refused.code, None)]
            return [(None, found)] if is_known else []

        query = "select refusal, output from pyengine.record_steps(%s)"
        self.compare(expected, query, f"[{text}]" if is_batch else text)

    @rule(
        workflow_id=IDS,
        number=st.integers(1, 4),
        output=VALUES,
        fails=st.booleans(),
        is_batch=st.booleans(),
    )
    def finish(
        self, workflow_id: str, number: int, output: str, fails: bool, is_batch: bool
    ) -> None:
        fields = {
            "workflow_id": workflow_id,
            "lease_token": self.token(number),
            "serialization": "json",
        }
        error = '{"name": "Bad"}'
        tail = f'"error": {error}' if fails else f'"output": {output}'
        text = f"{json.dumps(fields)[:-1]}, {tail}}}"

        def expected() -> list[Any]:
            try:
                result = (None, value_of(error)) if fails else (value_of(output), None)
                self.model.finish(workflow_id, self.token(number), *result)
            except RefusalError as refused:
                return [(refused.code,)]
            return []

        query = "select refusal from pyengine.finish_workflows(%s)"
        self.compare(expected, query, f"[{text}]" if is_batch else text)

    @rule(workflow_id=IDS, number=st.integers(1, 4), step=STEPS, seconds=DURATIONS | st.just(0.0))
    def sleep(self, workflow_id: str, number: int, step: int, seconds: float) -> None:
        self.compare(
            lambda: [(self.model.sleep(workflow_id, self.token(number), step, seconds),)],
            "select pyengine.sleep_until(%s, %s, %s, %s) = 0",
            workflow_id, self.token(number), step, seconds * 1000,
        )  # fmt: skip

    @rule(
        workflow_id=IDS,
        number=st.integers(1, 4),
        step=STEPS,
        topic=KEYS,
        seconds=DURATIONS | st.just(0.0),
    )
    def receive(self, workflow_id: str, number: int, step: int, topic: str, seconds: float) -> None:
        self.compare(
            lambda: [self.model.receive(workflow_id, self.token(number), step, topic, seconds)],
            "select is_done, output from pyengine.receive_message(%s, %s, %s, %s, %s)",
            workflow_id, self.token(number), step, topic, seconds * 1000,
        )  # fmt: skip

    @rule(workflow_id=IDS, number=st.integers(1, 4), step=STEPS, key=KEYS, value=ANY_VALUES)
    def set_event(self, workflow_id: str, number: int, step: int, key: str, value: str) -> None:
        def expected() -> list[Any]:
            self.model.set_event(workflow_id, self.token(number), step, key, value_of(value))
            return [("",)]

        self.compare(
            expected,
            "select pyengine.set_event(%s, %s, %s, %s, 'json', %s, 'DBOS.setEvent')::text",
            workflow_id, self.token(number), step, key, value,
        )  # fmt: skip

    # Everybody.

    @rule(workflow_id=IDS, topic=KEYS, message=VALUES, key=KEYS)
    def send(self, workflow_id: str, topic: str, message: str, key: str) -> None:
        fields = {
            "destination_id": workflow_id,
            "topic": topic,
            "serialization": "json",
            "idempotency_key": key or None,
        }

        def expected() -> list[Any]:
            self.model.send(workflow_id, topic, value_of(message), key)
            return []

        text = f'[{json.dumps(fields)[:-1]}, "message": {message}}}]'
        self.compare(expected, "select refusal from pyengine.send_messages(%s)", text)

    @rule(workflow_id=IDS)
    def cancel(self, workflow_id: str) -> None:
        query = "select pyengine.cancel_workflows(array[%s])"
        self.compare(lambda: [(i,) for i in self.model.cancel(workflow_id)], query, workflow_id)

    @rule(workflow_id=IDS, queue=st.sampled_from([None, "q"]))
    def resume(self, workflow_id: str, queue: str | None) -> None:
        query = "select pyengine.resume_workflows(array[%s], queue_name => %s)"
        expected = self.model.resume
        self.compare(
            lambda: [(i,) for i in expected(workflow_id, queue)], query, workflow_id, queue
        )

    @rule(workflow_id=IDS, new_id=IDS, step=STEPS)
    def fork(self, workflow_id: str, new_id: str, step: int) -> None:
        query = "select pyengine.fork_workflow(%s, start_step => %s, new_workflow_id => %s)"
        self.compare(
            lambda: [(self.model.fork(workflow_id, new_id, step),)],
            query,
            workflow_id,
            step,
            new_id,
        )

    @rule(workflow_id=IDS, step=STEPS)
    def rewind(self, workflow_id: str, step: int) -> None:
        def expected() -> list[Any]:
            self.model.rewind(workflow_id, step)
            return [("",)]

        query = "select pyengine.rewind_workflow(%s, start_step => %s)::text"
        self.compare(expected, query, workflow_id, step)

    @rule(workflow_id=IDS)
    def delete(self, workflow_id: str) -> None:
        query = "select pyengine.delete_workflows(array[%s])"
        self.compare(lambda: [(i,) for i in self.model.delete(workflow_id)], query, workflow_id)

    @rule(workflow_id=IDS, delay=DURATIONS)
    def set_delay(self, workflow_id: str, delay: float) -> None:
        self.model.set_delay(workflow_id, delay)
        self.ask(
            "select pyengine.set_workflow_delay(%s, delay_ms => %s)", workflow_id, delay * 1000
        )

    @rule(limit=st.none() | st.integers(1, 3))
    def change_limit(self, limit: int | None) -> None:
        self.model.concurrency = limit
        self.ask("select from pyengine.change_queue('q', %s)", json.dumps({"concurrency": limit}))

    # Time and death.

    @rule(silent=st.sampled_from([None, None, 0, 1]))
    def time_passes(self, silent: int | None) -> None:
        """Every process is heard of but one, and what is due by then is seen to."""
        self.clock.advance(TICK_SECONDS)
        self.model.now += TICK_SECONDS
        for number, executor in enumerate(self.alive):
            if number != silent:
                self._tick(executor)
        self.model.cancel_overdue()
        self.ask("select from pyengine.run_chores()")

    @rule(which=st.integers(0, 1))
    def die(self, which: int) -> None:
        """A process is silent until its lease is over; another takes its place."""
        for _ in range(3):
            self.time_passes(which)
        assert self.model.executors[self.alive[which]].is_dead
        assert not self._tick(self.alive[which])
        self.alive[which] = self._register()
        self.time_passes(None)  # a pause between attempts is over

    def _tick(self, executor: int) -> bool:
        query = "select is_alive from pyengine.tick_executor(%s, heartbeat_seconds => 0)"
        answer = self.compare(lambda: [(self.model.tick(executor),)], query, executor)
        return bool(answer[0][0])

    # What is refused.

    @rule(text=UNREADABLE, workflow_id=BAD_IDS)
    def send_nonsense(self, text: str, workflow_id: str) -> None:
        """Bad ids are refused with an answer, texts that PostgreSQL can't hold by an error; neither stores anything."""
        document = {"workflow_id": workflow_id, "name": "f", "serialization": "json", "inputs": 1}
        query = "select refusal from pyengine.start_workflows(%s)"
        assert self.ask(query, json.dumps([document])) == [("PE400",)]
        for field in ("workflow_id", "inputs", "queue_name"):
            broken = json.dumps([{**document, "workflow_id": "a", field: text}])
            with pytest.raises(psycopg.DataError):
                self.ask(query, broken)

    # What is compared after each call.

    @precondition(lambda self: hasattr(self, "model"))
    @invariant()
    def what_is_stored_is_what_the_model_holds(self) -> None:
        found = self.ask(
            """select workflow_id, status, inputs, output, error, queue_name, priority,
            deduplication_id, attempt_count, lease_token::text, forked_from,
            case when status = 'PENDING' then executor_id end, deadline_at is not null from pyengine.workflows"""
        )
        held = self.model.workflows.values()
        assert {row[0]: row for row in found} == {
            w.workflow_id: (
                w.workflow_id, w.status, w.inputs, w.output, w.error, w.queue, w.priority, w.key,
                w.attempts, w.token, w.forked_from, w.executor if w.status == "PENDING" else None,
                w.deadline is not None,
            )
            for w in held
        }  # fmt: skip
        steps = self.ask(
            "select workflow_id, step_id, name, case when name <> 'DBOS.sleep' then output end, attempt "
            "from pyengine.steps"
        )
        assert set(steps) == {
            (w.workflow_id, n, s.name, s.output, s.attempt)
            for w in held
            for n, s in w.steps.items()
        }
        events = self.ask("select workflow_id, key, step_id, value from pyengine.events")
        assert set(events) == {(w.workflow_id, k, *e) for w in held for k, e in w.events.items()}
        mail = self.ask(
            "select destination_id, topic, array_agg(message order by message_id) from pyengine.messages "
            "group by 1, 2"
        )
        assert {(row[0], row[1]): row[2] for row in mail} == {
            (w.workflow_id, topic): [message for _, message in waiting]
            for w in held
            for topic, waiting in w.mail.items()
            if waiting
        }

    @precondition(lambda self: hasattr(self, "model"))
    @invariant()
    def no_invariant_is_broken(self) -> None:
        assert self.ask("select * from pyengine.verify(deep => true)") == []


@pytest.fixture
def machine(engine_url: str, sql: Session) -> Iterator[type[EngineMachine]]:
    with Clock(engine_url, allow=True) as clock:
        set_json_loads(value_of, sql)
        yield type("Machine", (EngineMachine,), {"sql": sql, "clock": clock})


def run(machine: type[EngineMachine], examples: int, steps: int, *phases: Phase) -> None:
    profile = settings(
        phases=[Phase.generate, *phases],
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=profile)  # type: ignore[no-untyped-call, unused-ignore]


def test_the_engine_does_what_the_model_does(machine: type[EngineMachine]) -> None:
    run(machine, 12, 40)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_the_engine_does_what_the_model_does_for_long(
    machine: type[EngineMachine], part: int
) -> None:
    """In parts, because no test may take longer than a few minutes."""
    run(machine, int(os.environ.get("PYENGINE_MODEL_EXAMPLES", "40")), 80, Phase.shrink)
