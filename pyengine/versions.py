"""The part of `DBOS` that knows the versions of the application; sync and async twins."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from pyengine.current import get_runtime
from pyengine.database import version_calls
from pyengine.database.rows import VersionRow
from pyengine.effects import Effect, Flow
from pyengine.errors import DBOSException


class VersionInfo(TypedDict):
    """A version of an application. Times are milliseconds since 1970, by the database's clock."""

    version_id: str
    version_name: str
    version_timestamp: int
    created_at: int
    application_name: str


class Versions:
    """The part of `DBOS` that knows the versions of the application."""

    @classmethod
    def list_application_versions(cls) -> list[VersionInfo]:
        """The versions of this application that were ever launched, the latest first."""
        runtime = get_runtime("DBOS.list_application_versions")
        rows = runtime.run(_rows(_list(runtime.application.name)))
        return [version_info(row) for row in rows]

    @classmethod
    async def list_application_versions_async(cls) -> list[VersionInfo]:
        """As `list_application_versions`."""
        runtime = get_runtime("DBOS.list_application_versions_async")
        rows = await runtime.run_async(_rows(_list(runtime.application.name)))
        return [version_info(row) for row in rows]

    @classmethod
    def get_latest_application_version(cls) -> VersionInfo:
        """The latest version: it runs schedules and whatever was enqueued without a version."""
        runtime = get_runtime("DBOS.get_latest_application_version")
        return _latest(runtime.run(_rows(_list(runtime.application.name))))

    @classmethod
    async def get_latest_application_version_async(cls) -> VersionInfo:
        """As `get_latest_application_version`."""
        runtime = get_runtime("DBOS.get_latest_application_version_async")
        return _latest(await runtime.run_async(_rows(_list(runtime.application.name))))

    @classmethod
    def set_latest_application_version(
        cls, version_name: str, *, application_name: str | None = None
    ) -> None:
        """Make a version the latest: to go back to an old one, or to switch over once the new one is ready.

        Args:
            version_name: A version that was launched before.
            application_name: The application; this one if not given.

        Raises:
            DBOSException: The version is unknown.
        """
        runtime = get_runtime("DBOS.set_latest_application_version")
        runtime.run(_rows(_promote(version_name, application_name or runtime.application.name)))

    @classmethod
    async def set_latest_application_version_async(
        cls, version_name: str, *, application_name: str | None = None
    ) -> None:
        """As `set_latest_application_version`."""
        runtime = get_runtime("DBOS.set_latest_application_version_async")
        effect = _promote(version_name, application_name or runtime.application.name)
        await runtime.run_async(_rows(effect))


def version_info(row: VersionRow) -> VersionInfo:
    """A version's row as its users see it."""
    return VersionInfo(
        version_id=str(row.version_id),
        version_name=row.version_name,
        version_timestamp=_milliseconds(row.version_timestamp),
        created_at=_milliseconds(row.created_at),
        application_name=row.application_name,
    )


def _latest(rows: list[VersionRow]) -> VersionInfo:
    if not rows:
        raise DBOSException("no version of this application is known: launch it first")
    return version_info(rows[0])


def _list(application_name: str | None) -> Effect:
    return version_calls.list_application_versions(application_name=application_name)


def _promote(version_name: str, application_name: str | None) -> Effect:
    return version_calls.set_latest_application_version(
        version_name=version_name, application_name=application_name
    )


def _rows(effect: Effect) -> Flow[list[VersionRow]]:
    found: list[VersionRow] = yield effect
    return found


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
