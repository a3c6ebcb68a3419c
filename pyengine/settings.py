"""What a configuration comes to: typed values, complete, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

from pyengine.urls import redact


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """What a configuration comes to, with every default filled in. Times are seconds.

    Args:
        name: The application's name.
        system_database_url: Where the engine lives, for libpq; None is the embedded server.
        application_database_url: Where transactional steps run; None is the system database.
        same_database: Whether those two are one database: a step commits with its checkpoint.
        listen_database_url: A direct connection to listen on; None is the system database's.
        embedded_directory: The embedded server's directory; None is its default.
        schema: The engine's schema.
        executor_name: This process's name, which a restart keeps.
        application_id: The id that a hosting platform gave the application; "" is none.
        application_version: The version the user pinned; None to compute one.
        pool_size: The most connections that the pool opens.
        pool_timeout: How long to wait for a free connection.
        connect_arguments: Further libpq parameters for each connection.
        idle_transaction_timeout: After which the server ends an idle transaction; None is its own.
        use_listen_notify: False to poll.
        run_migrations: False to verify the schema only.
        serializer: The user's serializer; None is JSON.
        max_executor_threads: The most threads for workflows; None is no limit.
        max_payload_bytes: The largest input, output, message or event.
        hibernate_after: The longest wait that keeps its thread; None keeps it always.
        lease_seconds: How long a silent executor owns its workflows.
        heartbeat_seconds: How often an executor renews its lease.
        log_level: The logger's level.
        console_log_level: The console's.
        otlp_log_level: The exported logs'.
        enable_otlp: Whether traces and logs are exported.
        otlp_traces_endpoints: Where traces go.
        otlp_logs_endpoints: Where logs go.
        otlp_attributes: Attributes added to each span and log.
        otel_attribute_format: "legacy" or "semconv" names of the attributes.
    """

    name: str
    system_database_url: str | None
    application_database_url: str | None
    same_database: bool
    listen_database_url: str | None
    embedded_directory: Path | None
    schema: str
    executor_name: str
    application_id: str
    application_version: str | None
    pool_size: int
    pool_timeout: float
    connect_arguments: Mapping[str, str | int | float]
    idle_transaction_timeout: float | None
    use_listen_notify: bool
    run_migrations: bool
    serializer: Any
    max_executor_threads: int | None
    max_payload_bytes: int
    hibernate_after: float | None
    lease_seconds: float
    heartbeat_seconds: float
    log_level: int
    console_log_level: int
    otlp_log_level: int
    enable_otlp: bool
    otlp_traces_endpoints: tuple[str, ...]
    otlp_logs_endpoints: tuple[str, ...]
    otlp_attributes: Mapping[str, Any]
    otel_attribute_format: str

    @property
    def version_is_pinned(self) -> bool:
        """Whether only processes of the same version may run this application's workflows."""
        return self.application_version is not None

    def __repr__(self) -> str:
        shown = ", ".join(f"{field.name}={self._shown(field.name)}" for field in fields(self))
        return f"Settings({shown})"

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if name.endswith("_url"):
            return repr(value and redact(value))
        if isinstance(value, Mapping):
            return f"<{', '.join(sorted(value))}>"
        return f"<{len(value)}>" if name.endswith("_endpoints") else repr(value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("Settings hold passwords and are not pickled; resolve them again")
