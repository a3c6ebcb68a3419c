"""Calls of the SQL functions of application versions."""

from __future__ import annotations

from pyengine.database import rows
from pyengine.database.calls import Call


def register_application_version(
    *, application_name: str, version_name: str, is_pinned: bool
) -> Call[rows.VersionRow]:
    """Make a version known, the first time as the latest."""
    return Call(
        "register_application_version",
        {
            "application_name": application_name,
            "version_name": version_name,
            "is_pinned": is_pinned,
        },
        rows.VersionRow,
    )


def list_application_versions(*, application_name: str | None) -> Call[rows.VersionRow]:
    """Versions of an application or of all, the latest first."""
    return Call(
        "list_application_versions", {"application_name": application_name}, rows.VersionRow
    )


def rename_application(
    *,
    old_name: str | None,
    new_name: str,
    batch_size: int,
    adopt_unclaimed_rows: bool,
    after_workflow_id: str | None,
) -> Call[rows.RenamedRows]:
    """Give declarations and so many workflows of an application to another name."""
    return Call(
        "rename_application",
        {
            "old_name": old_name,
            "new_name": new_name,
            "batch_size": batch_size,
            "adopt_unclaimed_rows": adopt_unclaimed_rows,
            "after_workflow_id": after_workflow_id,
        },
        rows.RenamedRows,
    )


def set_latest_application_version(
    *, version_name: str, application_name: str | None
) -> Call[rows.VersionRow]:
    """Make a version the latest of its application."""
    return Call(
        "set_latest_application_version",
        {"version_name": version_name, "application_name": application_name},
        rows.VersionRow,
    )
