"""The part of `DBOS` that changes workflows while some of them run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pyengine import lifecycle, replay
from pyengine.context import current_run
from pyengine.current import get_runtime, refuse_running_loop
from pyengine.errors import DBOSException
from pyengine.flows import patching
from pyengine.registry import registry
from pyengine.replay import ReplayReport
from pyengine.runs import WorkflowRun


class Patching:
    """The part of `DBOS` that changes workflows while some of them run."""

    @classmethod
    def patch(cls, patch_name: str) -> bool:
        """Whether this workflow takes the changed code: `if DBOS.patch("name"): new code, else: old code`.

        New workflows do, and record that. Those that were beyond this place before the change don't, and go on as
        they began. Once none of those is left, replace it by `deprecate_patch`.

        Args:
            patch_name: Names the change, at one place of one workflow.

        Raises:
            DBOSException: Called outside the body of a workflow.
            RuntimeError: An event loop runs in this thread; use `patch_async` there.
        """
        refuse_running_loop("patch")
        run = _run("DBOS.patch", patch_name)
        return get_runtime("DBOS.patch").run(patching.apply_patch(run, patch_name))

    @classmethod
    async def patch_async(cls, patch_name: str) -> bool:
        """As `patch`.

        Raises:
            DBOSPatchNondeterminismError: Another step was recorded in the patch's place meanwhile.
        """
        run = _run("DBOS.patch_async", patch_name)
        flow = patching.apply_patch(run, patch_name)
        return await get_runtime("DBOS.patch_async").run_async(flow)

    @classmethod
    def deprecate_patch(cls, patch_name: str) -> Literal[True]:
        """Stand in for a patch whose old code is gone. Remove it when no workflow that recorded the patch is left.

        Args:
            patch_name: As for `patch`.

        Raises:
            DBOSException: Called outside the body of a workflow.
        """
        patching.deprecate_patch(_run("DBOS.deprecate_patch", patch_name), patch_name)
        return True

    @classmethod
    async def deprecate_patch_async(cls, patch_name: str) -> Literal[True]:
        """As `deprecate_patch`."""
        return cls.deprecate_patch(patch_name)

    @classmethod
    def check_replay(
        cls,
        *,
        workflow_ids: Sequence[str] | None = None,
        name: str | Sequence[str] | None = None,
        limit: int | None = None,
    ) -> ReplayReport:
        """Replay the workflows that are under way against the code that is here: which does it no longer match?

        Each is run with its recorded outcomes up to the first thing that is not recorded. Nothing is written, no step
        runs, and DBOS need not be launched; what the bodies do outside of steps happens. `pyengine replay --check` is
        the same as a command, for a deploy.

        Args:
            workflow_ids: Only these.
            name: Only workflows of this function, or of these.
            limit: At most so many, the oldest first.

        Raises:
            DBOSException: DBOS was not constructed.
            RuntimeError: An event loop runs in this thread.
        """
        refuse_running_loop("check_replay")
        settings = lifecycle.configured()
        if settings is None:
            raise DBOSException(
                "DBOS.check_replay was called before DBOS was constructed: call DBOS(config=...) first"
            )
        filters: dict[str, object] = {}
        if workflow_ids is not None:
            filters["workflow_ids"] = list(workflow_ids)
        if name is not None:
            filters["names"] = [name] if isinstance(name, str) else list(name)
        url = lifecycle.database_url(settings)
        return replay.check_replay(settings, url, registry, filters, limit)


def _run(what: str, patch_name: object) -> WorkflowRun:
    if not isinstance(patch_name, str) or not patch_name:
        raise DBOSException(f"{what} needs the patch's name, a text that is not empty")
    run = current_run()
    if run is None:
        raise DBOSException(f"{what} was called outside the body of a workflow")
    run.check()
    return run
