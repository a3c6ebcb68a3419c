"""Giving what belongs to an application to another name: a part of `DBOSClient`; sync and async twins."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypedDict

from pyengine.current import get_runtime
from pyengine.database import version_calls
from pyengine.database.calls import Call
from pyengine.database.rows import RenamedRows

BATCH_SIZE = 10_000


class RenamedCounts(TypedDict):
    """How many rows were given to the new name; steps are those of the workflows."""

    queues: int
    schedules: int
    versions: int
    workflows: int
    steps: int


def rename_flow(
    old_name: str | None, new_name: str, batch_size: int, *, adopt_unclaimed_rows: bool
) -> Generator[Call[RenamedRows], list[RenamedRows], RenamedCounts]:
    """One call after the other, until everything has the new name. What is done stays done if this is interrupted."""
    counts = RenamedCounts(queues=0, schedules=0, versions=0, workflows=0, steps=0)
    after: str | None = None
    while True:
        (renamed,) = yield version_calls.rename_application(
            old_name=old_name,
            new_name=new_name,
            batch_size=batch_size,
            adopt_unclaimed_rows=adopt_unclaimed_rows,
            after_workflow_id=after,
        )
        counts["queues"] += renamed.queues
        counts["schedules"] += renamed.schedules
        counts["versions"] += renamed.versions
        counts["workflows"] += renamed.workflows
        counts["steps"] += renamed.steps
        after = renamed.last_workflow_id
        if after is None:
            return counts


class Renaming:
    """The part of a client that renames applications."""

    @classmethod
    def rename_application(
        cls,
        old_name: str | None,
        new_name: str,
        *,
        batch_size: int = BATCH_SIZE,
        adopt_unclaimed_rows: bool = False,
    ) -> RenamedCounts:
        """Give what belongs to an application to another name: workflows, queues, schedules, versions, retention.

        It needs the role `admin`. Stop the processes of the old name first: what they start meanwhile is theirs, until
        this is called again. Each batch is a commit, so an interrupted call is finished by repeating it.

        Args:
            old_name: The application; None is none, with `adopt_unclaimed_rows`.
            new_name: Its new name. Where that has a version or a retention policy already, that one stays.
            batch_size: Workflows in one commit, 1 to 100,000.
            adopt_unclaimed_rows: Also give it what belongs to no application.

        Returns:
            How many rows were given to the new name.

        Raises:
            DBOSInvalidArgumentError: An argument can't be used.
        """
        runtime = get_runtime("DBOSClient.rename_application")
        return runtime.run(
            rename_flow(old_name, new_name, batch_size, adopt_unclaimed_rows=adopt_unclaimed_rows)
        )

    @classmethod
    async def rename_application_async(
        cls,
        old_name: str | None,
        new_name: str,
        *,
        batch_size: int = BATCH_SIZE,
        adopt_unclaimed_rows: bool = False,
    ) -> RenamedCounts:
        """As `rename_application`."""
        runtime = get_runtime("DBOSClient.rename_application_async")
        return await runtime.run_async(
            rename_flow(old_name, new_name, batch_size, adopt_unclaimed_rows=adopt_unclaimed_rows)
        )
