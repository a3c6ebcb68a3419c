"""The configuration: what a user writes (`DBOSConfig`) and what it comes to (`Settings`).

Every key is checked for its type, whether it has an effect here or not. A key given as None is a
key not given, except `hibernate_after`, where None means never.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict, get_type_hints

from pyengine.config_checks import Checked, explain_without_effect, warn_of_unknown
from pyengine.errors import DBOSInitializationError
from pyengine.settings import Settings
from pyengine.urls import MalformedUrlError, keywords, parse, redact, same_database

__all__ = ["DBOSConfig", "Settings", "redact", "resolve"]

_NAME = re.compile(r"[a-z0-9_-]{3,256}")
# What tells libpq where to connect; PGUSER, PGPASSWORD and the like only say how.
_LIBPQ_PLACES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE")


# They have no effect here; a value that DBOS refuses is a mistake all the same.
_INTERVALS = (
    "kafka_queue_polling_interval_sec",
    "notification_coalesce_sec",
    "notification_listener_polling_interval_sec",
)


class DBOSConfig(TypedDict, total=False):
    """The configuration of an application. Only `name` is required; times are seconds."""

    name: str
    system_database_url: str | None
    application_database_url: str | None
    database_url: str | None
    listen_database_url: str | None
    embedded_directory: str | os.PathLike[str] | None
    dbos_system_schema: str | None
    system_database_engine: Any
    db_engine_kwargs: Mapping[str, Any] | None
    sys_db_pool_size: int | None
    sys_db_polling_concurrency: int | None
    sys_db_idle_transaction_timeout_sec: float | None
    use_listen_notify: bool | None
    run_migrations: bool | None
    application_version: str | None
    executor_id: str | None
    serializer: Any
    max_executor_threads: int | None
    max_payload_bytes: int | None
    hibernate_after: float | None
    lease_seconds: float | None
    heartbeat_seconds: float | None
    notification_listener_polling_interval_sec: float | None
    notification_coalesce_sec: float | None
    observability_query_timeout_sec: float | None
    scheduler_polling_interval_sec: float | None
    kafka_queue_polling_interval_sec: float | None
    log_level: str | int | None
    console_log_level: str | int | None
    otlp_log_level: str | int | None
    enable_otlp: bool | None
    otlp_traces_endpoints: list[str] | None
    otlp_logs_endpoints: list[str] | None
    otlp_attributes: Mapping[str, Any] | None
    otel_attribute_format: str | None
    enable_patching: bool | None
    conductor_key: str | None
    conductor_url: str | None
    conductor_executor_metadata: Mapping[str, Any] | None
    conductor_metadata_only_mode: bool | None
    transact_enterprise_key: str | None
    auto_upgrade: bool | None
    auto_upgrade_interval_sec: float | None
    auto_upgrade_grace_sec: float | None
    sharding: bool | None
    admin_port: int | None
    run_admin_server: bool | None


def resolve(config: DBOSConfig, environ: Mapping[str, str] = os.environ) -> Settings:
    """Check a configuration and fill in what it leaves out.

    The database is the first of: `system_database_url`, the URL of `system_database_engine`,
    `DBOS_SYSTEM_DATABASE_URL`, `PYENGINE_DATABASE_URL`, libpq's own variables (`PGHOST` and the
    like), `application_database_url`; and with none of these the embedded server.

    Args:
        config: The user's configuration.
        environ: The environment.

    Returns:
        The settings.

    Raises:
        DBOSInitializationError: A value is missing, of the wrong type or out of range; names the
            key and never shows a URL.
    """
    hints = get_type_hints(DBOSConfig)
    checked = Checked(config, hints)
    settings = Settings(
        name=_name(checked),
        **_databases(checked, environ),
        **_pool(checked),
        **_timing(checked),
        **_logs(checked, environ),
        embedded_directory=_directory(checked),
        schema=_schema(checked),
        executor_name=checked.text("executor_id") or environ.get("DBOS__VMID") or "local",
        application_id=environ.get("DBOS__APPID", ""),
        application_version=_version(checked, environ),
        use_listen_notify=checked.flag("use_listen_notify", default=True),
        run_migrations=checked.flag("run_migrations", default=True),
        serializer=_serializer(checked),
        max_executor_threads=checked.count("max_executor_threads", None, at_least=1),
        max_payload_bytes=checked.count(
            "max_payload_bytes", 1 << 20, at_least=1 << 16, at_most=1 << 28
        ),
    )
    warn_of_unknown(config, hints)
    if settings.log_level <= logging.INFO:
        explain_without_effect(config)
    return settings


def _name(checked: Checked) -> str:
    name = checked.text("name")
    if name is None:
        raise DBOSInitializationError("configuration key 'name' is missing: name the application")
    if not _NAME.fullmatch(name):
        raise DBOSInitializationError(
            f"configuration key 'name' is {name[:300]!r}: use 3 to 256 characters out of a-z, 0-9, "
            "'-' and '_'"
        )
    return name


def _databases(checked: Checked, environ: Mapping[str, str]) -> dict[str, Any]:
    application = _url(checked, "application_database_url") or _url(checked, "database_url")
    system = _url(checked, "system_database_url") or _engine_url(checked)
    for variable in ("DBOS_SYSTEM_DATABASE_URL", "PYENGINE_DATABASE_URL"):
        if system is None and environ.get(variable):
            system = normalised_url(f"environment variable {variable}", environ[variable])
    if system is None and any(environ.get(variable) for variable in _LIBPQ_PLACES):
        system = "postgresql://"
    system = system or application
    return {
        "system_database_url": system,
        "application_database_url": application,
        "same_database": application is None
        or system is None
        or same_database(system, application, environ),
        "listen_database_url": _url(checked, "listen_database_url"),
    }


def _url(checked: Checked, key: str) -> str | None:
    text = checked.text(key)
    return None if text is None else normalised_url(f"configuration key {key!r}", text)


def _engine_url(checked: Checked) -> str | None:
    engine = checked.value("system_database_engine")
    if engine is None:
        return None
    render = getattr(getattr(engine, "url", None), "render_as_string", None)
    if not callable(render):
        raise DBOSInitializationError(
            "configuration key 'system_database_engine' must be an SQLAlchemy engine"
        )
    return normalised_url("the URL of 'system_database_engine'", str(render(hide_password=False)))


def normalised_url(source: str, text: str) -> str:
    """A database URL as libpq takes it.

    Raises:
        DBOSInitializationError: It can't be used; names the source and never shows the URL.
    """
    try:
        return str(parse(text))
    except MalformedUrlError as malformed:
        problem = str(malformed)
    # Raised outside the handler, so that no context of it can show a part of the URL.
    raise DBOSInitializationError(f"{source} cannot be used: {problem}")


def _pool(checked: Checked) -> dict[str, Any]:
    size = checked.count("sys_db_pool_size", 20, at_least=1)
    engine = Checked(
        checked.mapping("db_engine_kwargs"),
        {"pool_size": int, "max_overflow": int, "pool_timeout": float, "connect_args": Mapping},
        within="db_engine_kwargs.",
    )
    overflow = engine.count("max_overflow", 0, at_least=0)
    idle = checked.number("sys_db_idle_transaction_timeout_sec", 60.0)
    return {
        "pool_size": engine.count("pool_size", size, at_least=1) + overflow,
        "pool_timeout": engine.seconds("pool_timeout", 30.0, at_least=0.001),
        "connect_arguments": _connect_arguments(engine.mapping("connect_args")),
        "idle_transaction_timeout": idle if idle > 0 else None,
    }


def _connect_arguments(given: Mapping[str, Any]) -> Mapping[str, str | int | float]:
    for key, value in given.items():
        if key not in keywords():
            raise DBOSInitializationError(
                f"configuration key 'db_engine_kwargs.connect_args' has {key!r}, which is not a "
                "connection parameter of PostgreSQL"
            )
        if not isinstance(value, (str, int, float)):
            raise DBOSInitializationError(
                f"configuration key 'db_engine_kwargs.connect_args.{key}' must be a text or a "
                f"number, not {type(value).__name__}"
            )
    return MappingProxyType({"connect_timeout": 10, **given})


def _timing(checked: Checked) -> dict[str, Any]:
    for key in _INTERVALS:
        checked.seconds(key, 1.0, at_least=0.001)
    lease = checked.seconds("lease_seconds", 15.0, at_least=0.1)
    heartbeat = checked.seconds("heartbeat_seconds", min(3.0, lease / 5), at_least=0.01)
    if heartbeat * 2 > lease:
        raise DBOSInitializationError(
            f"configuration key 'heartbeat_seconds' is {heartbeat:g}: use at most half of "
            f"'lease_seconds' ({lease:g}), so that one lost heartbeat does not lose the lease"
        )
    never = "hibernate_after" in checked.config and checked.value("hibernate_after") is None
    return {
        "lease_seconds": lease,
        "heartbeat_seconds": heartbeat,
        "hibernate_after": None if never else checked.seconds("hibernate_after", 60.0),
    }


def _logs(checked: Checked, environ: Mapping[str, str]) -> dict[str, Any]:
    level = checked.level("log_level", logging.INFO)
    names = checked.text("otel_attribute_format") or "legacy"
    if names not in ("legacy", "semconv"):
        raise DBOSInitializationError(
            "configuration key 'otel_attribute_format' must be 'legacy' or 'semconv'"
        )
    return {
        "log_level": level,
        "console_log_level": checked.level("console_log_level", level),
        "otlp_log_level": checked.level("otlp_log_level", level),
        "enable_otlp": checked.flag("enable_otlp", default=False),
        "otlp_traces_endpoints": _endpoints(checked, environ, "TRACES"),
        "otlp_logs_endpoints": _endpoints(checked, environ, "LOGS"),
        "otlp_attributes": MappingProxyType(dict(checked.mapping("otlp_attributes"))),
        "otel_attribute_format": names,
    }


def _endpoints(checked: Checked, environ: Mapping[str, str], kind: str) -> tuple[str, ...]:
    given = checked.value(f"otlp_{kind.lower()}_endpoints")
    if given is not None:
        return tuple(given)
    default = environ.get(f"DBOS__OTLP_{kind}_ENDPOINT")
    return (default,) if default else ()


def _directory(checked: Checked) -> Path | None:
    given = checked.value("embedded_directory")
    return None if given is None else Path(given)


def _schema(checked: Checked) -> str:
    schema = checked.text("dbos_system_schema")
    if schema is None:
        return "pyengine"
    usable = schema.isprintable() and 0 < len(schema.encode()) <= 63
    if not usable or schema.startswith("pg_") or schema in ("public", "information_schema"):
        raise DBOSInitializationError(
            "configuration key 'dbos_system_schema' must be a schema name of its own, of at most "
            "63 bytes and not starting with 'pg_'"
        )
    return schema


def _version(checked: Checked, environ: Mapping[str, str]) -> str | None:
    version = checked.text("application_version") or environ.get("DBOS__APPVERSION") or None
    if version is None and checked.flag("enable_patching", default=False):
        return "PATCHING_ENABLED"
    return version


def _serializer(checked: Checked) -> object:
    serializer = checked.value("serializer")
    if serializer is None:
        return None
    methods = ("serialize", "deserialize", "name")
    if isinstance(serializer, type) or not all(
        callable(getattr(serializer, method, None)) for method in methods
    ):
        raise DBOSInitializationError(
            "configuration key 'serializer' must be an instance of a Serializer, with the methods "
            "serialize, deserialize and name"
        )
    return serializer
