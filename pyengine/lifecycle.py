"""From a configuration to a launched engine, and back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import copy

import psycopg

from pyengine import alerts, datasource_places, embedded, log, telemetry
from pyengine import config as configuration
from pyengine import schema as engine_schema
from pyengine.assembly import assemble, readable_errors
from pyengine.config import DBOSConfig, Settings
from pyengine.context import current_scope
from pyengine.current import find_runtime, set_runtime
from pyengine.database import calls, version_calls
from pyengine.database.rows import VersionRow
from pyengine.errors import DBOSException, DBOSInitializationError
from pyengine.execution import Runtime
from pyengine.flows.workflows import Application
from pyengine.kafka import consumers
from pyengine.queue_limits import INTERNAL_QUEUES
from pyengine.queues import declared
from pyengine.registry import registry
from pyengine.schedules import register_declared
from pyengine.schema import EngineRole

_logger = logging.getLogger("pyengine")

_DEFAULT_MAX_PAYLOAD_BYTES = 1 << 20
_ENGINE_DATABASE = "postgres"


class _Process:
    """What this process has configured and started."""

    settings: Settings | None = None
    config: DBOSConfig | None = None
    queue_names: tuple[str, ...] | None = None
    server: embedded.Server | None = None


def configure(config: DBOSConfig | None) -> None:
    """Check a configuration and keep it for the launch.

    Raises:
        DBOSInitializationError: A key is missing or wrong.
    """
    if config is None:
        raise DBOSInitializationError('a config is needed: DBOS(config={"name": "my-app"})')
    settings = configuration.resolve(config)
    telemetry.require(settings)
    _Process.settings = settings
    _Process.config = copy(config)
    datasource_places.configure(_Process.settings)
    log.configure(_Process.settings)
    log.context_provider = _log_context


def configure_again(config: DBOSConfig | None) -> None:
    """A second `DBOS(config=...)` is the first object: say so to whoever believes to have changed something."""
    if config is None or config == _Process.config:
        return
    first = _Process.config or {}
    keys = sorted(key for key in {*config, *first} if config.get(key) != first.get(key))
    _logger.warning(
        "DBOS was constructed before, and its configuration stays: %s would differ. Call DBOS.destroy() first",
        ", ".join(keys),
    )


def configured() -> Settings | None:
    """What `DBOS(config=...)` said, if it was constructed."""
    return _Process.settings


def launch() -> None:
    """See `DBOS.launch`."""
    settings = _Process.settings
    if settings is None:
        raise DBOSException(
            'DBOS.launch was called before DBOS was constructed: call DBOS(config={"name": "my-app"}) first'
        )
    if find_runtime() is not None:
        _logger.warning("DBOS.launch was called twice; the second call has no effect")
        return
    url = database_url(settings)
    with readable_errors():
        _prepare_database(settings, url)
        version = settings.application_version or registry.application_version(settings.name)
        application = Application(settings.name, version, settings.version_is_pinned)
        runtime = assemble(settings, url, registry, application, _Process.queue_names)
        try:
            datasource_places.launch(runtime, settings, url)
            _prepare_engine(settings, runtime)
            runtime.telemetry = telemetry.start(settings, version)
            runtime.engine.launch()
        except psycopg.errors.InsufficientPrivilege as error:
            _stop(runtime, 0)
            raise DBOSInitializationError(
                f"{error.diag.message_primary}: this login may not run workflows. Let the schema's owner run "
                "`pyengine migrate --application-role ROLE`, which gives it the role worker"
            ) from None
        except BaseException:
            _stop(runtime, 0)
            raise
    registry.on_change = runtime.engine.functions_changed
    set_runtime(runtime)
    consumers.start()
    _logger.info(
        "%s launched (version %s, executor %s)",
        settings.name,
        runtime.application.version,
        runtime.engine.executor_id,
    )


def _prepare_database(settings: Settings, url: str) -> None:
    """Bring the schema up to date, or check that it is; and show the server what was declared."""
    with psycopg.connect(
        url, autocommit=True, connect_timeout=10, prepare_threshold=None
    ) as connection:
        if settings.run_migrations:
            engine_schema.migrate(connection, schema=settings.schema)
        else:
            engine_schema.verify(connection, settings.schema)
    _prepare_application(settings)
    _check_statements(settings, url)


def _prepare_engine(settings: Settings, runtime: Runtime) -> None:
    """Make known what the application configures and declares, before any work is claimed."""
    if settings.max_payload_bytes != _DEFAULT_MAX_PAYLOAD_BYTES:
        size = settings.max_payload_bytes
        runtime.engine.gateway.run(calls.set_max_payload_bytes(max_payload_bytes=size))
    _register_version(runtime)
    declared.register_all(runtime)
    register_declared(runtime)
    consumers.check(runtime)


def _register_version(runtime: Runtime) -> None:
    """Make the version known; an old one may run, but its processes should not wonder why they get no new work."""
    application, gateway = runtime.application, runtime.engine.gateway
    gateway.run(
        version_calls.register_application_version(
            application_name=runtime.engine.options.application_name,
            version_name=application.version,
            is_pinned=application.version_is_pinned,
        )
    )
    call = version_calls.list_application_versions(application_name=application.name)
    latest: VersionRow = gateway.run(call)[0]
    if latest.version_name != application.version:
        _logger.warning(
            "version %s of %s is not the latest one, which is %s: that one runs schedules and whatever was enqueued "
            "without a version. To go back to this version, call DBOS.set_latest_application_version(%r)",
            application.version,
            application.name,
            latest.version_name,
            application.version,
        )


def destroy(timeout: float, *, destroy_registry: bool) -> None:
    """See `DBOS.destroy`."""
    runtime = find_runtime()
    registry.on_change = None
    consumers.stop()
    if runtime is not None:
        _stop(runtime, timeout)
        runtime.transactions.close()
        set_runtime(None)
    if _Process.server is not None:
        _Process.server.close()
        _Process.server = None
    _Process.settings = None
    _Process.config = None
    datasource_places.close()
    datasource_places.configure(None)
    _Process.queue_names = None
    if destroy_registry:
        datasource_places.forget()
        alerts.forget()
        consumers.clear()
        registry.clear()
        declared.clear()


def _stop(runtime: Runtime, timeout: float) -> None:
    runtime.engine.destroy(timeout)
    if runtime.telemetry is not None:
        runtime.telemetry.stop()


def listen_queues(names: Sequence[str]) -> None:
    """See `DBOS.listen_queues`."""
    if find_runtime() is not None or _Process.queue_names is not None:
        raise DBOSException("DBOS.listen_queues must be called once, before DBOS.launch")
    _Process.queue_names = (*names, *INTERNAL_QUEUES)


def reset(url: str | None, schema: str | None, *, truncate: bool) -> None:
    """See `DBOS.reset_system_database`."""
    if find_runtime() is not None:
        raise AssertionError(
            "DBOS.reset_system_database deletes all workflows and is refused after DBOS.launch: call it before"
        )
    if url is None and _Process.settings is None:
        _logger.warning(
            "DBOS.reset_system_database has no effect: no DBOS was constructed and no URL was given"
        )
        return
    target = url or database_url(_Process.settings)  # type: ignore[arg-type]
    name = schema or ("pyengine" if _Process.settings is None else _Process.settings.schema)
    with (
        readable_errors(),
        psycopg.connect(target, autocommit=True, prepare_threshold=None) as connection,
    ):
        engine_schema.reset(connection, name, truncate=truncate)


def migrate(
    url: str,
    schema: str,
    application_role: str | None,
    engine_role: EngineRole,
    *,
    create_roles: bool,
) -> None:
    """See `DBOS.migrate`."""
    settings = configuration.resolve({"name": "migrate", "system_database_url": url})
    with (
        readable_errors(),
        psycopg.connect(
            settings.system_database_url or "", autocommit=True, prepare_threshold=None
        ) as connection,
    ):
        engine_schema.migrate(
            connection,
            schema=schema,
            application_role=application_role,
            engine_role=engine_role,
            create_roles=create_roles,
        )


def database_url(settings: Settings) -> str:
    """The configured database, or the embedded server, which is started."""
    if settings.system_database_url is not None:
        return settings.system_database_url
    if _Process.server is None:
        _Process.server = embedded.start(settings.embedded_directory)
    return _Process.server.dsn(_ENGINE_DATABASE)


def _prepare_application(settings: Settings) -> None:
    if settings.same_database or settings.application_database_url is None:
        return
    with psycopg.connect(
        settings.application_database_url, autocommit=True, connect_timeout=10
    ) as connection:
        engine_schema.prepare_application(
            connection, schema=settings.schema, create=settings.run_migrations
        )


def _check_statements(settings: Settings, system_url: str) -> None:
    if not registry.launch_checks:
        return
    url = settings.application_database_url or system_url
    with psycopg.connect(
        url, autocommit=True, connect_timeout=10, prepare_threshold=None
    ) as connection:
        for check in tuple(registry.launch_checks.values()):
            check.check(connection, settings.schema)


def _log_context() -> dict[str, object]:
    scope, runtime = current_scope(), find_runtime()
    ids: dict[str, object] = {}
    if scope is not None:
        ids["workflow_id"] = scope.run.workflow_id
    if runtime is not None:
        ids["executorID"] = runtime.engine.options.executor_name
        ids["applicationVersion"] = runtime.application.version
        if runtime.telemetry is not None:
            ids["traceId"] = runtime.telemetry.trace_id()
    return ids
