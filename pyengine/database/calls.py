"""One Python function per SQL function: each builds a `Call` that knows its text and performs nothing.

`Write` is a call that the gateway may send together with others of its moment, in one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any, Generic, TypeVar, cast

from pyengine.database import rows

T = TypeVar("T")


def quote(text: str) -> str:
    """A text as a json string."""
    return encode_basestring_ascii(text)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A call of one SQL function: `row` is the dataclass of its rows, or None for a scalar."""

    function: str
    arguments: Mapping[str, object]
    row: type[T] | None = None
    repeated: Mapping[str, object] = field(default_factory=dict)  # arguments when it is sent again

    def text(self, schema: str) -> str:
        """The statement, with $n parameters in the order of `arguments`."""
        return _text(schema, self.function, tuple(self.arguments), cast("Hashable", self.row))

    def again(self) -> Call[T]:
        """The call as it is sent once more, after a reply was lost."""
        return replace(self, arguments={**self.arguments, **self.repeated})


@dataclass(frozen=True, slots=True)
class DeclaredStatement(Call[rows.StatementResult]):
    """A statement of the application; `written` gives its text for the engine's schema."""

    written: Callable[[str], str] = str

    def text(self, schema: str) -> str:
        """The statement, with $n parameters in the order of `arguments`."""
        return self.written(schema)


@dataclass(frozen=True, slots=True)
class View(Call[T]):
    """All rows of a view, whose name is in place of a function's."""

    def text(self, schema: str) -> str:
        """The statement; it has no parameters."""
        columns = ", ".join(field.name for field in fields(cast("Any", self.row)))
        return f"select {columns} from {quoted_schema(schema)}.{self.function}"


@dataclass(frozen=True, slots=True)
class Write:
    """One item of a batch function: `kind` is starts, steps, streams or finishes; `document` its json object."""

    kind: str
    document: str


BATCHES: Mapping[str, tuple[str, type[Any]]] = {
    "streams": ("append_streams", rows.AppendAnswer),
    "starts": ("start_workflows", rows.StartAnswer),
    "steps": ("record_steps", rows.StepAnswer),
    "finishes": ("finish_workflows", rows.FinishAnswer),
}


def quoted_schema(schema: str) -> str:
    """A schema's name in SQL."""
    if schema.isidentifier() and schema.islower():
        return schema
    return '"' + schema.replace('"', '""') + '"'


@lru_cache(maxsize=256)
def _text(schema: str, function: str, names: tuple[str, ...], row: Any) -> str:
    arguments = ", ".join(f"{name} => ${n}" for n, name in enumerate(names, 1))
    quoted = quoted_schema(schema)
    if row is None:
        return f"select {quoted}.{function}({arguments})"
    columns = ", ".join(f"r.{field.name}" for field in fields(row))
    return f"select {columns} from {quoted}.{function}({arguments}) r"


def json_object(**values: str | None) -> str:
    """A json object from json texts; absent values are left out."""
    return "{" + ",".join(f'"{k}":{v}' for k, v in values.items() if v is not None) + "}"


def json_string(value: str | None) -> str | None:
    """A text as json; an absent one stays absent."""
    return None if value is None else quote(value)


def json_number(value: float | None) -> str | None:
    """A number as json; an absent one stays absent."""
    return None if value is None else repr(value)


def start(
    *,
    workflow_id: str,
    name: str,
    inputs: str,
    serialization: str,
    application_name: str | None,
    application_version: str | None,
    version_is_pinned: bool,
    lease_token: str | None = None,
    class_name: str | None = None,
    config_name: str | None = None,
    max_attempts: int | None = None,
    parent: tuple[str, str, int] | None = None,
    step_name: str | None = None,
    reject_known_id: bool = False,
    start_token: str | None = None,
    authenticated_user: str | None = None,
    assumed_role: str | None = None,
    authenticated_roles: str | None = None,
    attributes: str | None = None,
    timeout_ms: float | None = None,
    queue_name: str | None = None,
    priority: int | None = None,
    partition_key: str | None = None,
    is_serial: bool = False,
    deduplication_id: str | None = None,
    delay_ms: float | None = None,
    throttle: tuple[str, float] | None = None,
) -> Write:
    """Start a workflow (with a lease) or enqueue it (without).

    `parent` is (workflow_id, lease_token, step_id) of the starting run, `throttle` a key and its period in seconds.
    """
    parent_id, parent_token, parent_step = parent or (None, None, None)
    return Write(
        "starts",
        json_object(
            workflow_id=quote(workflow_id),
            name=quote(name),
            class_name=json_string(class_name),
            config_name=json_string(config_name),
            application_name=json_string(application_name),
            application_version=json_string(application_version),
            version_is_pinned="true" if version_is_pinned else None,
            lease_token=json_string(lease_token),
            max_attempts=json_number(max_attempts),
            parent_workflow_id=json_string(parent_id),
            parent_lease_token=json_string(parent_token),
            parent_step_id=json_number(parent_step),
            step_name=json_string(step_name),
            reject_known_id="true" if reject_known_id else None,
            start_token=json_string(start_token),
            authenticated_user=json_string(authenticated_user),
            assumed_role=json_string(assumed_role),
            authenticated_roles=authenticated_roles,
            attributes=attributes,
            timeout_ms=json_number(timeout_ms),
            queue_name=json_string(queue_name),
            priority=json_number(priority),
            partition_key=json_string(partition_key),
            is_serial="true" if is_serial else None,
            deduplication_id=json_string(deduplication_id),
            delay_ms=json_number(delay_ms),
            throttle_key=None if throttle is None else quote(throttle[0]),
            throttle_ms=None if throttle is None else json_number(throttle[1] * 1000),
            serialization=quote(serialization),
            inputs=inputs,
        ),
    )


def differing_start(workflow_id: str, inputs: str) -> str:
    """The document of a start that has the rest in common with others of its call."""
    return f'{{"workflow_id":{quote(workflow_id)},"inputs":{inputs}}}'


def record_step(
    *,
    workflow_id: str,
    lease_token: str,
    step_id: int,
    name: str,
    serialization: str,
    output: str | None = None,
    error: str | None = None,
    child_workflow_id: str | None = None,
    elapsed_ms: float = 0.0,
) -> Write:
    """Record the outcome of a step under the lease of its run."""
    return Write(
        "steps",
        json_object(
            workflow_id=quote(workflow_id),
            lease_token=quote(lease_token),
            step_id=str(step_id),
            name=quote(name),
            child_workflow_id=json_string(child_workflow_id),
            elapsed_ms=f"{elapsed_ms:.3f}",
            serialization=quote(serialization),
            output=output,
            error=error,
        ),
    )


def record_step_in_transaction(
    *,
    workflow_id: str,
    lease_token: str,
    step_id: int,
    name: str,
    serialization: str,
    output: str,
    elapsed_ms: float,
) -> Call[None]:
    """Record a step's output inside the caller's transaction; raises where `record_step` answers."""
    return Call(
        "record_step_in_transaction",
        {
            "workflow_id": workflow_id,
            "lease_token": lease_token,
            "step_id": step_id,
            "name": name,
            "serialization": serialization,
            "output": output,
            "elapsed_ms": elapsed_ms,
        },
    )


def finish(
    *,
    workflow_id: str,
    lease_token: str,
    serialization: str,
    output: str | None = None,
    error: str | None = None,
) -> Write:
    """Record how a workflow ended: exactly one of output and error."""
    return Write(
        "finishes",
        json_object(
            workflow_id=quote(workflow_id),
            lease_token=quote(lease_token),
            serialization=quote(serialization),
            output=output,
            error=error,
        ),
    )


def check_lease(*, workflow_id: str, lease_token: str) -> Call[None]:
    """Raise unless the run may still write."""
    return Call("check_lease", {"workflow_id": workflow_id, "lease_token": lease_token})


def continue_workflow(
    *, workflow_id: str, lease_token: str, step_id: int, serialization: str, inputs: str
) -> Call[None]:
    """End a run and let its workflow begin again as new; the scalar result is the number of its generation."""
    return Call(
        "continue_workflow",
        {
            "workflow_id": workflow_id,
            "lease_token": lease_token,
            "step_id": step_id,
            "serialization": serialization,
            "inputs": inputs,
        },
    )


def release_workflows(*, leases: Sequence[tuple[str, str]]) -> Call[None]:
    """Give runs back unfinished: pairs of workflow id and lease token."""
    documents = ",".join(json_object(workflow_id=quote(w), lease_token=quote(t)) for w, t in leases)
    return Call("release_workflows", {"requests": f"[{documents}]"})


def await_workflows(*, workflow_ids: Sequence[str], channel: str | None) -> Call[rows.Outcome]:
    """Outcomes of those that have ended; the channel waits for the others."""
    arguments = {"workflow_ids": list(workflow_ids), "channel": channel}
    return Call("await_workflows", arguments, rows.Outcome)


def look_again(*, waits: str, channel: str) -> Call[None]:
    """Which waits of a json array came true: their numbers, from 1."""
    return Call("look_again", {"waits": waits, "channel": channel})


def forget_waits(*, wait_keys: Sequence[int], channel: str) -> Call[None]:
    """Take waits of a channel back."""
    return Call("forget_waits", {"wait_keys": list(wait_keys), "channel": channel})


def now() -> Call[None]:
    """The engine's time, as the scalar result."""
    return Call("now", {})


def engine_id() -> Call[None]:
    """By which other databases know this engine, as the scalar result."""
    return Call("engine_id", {})


def find_workflows(*, workflow_ids: Sequence[str]) -> Call[rows.WorkflowRow]:
    """Workflows by id; unknown ids are left out."""
    return Call("find_workflows", {"workflow_ids": list(workflow_ids)}, rows.WorkflowRow)


def find_origins(*, workflow_ids: Sequence[str]) -> Call[rows.WorkflowOrigin]:
    """As `find_workflows`, but only what tells a workflow from others that had its id before."""
    return Call("find_workflows", {"workflow_ids": list(workflow_ids)}, rows.WorkflowOrigin)


def find_attributes(*, workflow_ids: Sequence[str]) -> Call[rows.WorkflowAttributes]:
    """As `find_workflows`, but only what is attached to them."""
    return Call("find_workflows", {"workflow_ids": list(workflow_ids)}, rows.WorkflowAttributes)


def list_workflows(*, filters: Mapping[str, object]) -> Call[rows.WorkflowRow]:
    """Workflows that match all filters, which have the names of the SQL function's parameters."""
    return Call("list_workflows", dict(filters), rows.WorkflowRow)


def list_places(*, filters: Mapping[str, object]) -> Call[rows.WorkflowPlace]:
    """As `list_workflows`, but only the ids and the times by which they are ordered."""
    return Call("list_workflows", dict(filters), rows.WorkflowPlace)


def find_histories(*, workflow_ids: Sequence[str]) -> Call[rows.ClaimedWorkflow]:
    """Inputs and recorded steps of workflows, as a claim hands them out."""
    return Call("find_histories", {"workflow_ids": list(workflow_ids)}, rows.ClaimedWorkflow)


def list_steps(
    *,
    workflow_id: str,
    with_outcome: bool = True,
    row_limit: int | None = None,
    row_offset: int | None = None,
    with_error: bool | None = None,
) -> Call[rows.StepRow]:
    """The recorded steps of a workflow, in order; without outcome their outputs and errors are left out.

    With `with_error` the errors are there all the same.
    """
    return Call(
        "list_steps",
        {
            "workflow_id": workflow_id,
            "with_outcome": with_outcome,
            "row_limit": row_limit,
            "row_offset": row_offset,
            "with_error": with_error,
        },
        rows.StepRow,
    )


def register_executor(
    *,
    name: str,
    application_name: str,
    application_version: str,
    version_is_pinned: bool,
    functions: Sequence[str],
    channel: str,
    lease_seconds: float,
    session_pid: int | None,
    host: str,
    process_id: int,
    attempt_limits: str,
) -> Call[None]:
    """Register this process; the scalar result is its executor id.

    `attempt_limits` is a JSON object: by the key of a function, how often its workflows may run.
    """
    return Call(
        "register_executor",
        {
            "name": name,
            "application_name": application_name,
            "application_version": application_version,
            "version_is_pinned": version_is_pinned,
            "functions": list(functions),
            "channel": channel,
            "lease_seconds": lease_seconds,
            "session_pid": session_pid,
            "host": host,
            "process_id": process_id,
            "runs_sql_workflows": True,
            "attempt_limits": attempt_limits,
        },
    )


def run_sql_step(*, workflow_id: str, lease_token: str) -> Call[None]:
    """Run the next step of a workflow written in SQL; the scalar result is whether the workflow has ended."""
    return Call("run_sql_step", {"workflow_id": workflow_id, "lease_token": lease_token})


def set_executor_functions(
    *, executor_id: int, functions: Sequence[str], attempt_limits: str
) -> Call[None]:
    """Replace the list of functions that this executor can run, and how often."""
    return Call(
        "set_executor_functions",
        {
            "executor_id": executor_id,
            "functions": list(functions),
            "attempt_limits": attempt_limits,
        },
    )


def leave_executor(*, executor_id: int) -> Call[None]:
    """End this executor; its unfinished workflows are given back."""
    return Call("leave_executor", {"executor_id": executor_id})


def tick_executor(
    *,
    executor_id: int,
    session_pid: int | None,
    heartbeat_seconds: float,
    queue_names: Sequence[str] | None,
) -> Call[rows.TickResult]:
    """One maintenance tick."""
    return Call(
        "tick_executor",
        {
            "executor_id": executor_id,
            "session_pid": session_pid,
            "heartbeat_seconds": heartbeat_seconds,
            "queue_names": queue_names,
        },
        rows.TickResult,
    )


def set_max_payload_bytes(*, max_payload_bytes: int) -> Call[None]:
    """Set the largest payload that is accepted."""
    return Call("set_max_payload_bytes", {"max_payload_bytes": max_payload_bytes})
