"""`DBOSClient`: what an application's other programs do with its workflows, without running any."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from types import TracebackType
from typing import Any, Literal, TypeVar

from pyengine import config as configuration
from pyengine import embedded
from pyengine.assembly import assemble, readable_errors
from pyengine.bulk import Bulk
from pyengine.client_schedules import ClientSchedules
from pyengine.config import DBOSConfig, Settings
from pyengine.current import acting
from pyengine.database.rows import QueueRow
from pyengine.effects import Effect, Flow
from pyengine.enqueue_options import EnqueueOptions, prepare_by_options
from pyengine.execution import Runtime
from pyengine.flows.workflows import Application, Runners
from pyengine.handles import Handle, HandleAsync, WorkflowHandle, WorkflowHandleAsync
from pyengine.in_transaction import flow_in_transaction, run_in_transaction
from pyengine.insight import Insight
from pyengine.listing import Listing
from pyengine.management import Management
from pyengine.messaging import Sending, SendMessage, send_flow
from pyengine.publishing import Reading
from pyengine.queue_limits import QueueLimits, QueueRateLimit, check_queue_name, one_concurrency
from pyengine.queueing import QueueControl
from pyengine.queues import OnConflict, Queue, register
from pyengine.registry import Registry
from pyengine.renaming import Renaming
from pyengine.senders import DEFAULT_FORMAT
from pyengine.serialization import WorkflowSerializationFormat
from pyengine.steering import Steering
from pyengine.upkeep import Keeping
from pyengine.versions import Versions

T = TypeVar("T")
C = TypeVar("C", bound=type)

_ENGINE_DATABASE = "postgres"


class ClientRuntime(Runtime):
    """A runtime that runs no workflows: each flow is carried out as if no workflow were around it."""

    def run(self, flow: Flow[T]) -> T:
        """Run a flow, blocking."""
        with acting(self):
            return super().run(flow)

    async def run_async(self, flow: Flow[T]) -> T:
        """Run a flow on the running loop."""
        with acting(self):
            return await super().run_async(flow)

    def runners(self, version: str | None, application_name: str | None = None) -> Runners:
        """Those that are asked for; a client has no version of its own."""
        name = application_name or self.application.name
        return Runners(name, version, version_is_pinned=version is not None)


def _for_client(operation: Callable[..., Any]) -> Callable[..., Any]:
    """An operation of `DBOS` as one of a client: it finds the client's connection, and no workflow around it."""

    @functools.wraps(operation)
    def plain(client: DBOSClient, *args: Any, **kwargs: Any) -> Any:
        with acting(client.runtime):
            return operation(client, *args, **kwargs)

    @functools.wraps(operation)
    async def coroutine(client: DBOSClient, *args: Any, **kwargs: Any) -> Any:
        with acting(client.runtime):
            return await operation(client, *args, **kwargs)

    @functools.wraps(operation)
    def generator(client: DBOSClient, *args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        items = operation(client, *args, **kwargs)
        while True:
            with acting(client.runtime):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item

    @functools.wraps(operation)
    async def async_generator(
        client: DBOSClient, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[Any, None]:
        items = operation(client, *args, **kwargs)
        while True:
            with acting(client.runtime):
                try:
                    item = await items.__anext__()
                except StopAsyncIteration:
                    return
            yield item

    if inspect.isasyncgenfunction(operation):
        return async_generator
    if inspect.isgeneratorfunction(operation):
        return generator
    return coroutine if inspect.iscoroutinefunction(operation) else plain


def _acts_through_itself(client_class: C) -> C:
    """Make the operations that a client shares with `DBOS` methods that go through the client."""
    for base in client_class.__mro__[1:]:
        for name, member in vars(base).items():
            if isinstance(member, classmethod) and name not in vars(client_class):
                setattr(client_class, name, _for_client(member.__func__))
    return client_class


@_acts_through_itself
class DBOSClient(
    Bulk,
    Insight,
    Keeping,
    Listing,
    Management,
    Steering,
    Sending,
    Reading,
    QueueControl,
    ClientSchedules,
    Versions,
    Renaming,
):
    """Enqueue workflows, talk to them and look at them from a program that runs none of them.

    It never changes the schema, and needs no more than the role `client`. Nothing that it does is a step, even
    inside a workflow. Use it as a block, or call `close()`.

    Args:
        system_database_url: The database. Without one the environment says it, or the embedded server is used.
        system_database_engine: A SQLAlchemy engine, whose URL is used.
        dbos_system_schema: The engine's schema.
        serializer: The format of payloads, as the application has it; None is JSON.
        system_database_pool_size: Accepted for compatibility; a client keeps few connections.
        system_database_polling_concurrency: Accepted for compatibility; waits share one statement.
        use_listen_notify: Listen for wake-ups, from the first wait on. False looks again at growing intervals.
        application_database_url: Where transactional steps run if that is another database: a fork, rewind or delete
            takes care of their checkpoints there.
        listen_database_url: A direct connection to listen on, when the database is behind a pooler.
        application_name: Whose workflows to enqueue and list unless a call says otherwise; None is any.
        lazy: Connect at the first call rather than now.
        retry_connection_errors: Outlast an outage of the database; False raises psycopg.OperationalError.
        observability_query_timeout_sec: Accepted for compatibility.
        sys_db_idle_transaction_timeout_sec: Accepted for compatibility; no transaction is left open.
        sharding: Accepted for compatibility.

    Attributes:
        runtime: What its operations go through; for other parts of pyengine.

    Raises:
        DBOSInitializationError: An argument can't be used, or the database can't be reached.
    """

    def __init__(
        self,
        *,
        system_database_url: str | None = None,
        system_database_engine: Any = None,
        dbos_system_schema: str | None = None,
        serializer: Any = None,
        system_database_pool_size: int | None = None,
        system_database_polling_concurrency: int | None = None,
        use_listen_notify: bool = True,
        application_database_url: str | None = None,
        listen_database_url: str | None = None,
        application_name: str | None = None,
        lazy: bool = False,
        retry_connection_errors: bool = True,
        observability_query_timeout_sec: float | None = None,
        sys_db_idle_transaction_timeout_sec: float | None = None,
        sharding: bool = False,
    ) -> None:
        del system_database_pool_size, system_database_polling_concurrency, sharding
        del observability_query_timeout_sec, sys_db_idle_transaction_timeout_sec
        given: DBOSConfig = {
            "name": application_name or "client",
            "system_database_url": system_database_url,
            "system_database_engine": system_database_engine,
            "application_database_url": application_database_url,
            "dbos_system_schema": dbos_system_schema,
            "listen_database_url": listen_database_url,
            "serializer": serializer,
            "use_listen_notify": use_listen_notify,
            "log_level": "WARNING",
        }
        settings = configuration.resolve(given)
        self._server: embedded.Server | None = None
        application = Application(application_name, "", version_is_pinned=False)
        built = assemble(settings, self._url(settings), Registry(), application)
        self.runtime = ClientRuntime(
            built.engine, built.registry, built.codec, application, built.transactions
        )
        self.runtime.engine.serve_client(waits_for_server=retry_connection_errors)
        self._closed = False
        if not lazy:
            try:
                self.check_connection()
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> DBOSClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self.close()
        return False

    async def __aenter__(self) -> DBOSClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self.close()
        return False

    def close(self) -> None:
        """Close all connections; waits that are under way end with an error. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        self.runtime.engine.destroy(0)
        self.runtime.transactions.close()
        if self._server is not None:
            self._server.close()
            self._server = None

    def destroy(self) -> None:
        """Another name for `close`."""
        self.close()

    def check_connection(self) -> None:
        """Ask the database something.

        Raises:
            DBOSInitializationError: It can't be reached.
        """
        with readable_errors():
            self.runtime.engine.connect()

    def enqueue(self, options: EnqueueOptions, *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
        """Enqueue a workflow by its name. It is durable when this returns.

        Args:
            options: What to enqueue, where and how. Without `app_version` any version may run it.
            args: The workflow's arguments.
            kwargs: Its keyword arguments.

        Raises:
            DBOSException: An option is missing, unknown, or wrong.
            DBOSQueueDeduplicatedError: The deduplication id is held.
            DBOSBackpressureError: The queue is full.
        """
        with acting(runtime := self.runtime):
            prepared = prepare_by_options(runtime, options, args, kwargs)
            return Handle(runtime, runtime.run(runtime.enqueue(prepared)))

    async def enqueue_async(
        self, options: EnqueueOptions, *args: Any, **kwargs: Any
    ) -> WorkflowHandleAsync[Any]:
        """As `enqueue`."""
        with acting(runtime := self.runtime):
            prepared = prepare_by_options(runtime, options, args, kwargs)
            return HandleAsync(runtime, await runtime.run_async(runtime.enqueue(prepared)))

    def enqueue_in_transaction(
        self, connection: Any, options: EnqueueOptions, *args: Any, **kwargs: Any
    ) -> WorkflowHandle[Any]:
        """Enqueue a workflow in a transaction of yours: it exists if, and only if, that commits.

        Args:
            connection: A psycopg connection, or a SQLAlchemy connection or session, to the engine's database. You
                commit it.
            options: As for `enqueue`, without `duplication_policy` "return-existing".
            args: As for `enqueue`.
            kwargs: As for `enqueue`.

        Raises:
            DBOSException: As for `enqueue`, or the connection is of an unknown kind.
        """
        with acting(runtime := self.runtime):
            prepared = prepare_by_options(runtime, options, args, kwargs)
            return Handle(runtime, run_in_transaction(connection, runtime, prepared))

    def send_in_transaction(
        self,
        connection: Any,
        destination_id: str,
        message: Any,
        topic: str | None = None,
        idempotency_key: str | None = None,
        *,
        serialization_type: WorkflowSerializationFormat = DEFAULT_FORMAT,
        send_to_forks: bool = False,
        shard_key: str | None = None,
    ) -> None:
        """Send a message in a transaction of yours: it is sent if, and only if, that commits. See `send`."""
        mail = SendMessage(destination_id, message, topic, idempotency_key, shard_key)
        self._send_in_transaction(
            connection, [mail], serialization_type, is_bulk=False, to_forks=send_to_forks
        )

    def send_bulk_in_transaction(
        self,
        connection: Any,
        messages: Sequence[SendMessage],
        *,
        serialization_type: WorkflowSerializationFormat = DEFAULT_FORMAT,
        send_to_forks: bool = False,
    ) -> None:
        """As `send_in_transaction`, for several messages."""
        self._send_in_transaction(
            connection, messages, serialization_type, is_bulk=True, to_forks=send_to_forks
        )

    def retrieve_workflow(  # type: ignore[override]
        self, workflow_id: str, *, shard_key: str | None = None
    ) -> WorkflowHandle[Any]:
        """A handle for a workflow, which need not exist."""
        return Handle(self.runtime, workflow_id, shard_key)

    async def retrieve_workflow_async(  # type: ignore[override]
        self, workflow_id: str, *, shard_key: str | None = None
    ) -> WorkflowHandleAsync[Any]:
        """As `retrieve_workflow`."""
        return HandleAsync(self.runtime, workflow_id, shard_key)

    def register_queue(
        self,
        name: str,
        *,
        worker_concurrency: int | None = None,
        global_concurrency: int | None = None,
        partition_concurrency: int | None = None,
        partition_worker_concurrency: int | None = None,
        partition_limiter: QueueRateLimit | None = None,
        limiter: QueueRateLimit | None = None,
        polling_interval_sec: float = 1.0,
        max_depth: int | None = None,
        on_conflict: OnConflict = "always_update",
        application_name: str | None = None,
        concurrency: int | None = None,
    ) -> Queue:
        """Register a queue, or change the limits of a registered one. See `DBOS.register_queue`.

        Args:
            name: As for `DBOS.register_queue`.
            worker_concurrency: As for `Queue`.
            global_concurrency: As for `Queue`.
            partition_concurrency: As for `Queue`.
            partition_worker_concurrency: As for `Queue`.
            partition_limiter: As for `Queue`.
            limiter: As for `Queue`.
            polling_interval_sec: As for `Queue`.
            max_depth: As for `Queue`.
            on_conflict: "always_update", or "never_update" to leave a registered queue as it is.
            application_name: Whose queue it is; by default the client's.
            concurrency: Another name for `global_concurrency`.

        Raises:
            ValueError: The name is reserved, limits contradict each other, or `on_conflict` is another.
            DBOSConflictError: The queue belongs to another application.
        """
        limits = QueueLimits(
            worker_concurrency=worker_concurrency,
            concurrency=one_concurrency(concurrency, global_concurrency),
            partition_concurrency=partition_concurrency,
            partition_worker_concurrency=partition_worker_concurrency,
            limiter=limiter,
            partition_limiter=partition_limiter,
            polling_interval_sec=polling_interval_sec,
            max_depth=max_depth,
        )
        effect = self._registration(name, limits, on_conflict, application_name)
        return self._queue(self.runtime.run(_rows(effect)))

    async def register_queue_async(self, name: str, **limits: Any) -> Queue:
        """As `register_queue`."""
        on_conflict = limits.pop("on_conflict", "always_update")
        application_name = limits.pop("application_name", None)
        concurrency = one_concurrency(
            limits.pop("concurrency", None), limits.pop("global_concurrency", None)
        )
        checked = QueueLimits(concurrency=concurrency, **limits)
        effect = self._registration(name, checked, on_conflict, application_name)
        return self._queue(await self.runtime.run_async(_rows(effect)))

    def _url(self, settings: Settings) -> str:
        if settings.system_database_url is not None:
            return settings.system_database_url
        self._server = embedded.start(settings.embedded_directory)
        return self._server.dsn(_ENGINE_DATABASE)

    def _send_in_transaction(
        self,
        connection: Any,
        messages: Sequence[SendMessage],
        serialization_type: WorkflowSerializationFormat,
        *,
        is_bulk: bool,
        to_forks: bool,
    ) -> None:
        with acting(runtime := self.runtime):
            flow = send_flow(
                runtime, messages, serialization_type, is_bulk=is_bulk, to_forks=to_forks
            )
            flow_in_transaction(connection, runtime, flow)

    def _registration(
        self, name: str, limits: QueueLimits, on_conflict: OnConflict, application_name: str | None
    ) -> Effect:
        if on_conflict not in ("always_update", "never_update"):
            raise ValueError(
                f"on_conflict is {on_conflict!r}: a client has no version, use 'always_update' or 'never_update'"
            )
        owner = Application(
            application_name or self.runtime.application.name, "", version_is_pinned=False
        )
        return register(owner, check_queue_name(name), limits, on_conflict)

    def _queue(self, rows: list[QueueRow]) -> Queue:
        with acting(self.runtime):
            return Queue.of_row(rows[0])


def _rows(effect: Effect) -> Flow[list[Any]]:
    found: list[Any] = yield effect
    return found
