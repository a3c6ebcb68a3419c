"""From settings to a runtime: the parts of an engine, put together and not yet started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from pyengine.database.checkpoints import Checkpoints
from pyengine.database.connections import ConnectionOptions
from pyengine.errors import DBOSInitializationError
from pyengine.execution import Runtime
from pyengine.flows.workflows import Application
from pyengine.registry import Registry
from pyengine.runtime.engine import Engine, EngineOptions
from pyengine.runtime.sweep import Sweep
from pyengine.runtime.transactions import Transactions
from pyengine.serialization import Codec
from pyengine.settings import Settings


def assemble(
    settings: Settings,
    url: str,
    registry: Registry,
    application: Application,
    queue_names: Sequence[str] | None = None,
) -> Runtime:
    """Put a runtime together; nothing is connected or started.

    Args:
        settings: The configuration.
        url: The engine's database.
        registry: The functions that the runtime runs.
        application: Who starts workflows.
        queue_names: Take work of these queues only; None takes any.
    """
    options = EngineOptions(
        database_url=url,
        listen_url=settings.listen_database_url or url,
        listen=settings.use_listen_notify,
        schema=settings.schema,
        prepare=True,
        application_name=settings.name,
        application_version=application.version or "",
        version_is_pinned=application.version_is_pinned,
        executor_name=settings.executor_name,
        lease_seconds=settings.lease_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
        max_threads=settings.max_executor_threads,
        hibernate_after=settings.hibernate_after,
        queue_names=queue_names,
    )
    engine = Engine(
        options,
        functions=registry.function_keys,
        attempt_limits=registry.attempt_limits,
        execute=lambda claimed, token: runtime.execute_claimed(claimed, token),  # noqa: PLW0108 - made below
    )
    runtime = Runtime(
        engine,
        registry,
        Codec(settings.serializer),
        application,
        _transactions(settings, engine, url),
    )
    return runtime


def _transactions(settings: Settings, engine: Engine, system_url: str) -> Transactions:
    options = ConnectionOptions(
        url=settings.application_database_url or system_url,
        application_name=f"pyengine {settings.name} transactions"[:63],
        size=settings.pool_size,
        timeout=settings.pool_timeout,
        arguments=settings.connect_arguments,
        prepare=engine.options.prepare,
    )
    checkpoints = Checkpoints(settings.schema, is_separate=not settings.same_database)
    transactions = Transactions(
        options, checkpoints, engine.gateway, settings.idle_transaction_timeout
    )
    if checkpoints.is_separate:
        engine.upkeep.also.append(Sweep(transactions, engine.threads.submit).after_tick)
    return transactions


@contextmanager
def readable_errors() -> Iterator[None]:
    """A database that can't be reached is an error that says so and why: libpq's reasons hold no password."""
    try:
        yield
    except psycopg.OperationalError as error:
        # Lines that begin with a tab are questions of libpq's to the reader.
        lines = [line for line in str(error).splitlines() if line.strip() and line[0] != "\t"]
        reason = "; ".join(map(str.strip, lines))
        raise DBOSInitializationError(
            f"the database can't be reached: {reason}. Check its URL: system_database_url, PYENGINE_DATABASE_URL "
            "or --database-url"
        ) from None
