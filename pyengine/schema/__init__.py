"""Install, upgrade, check and reset the engine's schema in a database."""

from pyengine.schema.access import EngineRole
from pyengine.schema.application import grant_application, prepare_application
from pyengine.schema.migrate import Report, migrate, pending, verify
from pyengine.schema.reset import reset
from pyengine.schema.sources import check_schema_name, load, rename_schema, sql_root

__all__ = [
    "EngineRole",
    "Report",
    "check_schema_name",
    "grant_application",
    "load",
    "migrate",
    "pending",
    "prepare_application",
    "rename_schema",
    "reset",
    "sql_root",
    "verify",
]
