"""Put a worker through the scenarios: processes that are started, frozen and killed, on a real engine.

A scenario is a JSON file of `{"title": ..., "needs": [...], "steps": [{verb: argument}, ...]}`; the verbs are the
methods of `Run` that follow its helpers. A worker is a command; what its program must do is described in
sql/PROTOCOL.md.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import sql

SCENARIOS = Path(__file__).parent / "scenarios"
PATIENCE_SECONDS = 30.0
LEASE_SECONDS = 2.0

_BUSY = """
    select pid, state from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
        and state <> 'idle'
"""


@dataclass(frozen=True)
class Worker:
    """How to start a worker, and which needs of scenarios it says that it does not meet."""

    command: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    unsupported: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Scenario:
    """One file of scenarios/."""

    title: str
    needs: frozenset[str]
    steps: Sequence[tuple[str, Any]]


def load(path: Path) -> Scenario:
    """Read a scenario.

    Raises:
        ValueError: It has a verb that there is not.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    steps = [next(iter(step.items())) for step in document["steps"]]
    for verb, _ in steps:
        if verb.startswith("_") or not callable(getattr(Run, verb, None)):
            raise ValueError(f"{path.name}: there is no verb {verb!r}")
    return Scenario(document["title"], frozenset(document.get("needs", ())), steps)


def perform(scenario: Scenario, worker: Worker, url: str, directory: Path) -> None:
    """Run a scenario on an engine that has no workflows.

    Raises:
        AssertionError: The worker does not do what the scenario expects; says where.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        run = Run(worker, url, directory, connection)
        try:
            for number, (verb, argument) in enumerate(scenario.steps, 1):
                try:
                    getattr(run, verb)(argument)
                except AssertionError as error:
                    raise AssertionError(f"step {number}, {verb}: {error}{run._said()}") from None
        finally:
            run._end()


class Run:
    """One run of a scenario. Workflow ids are written as in the scenario: the engine is empty at its beginning."""

    def __init__(
        self, worker: Worker, url: str, directory: Path, connection: psycopg.Connection[Any]
    ) -> None:
        self._worker = worker
        self._url = url
        self._directory = directory
        self._connection = connection
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def _rows(self, function: str, columns: str, **arguments: Any) -> list[tuple[Any, ...]]:
        values = {
            name: json.dumps(value) if isinstance(value, dict) else value
            for name, value in arguments.items()
        }
        named = sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name))
            for name in values
        )
        query = sql.SQL("select {columns} from pyengine.{function}({named}) r").format(
            columns=sql.SQL(cast("Any", columns)), function=sql.Identifier(function), named=named
        )
        return self._connection.execute(query, values).fetchall()

    def _until(self, look: Callable[[], Any], expected: Any, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := look()) != expected:
            assert time.monotonic() < deadline, f"{what} is {found!r}, expected {expected!r}"
            time.sleep(0.02)

    def _log_of(self, workflow_id: str) -> list[str]:
        path = self._directory / f"{workflow_id}.log"
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    def _hold_file(self, held: Mapping[str, str]) -> Path:
        return self._directory / f"{held['workflow_id']}.{held['step']}.hold"

    def _status_of(self, workflow_id: str) -> str | None:
        rows = self._rows("get_workflow_status", "r", workflow_id=workflow_id)
        return cast("str | None", rows[0][0])

    def _signal(self, name: str, number: signal.Signals) -> None:
        """To the whole group: a worker may be a shell that runs other programs."""
        os.killpg(self._processes[name].pid, number)

    def _said(self) -> str:
        said = [
            f"\n--- {name} said:\n{(self._directory / f'{name}.out').read_text(errors='replace')}"
            for name in self._processes
        ]
        return "".join(said)

    def _end(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is None:
                self._signal(name, signal.SIGKILL)
                process.wait(10)
        # What the killed were asking, the server still does: it must not reach into what comes next.
        self._until(lambda: self._connection.execute(_BUSY).fetchall(), [], "what the server does")

    # What a scenario does.

    def enqueue(self, request: Mapping[str, Any]) -> None:
        """Enqueue a workflow, with the arguments of enqueue_workflow or, without a queue, of start_workflow."""
        arguments = dict(request)
        positional = [json.dumps(value) for value in arguments.pop("positional_args", [])]
        function = "enqueue_workflow" if "queue_name" in arguments else "start_workflow"
        names = sql.SQL("").join(
            sql.SQL(", {} => {}").format(sql.Identifier(name), sql.Literal(value))
            for name, value in arguments.items()
        )
        query = sql.SQL("select pyengine.{}(positional_args => %s::json[]{})")
        self._connection.execute(query.format(sql.Identifier(function), names), [positional])

    def queue(self, limits: Mapping[str, Any]) -> None:
        """Register a queue, with the arguments of register_queue."""
        self._rows("register_queue", "r.queue_name", **limits)

    def worker(self, name: str) -> None:
        """Start a worker under a name, and wait until it says that it is ready."""
        output = self._directory / f"{name}.out"
        environment = {
            **os.environ,
            **self._worker.environment,
            "PYENGINE_DATABASE_URL": self._url,
            "PYENGINE_EXECUTOR": name,
            "PYENGINE_LEASE_SECONDS": str(LEASE_SECONDS),
            "PYENGINE_CONFORMANCE_DIR": str(self._directory),
        }
        with output.open("w") as out:
            self._processes[name] = subprocess.Popen(
                [str(part) for part in self._worker.command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

        def is_ready() -> bool:
            assert self._processes[name].poll() is None, f"worker {name} has ended"
            return "ready" in output.read_text(errors="replace").split()

        self._until(is_ready, True, f"whether worker {name} is ready")

    def kill(self, name: str) -> None:
        """Kill a worker, as a crash does."""
        self._signal(name, signal.SIGKILL)
        self._processes[name].wait(10)

    def stop(self, name: str) -> None:
        """Ask a worker to end (SIGTERM): it gives its work back and is gone, within five seconds."""
        self._processes[name].terminate()
        try:
            self._processes[name].wait(5)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"worker {name} has not ended 5 s after SIGTERM") from None

    def freeze(self, name: str) -> None:
        """Stop a worker in the middle of whatever it does, as a long pause of its machine does."""
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let a frozen worker go on."""
        self._signal(name, signal.SIGCONT)

    def hold(self, held: Mapping[str, str]) -> None:
        """From now on a step of a workflow does not return before it is released."""
        self._hold_file(held).touch()

    def release(self, held: Mapping[str, str]) -> None:
        """Let a held step return."""
        self._hold_file(held).unlink()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message, with the arguments of send_message."""
        arguments = {**message, "message": json.dumps(message["message"])}
        self._rows("send_message", "r", **arguments)

    def cancel(self, workflow_id: str) -> None:
        """Cancel a workflow."""
        self._rows("cancel_workflow", "r", workflow_id=workflow_id)

    def resume(self, workflow_id: str) -> None:
        """Resume a workflow."""
        self._rows("resume_workflow", "r", workflow_id=workflow_id)

    def continue_as_new(self, request: Mapping[str, Any]) -> None:
        """Claim the only waiting workflow, a call of `workflow_name`, and let it begin again as new after `step_id`."""
        inputs = {"positionalArgs": request["positional_args"], "namedArgs": {}}
        values = {
            "name": request["workflow_name"],
            "step_id": request["step_id"],
            "inputs": json.dumps(inputs),
            "token": str(uuid.uuid4()),
        }
        executor = self._connection.execute(
            "select pyengine.register_executor(name => 'continuing', application_name => 'conformance', "
            "application_version => '1', version_is_pinned => false, functions => array[%(name)s], "
            "channel => 'continuing', lease_seconds => 30)",
            values,
        ).fetchone()
        assert executor is not None
        values["executor_id"] = executor[0]
        continued = self._connection.execute(
            "select pyengine.continue_workflow(workflow_id => c.workflow_id, lease_token => %(token)s, "
            "step_id => %(step_id)s, serialization => 'portable_json', inputs => %(inputs)s) "
            "from pyengine.claim_workflows(executor_id => %(executor_id)s, lease_token => %(token)s, "
            "claim_limit => 1) c",
            values,
        ).fetchall()
        assert len(continued) == 1, f"{len(continued)} workflows were claimed"
        self._rows("leave_executor", "r", executor_id=executor[0])

    def pause(self, seconds: float) -> None:
        """Let time pass, in which something must not happen."""
        time.sleep(seconds)

    # What a scenario expects. Each waits until it is so.

    def expect(self, workflows: Mapping[str, Mapping[str, Any]]) -> None:
        """Workflows end like this: status, and output or error (only the keys that are given are compared)."""
        for workflow_id, wanted in workflows.items():
            self._until(lambda w=workflow_id: self._status_of(w), wanted["status"], workflow_id)  # type: ignore[misc]
            rows = self._rows(
                "find_workflows", "r.output, r.error, r.attempt_count", workflow_ids=[workflow_id]
            )
            output, error, attempts = rows[0]
            if "output" in wanted:
                assert output == wanted["output"], f"{workflow_id} returned {output!r}"
            for key, value in wanted.get("error", {}).items():
                assert error.get(key) == value, f"the error of {workflow_id} is {error!r}"
            assert attempts == wanted.get("attempts", attempts), (
                f"{workflow_id}: {attempts} attempts"
            )

    def expect_log(self, logs: Mapping[str, Sequence[str]]) -> None:
        """The steps of these workflows were executed so often, in this order."""
        for workflow_id, wanted in logs.items():
            self._until(lambda w=workflow_id: self._log_of(w), wanted, f"the log of {workflow_id}")  # type: ignore[misc]

    def expect_steps(self, workflows: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        """The recorded steps of workflows are these: number, name and output of each."""
        for workflow_id, wanted in workflows.items():
            self._until(
                lambda w=workflow_id: [  # type: ignore[misc]
                    list(row)
                    for row in self._rows(
                        "list_steps", "r.step_id, r.name, r.output", workflow_id=w
                    )
                ],
                [list(step) for step in wanted],
                f"the history of {workflow_id}",
            )

    def expect_event(self, event: Mapping[str, Any]) -> None:
        """An event has this value."""
        self._until(
            lambda: self._rows(
                "get_event", "r", workflow_id=event["workflow_id"], key=event["key"]
            )[0][0],
            event["value"],
            f"event {event['key']}",
        )

    def expect_stream(self, stream: Mapping[str, Any]) -> None:
        """A stream has these values; null stands for its end."""
        self._until(
            lambda: [
                None if is_end else value
                for value, is_end in self._rows(
                    "read_stream",
                    "r.value, r.is_end",
                    workflow_id=stream["workflow_id"],
                    key=stream["key"],
                )
            ],
            stream["values"],
            f"stream {stream['key']}",
        )

    def expect_children(self, children: Mapping[str, int]) -> None:
        """Workflows have started so many others."""
        for workflow_id, count in children.items():
            self._until(
                lambda w=workflow_id: len(  # type: ignore[misc]
                    self._rows("list_workflows", "r.workflow_id", parent_workflow_ids=[w])
                ),
                count,
                f"the number of children of {workflow_id}",
            )

    def expect_duration(self, durations: Mapping[str, Sequence[float]]) -> None:
        """From its start to its end a workflow took at least and at most so many milliseconds."""
        for workflow_id, (least, most) in durations.items():
            rows = self._rows(
                "find_workflows",
                "extract(epoch from r.finished_at - r.created_at)::float8 * 1000",
                workflow_ids=[workflow_id],
            )
            took = rows[0][0]
            assert least <= took <= most, f"{workflow_id} took {took:.0f} ms"
