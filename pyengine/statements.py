"""Declared SQL steps: a function without a body, whose SQL statement runs with its checkpoint in one round trip."""

from __future__ import annotations

import asyncio
import dis
import functools
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, ParamSpec, TypeVar, cast

import psycopg
from psycopg import AsyncRawCursor, RawCursor, adapt
from psycopg.adapt import PyFormat
from psycopg.types.json import Json

from pyengine.attempts import Encoded
from pyengine.current import get_runtime
from pyengine.database.calls import DeclaredStatement
from pyengine.database.connections import AsyncStepConnection, StepConnection
from pyengine.database.rows import StatementResult
from pyengine.decorators import register_as_workflow, registered_workflow
from pyengine.effects import Flow
from pyengine.errors import DBOSException, DBOSInvalidArgumentError
from pyengine.execution import Runtime
from pyengine.flows.transactions import run_statement, run_transaction
from pyengine.registry import registry
from pyengine.runs import Recorded, WorkflowRun
from pyengine.runtime.transactions import Attempt
from pyengine.sqlsteps import Column, compile_sql_step, decode_rows, describe
from pyengine.transactions import require_transaction, run_for_transaction

P = ParamSpec("P")
R = TypeVar("R")

Shape = Literal["rows", "row", "value", "count", "nothing"]

_BODY_DOES_SOMETHING = ("LOAD_NAME", "LOAD_FAST", "LOAD_DEREF", "STORE_")
_RECORD = (
    "select {{result}}.rows::text, {{result}}.row_count from {{result}}, {schema}.record_step_in_transaction("
    "workflow_id => ${0}, lease_token => ${1}, step_id => ${2}, name => ${3}, serialization => 'json', "
    "output => {output}, "
    "elapsed_ms => extract(epoch from clock_timestamp() - statement_timestamp()) * 1000)"
)


class SqlStep:
    """One declared statement: its text, its parameters, and how its result becomes what the function returns."""

    def __init__(self, sql: str, function: Callable[..., Any], name: str) -> None:
        self.name = name
        self.signature = inspect.signature(function)
        self._sql = sql
        self._columns: Sequence[Column] | None = None
        self._texts: dict[str, str] = {}
        self.statement = compile_sql_step(sql, self.signature, name=name)
        self.shape, self._is_optional = self._shape_of(function)
        if _has_body(function):
            raise DBOSInvalidArgumentError(
                f"SQL step {name!r}: its function has a body, which would never run; write ... there (or raise "
                "NotImplementedError, which type checkers like better)"
            )
        if self.statement.returns_rows and not self.statement.single_round_trip:
            raise DBOSInvalidArgumentError(
                f"SQL step {name!r}: this statement's rows can't be stored together with it; run it in a function "
                "decorated with @DBOS.transaction()"
            )

    def check(self, connection: psycopg.Connection[Any], schema: str) -> None:
        """Let the server check the statement.

        Raises:
            DBOSInitializationError: It refuses it; names the step and the reason.
            DBOSInvalidArgumentError: It names a table of the engine.
        """
        compile_sql_step(self._sql, self.signature, name=self.name, engine_schema=schema)
        self._columns = describe(connection, self.statement)

    @property
    def is_checked(self) -> bool:
        """Whether the server has seen it."""
        return self._columns is not None

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[str | None]:
        """The values of $1, $2, … in PostgreSQL's text format."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return [_dump(bound.arguments[name]) for name in self.statement.parameters]

    def call(self, run: WorkflowRun, step_id: int, values: list[str | None]) -> DeclaredStatement:
        """The statement that does the step and records it."""
        lease = [run.workflow_id, run.lease_token, step_id, self.name]
        arguments = {str(n): value for n, value in enumerate([*values, *lease])}
        return DeclaredStatement(
            self.name, arguments, StatementResult, written=self._recording_text
        )

    def output(self, result: StatementResult) -> str:
        """What is recorded: the rows, or how many rows were touched."""
        if self.shape == "nothing":
            return "null"
        return str(result.row_count) if self.shape == "count" else result.rows

    def replay(self, run: WorkflowRun, recorded: Recorded) -> Any:
        """What the function returns for a recorded outcome.

        Raises:
            DBOSException: There is no row, and the function is not declared to return None then.
        """
        if recorded.error is not None or recorded.output is None:
            return run.replay(recorded)
        if self.shape in ("nothing", "count"):
            return json.loads(recorded.output)
        rows = decode_rows(recorded.output, self._columns or ())
        if self.shape == "rows":
            return rows
        if rows:
            return rows[0] if self.shape == "row" else next(iter(rows[0].values()))
        if self._is_optional:
            return None
        wanted = "dict" if self.shape == "row" else "a value"
        raise DBOSException(
            f"SQL step {self.name!r} gave no row: declare that it returns {wanted} | None if that may be"
        )

    def execute(self, values: list[str | None]) -> Encoded:
        """Run the statement in the running transaction, without its checkpoint."""
        cursor = RawCursor(cast("StepConnection", require_transaction(self.name).connection))
        cursor.execute(self._plain_text().encode(), values)
        return self._result(cursor.rowcount, cursor.fetchone() if cursor.description else None)

    async def execute_async(self, values: list[str | None]) -> Encoded:
        """As `execute`, for coroutines."""
        connection = cast("AsyncStepConnection", require_transaction(self.name).connection)
        cursor = AsyncRawCursor(connection)
        await cursor.execute(self._plain_text().encode(), values)
        row = await cursor.fetchone() if cursor.description else None
        return self._result(cursor.rowcount, row)

    def _result(self, row_count: int, row: Sequence[Any] | None) -> Encoded:
        result = StatementResult("[]", row_count) if row is None else StatementResult(*row)
        return Encoded(self.output(result))

    def _plain_text(self) -> str:
        if not self.statement.single_round_trip:
            return self.statement.text
        return self.statement.as_json_cte(
            "select {result}.rows::text, {result}.row_count from {result}"
        )

    def _recording_text(self, schema: str) -> str:
        text = self._texts.get(schema)
        if text is None:
            outputs = {"nothing": "'null'::json", "count": "to_json({{result}}.row_count)"}
            first = len(self.statement.parameters) + 1
            final = _RECORD.replace("{output}", outputs.get(self.shape, "{{result}}.rows"))
            quoted = '"' + schema.replace('"', '""') + '"'
            final = final.format(*range(first, first + 4), schema=quoted)
            text = self._texts[schema] = self.statement.as_json_cte(final)
        return text

    def _shape_of(self, function: Callable[..., Any]) -> tuple[Shape, bool]:
        try:
            declared = typing.get_type_hints(function)["return"]
        except KeyError:
            raise DBOSInvalidArgumentError(
                f"SQL step {self.name!r}: its function has no return annotation, which says what to make of the "
                "result: list[dict[str, Any]], dict[str, Any] | None, int, another type of a single value, or None"
            ) from None
        except NameError as error:
            raise DBOSInvalidArgumentError(
                f"SQL step {self.name!r}: its annotations can't be read ({error}); import what they name"
            ) from None
        if declared is type(None):
            return "nothing", True
        kinds = [each for each in _members(declared) if each is not type(None)]
        is_optional = len(kinds) < len(_members(declared))
        if not self.statement.returns_rows:
            if declared is not int:
                raise DBOSInvalidArgumentError(
                    f"SQL step {self.name!r}: it gives no rows, so its function returns int (how many rows it "
                    "touched) or None; add RETURNING for more"
                )
            return "count", False
        origins = {typing.get_origin(kind) or kind for kind in kinds}
        if origins == {list} and _of_dicts(kinds[0]):
            return "rows", is_optional
        return ("row" if origins == {dict} else "value"), is_optional


def _has_body(function: Callable[..., Any]) -> bool:
    instructions = dis.get_instructions(function)
    return any(
        each.opname.startswith(_BODY_DOES_SOMETHING)
        or (each.opname == "LOAD_GLOBAL" and each.argval != "NotImplementedError")
        for each in instructions
    )


def _members(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _of_dicts(annotation: Any) -> bool:
    items = typing.get_args(annotation)
    return not items or (typing.get_origin(items[0]) or items[0]) is dict


def _dump(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    if isinstance(value, dict):
        value = Json(value)
    data = adapt.Transformer().get_dumper(value, PyFormat.TEXT).dump(value)
    return None if data is None else bytes(data).decode()


def sql_step(sql: str, *, name: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """See `DBOS.sql_step`."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        step = SqlStep(sql, function, name or function.__qualname__)
        wrap = _wrap_async if inspect.iscoroutinefunction(function) else _wrap
        wrapper = functools.wraps(function)(wrap(step))
        register_as_workflow(wrapper, step.name)
        registry.launch_checks[step.name] = step
        return cast("Callable[P, R]", wrapper)

    return decorate


def _wrap(step: SqlStep) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        runtime = get_runtime(f"SQL step {step.name}")
        run = run_for_transaction(step.name)
        if run is None:
            workflow, _ = registered_workflow(call, step.name)
            return runtime.run(runtime.call(runtime.prepare(workflow, args, kwargs)))
        step_id = run.next_step_id()
        values = step.arguments(args, kwargs)
        _check_late(step, runtime)
        return runtime.run(_flow(step, runtime, run, step_id, values))

    return call


def _wrap_async(step: SqlStep) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        runtime = get_runtime(f"SQL step {step.name}")
        run = run_for_transaction(step.name)
        if run is None:
            workflow, _ = registered_workflow(call, step.name)
            return await runtime.run_async(runtime.call(runtime.prepare(workflow, args, kwargs)))
        step_id = run.next_step_id()
        values = step.arguments(args, kwargs)
        await asyncio.to_thread(_check_late, step, runtime) if not step.is_checked else None
        return await runtime.run_async(_flow(step, runtime, run, step_id, values, is_async=True))

    return call


def _flow(
    step: SqlStep,
    runtime: Runtime,
    run: WorkflowRun,
    step_id: int,
    values: list[str | None],
    *,
    is_async: bool = False,
) -> Flow[Any]:
    replay = functools.partial(step.replay, run)
    database = runtime.transactions
    if step.statement.single_round_trip and not database.checkpoints.is_separate:
        statement = step.call(run, step_id, values)
        return run_statement(run, step.name, step_id, statement, step.output, replay)
    execute = step.execute_async if is_async else step.execute
    attempt = Attempt(
        database, run, step.name, step_id, "read committed", lambda _: execute(values)
    )
    once = attempt.once_async if is_async else attempt.once
    return run_transaction(run, step.name, step_id, once, replay)


def _check_late(step: SqlStep, runtime: Runtime) -> None:
    """A step that was declared after the launch is checked before it runs for the first time."""
    if not step.is_checked:
        with runtime.transactions.threads.use() as connection:
            step.check(connection, runtime.engine.options.schema)
