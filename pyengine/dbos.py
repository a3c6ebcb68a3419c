"""`DBOS`: everything that an application calls, as class methods of one process-wide object."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from pyengine import decorators, lifecycle, telemetry
from pyengine.alerts import Alerts
from pyengine.authentication import Authentication
from pyengine.bulk import Bulk
from pyengine.config import DBOSConfig
from pyengine.context import current_options, current_run, current_scope
from pyengine.continuing import Continuing
from pyengine.current import find_runtime, get_runtime, refuse_running_loop
from pyengine.decorators import StepOptions, check_spec, registered_workflow, step_async, step_sync
from pyengine.errors import DBOSException
from pyengine.flows.steps import StepStatus, record_output
from pyengine.handles import Handle, HandleAsync, WorkflowHandle, WorkflowHandleAsync
from pyengine.identity import require_identity, roles_of
from pyengine.insight import Insight
from pyengine.kafka import Kafka
from pyengine.listing import Listing
from pyengine.management import Management
from pyengine.messaging import Messaging
from pyengine.patching import Patching
from pyengine.publishing import Publishing
from pyengine.queueing import Queueing
from pyengine.reservations import StepReservation, as_coroutine, run_plainly, spec_of
from pyengine.scheduling import Scheduling
from pyengine.schema import EngineRole
from pyengine.statements import sql_step
from pyengine.steering import Steering
from pyengine.transactions import require_transaction, transaction
from pyengine.upkeep import Keeping
from pyengine.versions import Versions

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

P = ParamSpec("P")
R = TypeVar("R")


class _Properties(type):
    """The class properties of `DBOS`."""

    @property
    def logger(cls) -> logging.Logger:
        """The logger `pyengine`; its records carry the workflow's id."""
        return logging.getLogger("pyengine")

    @property
    def tracer(cls) -> Tracer:
        """OpenTelemetry's tracer, for spans of your own; without OpenTelemetry one whose spans go nowhere."""
        return telemetry.tracer()

    @property
    def span(cls) -> Span | None:
        """The OpenTelemetry span of the calling code; None without `enable_otlp`, and where there is none.

        Raises:
            AssertionError: Outside of workflows and of `DBOSContextEnsure` and `DBOSContextSetAuth` blocks.
        """
        require_identity("DBOS.span")
        runtime = find_runtime()
        return None if runtime is None or runtime.telemetry is None else telemetry.current_span()

    @property
    def workflow_id(cls) -> str | None:
        """Id of the workflow that the calling code belongs to; None outside."""
        scope = current_scope()
        return None if scope is None else scope.run.workflow_id

    @property
    def step_id(cls) -> int | None:
        """Number of the step that is running; None outside steps."""
        status = cls.step_status
        return None if status is None else status.step_id

    @property
    def step_status(cls) -> StepStatus | None:
        """Number and attempt of the step that is running; None outside steps."""
        scope = current_scope()
        return None if scope is None else scope.step

    @property
    def sql_session(cls) -> Any:
        """The SQLAlchemy session of the running transaction; an AsyncSession in an `async def` transaction.

        Raises:
            AssertionError: No transaction is running.
            DBOSException: SQLAlchemy is not installed.
        """
        return require_transaction("DBOS.sql_session").session

    @property
    def sql_connection(cls) -> Any:
        """The psycopg connection of the running transaction; an AsyncConnection in an `async def` transaction.

        Raises:
            AssertionError: No transaction is running.
        """
        return require_transaction("DBOS.sql_connection").connection

    @property
    def authenticated_user(cls) -> str | None:
        """On whose behalf the calling code runs.

        Raises:
            AssertionError: Outside of workflows and of `DBOSContextEnsure` and `DBOSContextSetAuth` blocks.
        """
        return require_identity("DBOS.authenticated_user").user

    @property
    def authenticated_roles(cls) -> list[str] | None:
        """The roles of that user.

        Raises:
            AssertionError: As for `authenticated_user`.
        """
        return roles_of(require_identity("DBOS.authenticated_roles"))

    @property
    def assumed_role(cls) -> str | None:
        """The role in which the calling code runs, if it requires one.

        Raises:
            AssertionError: As for `authenticated_user`.
        """
        return require_identity("DBOS.assumed_role").assumed_role

    @property
    def shard_key(cls) -> str | None:
        """The shard key of the surrounding `SetShardKey` block."""
        return current_options().shard_key

    @property
    def application_version(cls) -> str:
        """The version of the application: configured, or a hash of its workflows' sources."""
        return get_runtime("DBOS.application_version").application.version or ""

    @property
    def executor_id(cls) -> str:
        """The executor's name: configured, or "local"."""
        return get_runtime("DBOS.executor_id").engine.options.executor_name


class DBOS(
    Alerts,
    Authentication,
    Bulk,
    Continuing,
    Insight,
    Kafka,
    Keeping,
    Listing,
    Management,
    Messaging,
    Patching,
    Publishing,
    Queueing,
    Scheduling,
    Steering,
    Versions,
    metaclass=_Properties,
):
    """The engine of this process.

    Args:
        config: See `DBOSConfig`; only `name` is required. Opens no connection.
        conductor_url: Accepted for compatibility; has no effect.
        conductor_key: Accepted for compatibility; has no effect.

    A second construction returns the same object and ignores its arguments.

    Raises:
        DBOSInitializationError: The configuration is wrong.
    """

    _instance: DBOS | None = None

    def __new__(
        cls,
        *,
        config: DBOSConfig | None = None,
        conductor_url: str | None = None,
        conductor_key: str | None = None,
    ) -> DBOS:
        """Make the one object, or return it."""
        del conductor_url, conductor_key
        if cls._instance is None:
            lifecycle.configure(config)
            cls._instance = super().__new__(cls)
        else:
            lifecycle.configure_again(config)
        return cls._instance

    def __init__(
        self,
        *,
        config: DBOSConfig | None = None,
        conductor_url: str | None = None,
        conductor_key: str | None = None,
    ) -> None:
        """See the class."""

    # Lifecycle

    @classmethod
    def launch(cls) -> None:
        """Prepare the database, register this process, recover and run workflows. A second call only warns.

        Raises:
            DBOSException: No DBOS was constructed.
            DBOSInitializationError: The database can't be used; says what to do.
        """
        lifecycle.launch()

    @classmethod
    def destroy(
        cls, *, destroy_registry: bool = False, workflow_completion_timeout_sec: float = 0
    ) -> None:
        """Stop: claim no more, wait for running workflows, give the others back, close everything. Idempotent.

        Args:
            destroy_registry: Also forget the decorated functions.
            workflow_completion_timeout_sec: How long to wait for running workflows, in seconds.
        """
        lifecycle.destroy(workflow_completion_timeout_sec, destroy_registry=destroy_registry)
        cls._instance = None

    @classmethod
    def reset_system_database(
        cls,
        *,
        system_database_url: str | None = None,
        schema: str | None = None,
        truncate: bool = False,
    ) -> None:
        """Delete all workflows, before launch.

        Args:
            system_database_url: Another database than the configured one.
            schema: Another schema than the configured one.
            truncate: Empty the tables instead of dropping the schema, which is much faster.

        Raises:
            AssertionError: DBOS is launched.
        """
        lifecycle.reset(system_database_url, schema, truncate=truncate)

    @staticmethod
    def migrate(
        system_database_url: str,
        *,
        schema: str = "pyengine",
        application_role: str | None = None,
        engine_role: EngineRole = "worker",
        create_roles: bool = False,
        sharding: bool = False,
    ) -> None:
        """Create or upgrade the engine's schema with a privileged login.

        Args:
            system_database_url: The database.
            schema: The engine's schema.
            application_role: A role that is given the use of the engine in this schema.
            engine_role: What it may do there; a worker does whatever an application does.
            create_roles: Create the schema's group roles, to be granted to logins.
            sharding: Accepted for compatibility; has no effect.

        Raises:
            DBOSInitializationError: The schema can't be upgraded; says why.
        """
        del sharding
        lifecycle.migrate(
            system_database_url, schema, application_role, engine_role, create_roles=create_roles
        )

    # Decorators

    @classmethod
    def workflow(
        cls,
        *,
        name: str | None = None,
        max_recovery_attempts: int | None = 100,
        serialization_type: Any = None,
        validate_args: Any = None,
        auto_upgrade: bool | None = None,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Make a function a workflow: it survives any crash and carries on from its last completed step.

        Args:
            name: The recorded name; the qualified name by default.
            max_recovery_attempts: Recoveries before it is a dead letter; None is no limit.
            serialization_type: A WorkflowSerializationFormat for inputs and output.
            validate_args: `pydantic_args_validator`, or a function (args, kwargs) -> (args, kwargs), applied
                when a recovered or queued run begins.
            auto_upgrade: Accepted for compatibility; has no effect.
        """
        del auto_upgrade
        return decorators.workflow(
            name=name,
            max_recovery_attempts=max_recovery_attempts,
            serialization_type=serialization_type,
            validate_args=validate_args,
        )

    @classmethod
    def step(
        cls,
        *,
        name: str | None = None,
        retries_allowed: bool = False,
        interval_seconds: float = 1.0,
        max_attempts: int = 3,
        backoff_rate: float = 2.0,
        should_retry: Callable[[BaseException], Any] | None = None,
        preemptible: bool = False,
        timeout_seconds: float | None = None,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Make a function a step: its result is recorded, and it never runs again once it is.

        Args:
            name: The recorded name; the qualified name by default.
            retries_allowed: Try again when it raises.
            interval_seconds: Pause before the first retry.
            max_attempts: Attempts in all.
            backoff_rate: Factor between pauses; a pause is at most an hour.
            should_retry: Decides for an exception whether to try again.
            preemptible: Stop it when its workflow is cancelled (async only).
            timeout_seconds: Stop an attempt after this time (async only).

        Raises:
            DBOSException: An option can't work.
        """
        return decorators.step(
            name=name,
            retries_allowed=retries_allowed,
            interval_seconds=interval_seconds,
            max_attempts=max_attempts,
            backoff_rate=backoff_rate,
            should_retry=should_retry,
            preemptible=preemptible,
            timeout_seconds=timeout_seconds,
        )

    @classmethod
    def transaction(
        cls, isolation_level: str = "SERIALIZABLE", *, name: str | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Make a function a transactional step: its writes and its checkpoint are stored together, exactly once.

        The function uses `DBOS.sql_session` (SQLAlchemy) or `DBOS.sql_connection` (psycopg). It is run again
        after a serialization failure, a deadlock or a lost connection; when it raises, everything is rolled back.
        Outside a workflow it is run as a workflow of its own.

        Args:
            isolation_level: "SERIALIZABLE", "REPEATABLE READ" or "READ COMMITTED".
            name: The recorded name; the qualified name by default.

        Raises:
            DBOSException: There is no such isolation level.
        """
        return transaction(isolation_level, name=name)

    @classmethod
    def sql_step(
        cls, sql: str, *, name: str | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Make one SQL statement a step that commits with its checkpoint, in one round trip.

        The decorated function has no body: its parameters are the statement's (`:name`), and its return
        annotation says what the result becomes: `list[dict[str, Any]]` all rows, `dict[str, Any] | None` the
        first row, another type the first column of the first row, `int` without RETURNING how many rows were
        touched, `None` nothing. The statement is checked when it is declared, and by the server at launch.

        Args:
            sql: One SELECT, VALUES, INSERT, UPDATE, DELETE or MERGE.
            name: The recorded name; the qualified name by default.

        Raises:
            DBOSInvalidArgumentError: The statement, its parameters or the annotation can't work.
        """
        return sql_step(sql, name=name)

    @classmethod
    def dbos_class(cls, class_name: str | None = None) -> Callable[[decorators.C], decorators.C]:
        """Register a class whose methods are workflows; the outermost decorator of the class.

        Args:
            class_name: The recorded name; the qualified name by default.
        """
        return decorators.dbos_class(class_name)

    # Running

    @overload
    @classmethod
    def start_workflow(
        cls, func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandle[R]: ...

    @overload
    @classmethod
    def start_workflow(
        cls, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandle[R]: ...

    @classmethod
    def start_workflow(
        cls, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandle[Any]:
        """Start a workflow (or a step, as a workflow) in the background. It is durable when this returns.

        Raises:
            DBOSWorkflowFunctionNotFoundError: The function is not registered.
            DBOSException: DBOS is not launched.
        """
        runtime = get_runtime("DBOS.start_workflow")
        workflow, bound = registered_workflow(func, "DBOS.start_workflow")
        prepared = runtime.prepare(workflow, (*bound, *args), kwargs)
        return Handle(runtime, runtime.run(runtime.start(prepared, workflow)))

    @overload
    @classmethod
    async def start_workflow_async(
        cls, func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandleAsync[R]: ...

    @overload
    @classmethod
    async def start_workflow_async(
        cls, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandleAsync[R]: ...

    @classmethod
    async def start_workflow_async(
        cls, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandleAsync[Any]:
        """As `start_workflow`; a coroutine workflow runs on the caller's loop."""
        runtime = get_runtime("DBOS.start_workflow_async")
        workflow, bound = registered_workflow(func, "DBOS.start_workflow_async")
        prepared = runtime.prepare(workflow, (*bound, *args), kwargs)
        workflow_id = await runtime.run_async(runtime.start_here(prepared, workflow))
        return HandleAsync(runtime, workflow_id)

    @overload
    @classmethod
    def run_step(
        cls,
        options: StepOptions | None,
        func: Callable[P, Coroutine[Any, Any, R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...

    @overload
    @classmethod
    def run_step(
        cls, options: StepOptions | None, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R: ...

    @classmethod
    def run_step(
        cls, options: StepOptions | None, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs
    ) -> Any:
        """Run any function as a step; outside a workflow it is a plain call. A coroutine function is awaited.

        Raises:
            RuntimeError: An event loop runs in this thread; use `run_step_async` there.
        """
        refuse_running_loop("run_step")
        spec = spec_of(options, func)
        check_spec(spec, is_async=False)
        return step_sync(spec, functools.partial(run_plainly, func, *args, **kwargs))

    @overload
    @classmethod
    async def run_step_async(
        cls,
        options: StepOptions | None,
        func: Callable[P, Coroutine[Any, Any, R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...

    @overload
    @classmethod
    async def run_step_async(
        cls, options: StepOptions | None, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R: ...

    @classmethod
    async def run_step_async(
        cls, options: StepOptions | None, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs
    ) -> Any:
        """As `run_step`; a plain function runs in a thread."""
        spec = spec_of(options, func)
        check_spec(spec, is_async=True)
        return await step_async(spec, as_coroutine(func, *args, **kwargs))

    @classmethod
    def reserve_step(cls) -> StepReservation:
        """Draw a step number now and use it later, so that concurrent steps are numbered in a fixed order.

        Raises:
            DBOSException: Not in the body of a workflow.
        """
        run = current_run()
        if run is None:
            raise DBOSException("DBOS.reserve_step was called outside the body of a workflow")
        return StepReservation(run)

    @classmethod
    async def asyncio_wait(
        cls,
        fs: Iterable[asyncio.Future[Any]],
        *,
        timeout: float | None = None,
        return_when: str = asyncio.ALL_COMPLETED,
    ) -> tuple[set[asyncio.Future[Any]], set[asyncio.Future[Any]]]:
        """A durable `asyncio.wait`: which were done is recorded, and a replay waits for exactly those."""
        futures: list[asyncio.Future[Any]] = [asyncio.ensure_future(future) for future in fs]
        run = current_run()
        if run is None:
            done, pending = await asyncio.wait(futures, timeout=timeout, return_when=return_when)
            return done, pending
        runtime = get_runtime("DBOS.asyncio_wait")
        step_id, name = run.next_step_id(), "DBOS.asyncio_wait"
        recorded = run.recorded(step_id, name)
        if recorded is None:
            done, _ = await asyncio.wait(futures, timeout=timeout, return_when=return_when)
            indices = [n for n, future in enumerate(futures) if future in done]
            indices = await runtime.run_async(record_output(run, name, step_id, indices))
        else:
            indices = run.replay(recorded)
        finished = {futures[n] for n in indices}
        if finished:
            await asyncio.wait(finished)
        return finished, set(futures) - finished
