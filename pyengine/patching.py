"""The part of `DBOS` that changes workflows while some of them run."""

from __future__ import annotations

from typing import Literal

from pyengine.context import current_run
from pyengine.current import get_runtime, refuse_running_loop
from pyengine.errors import DBOSException
from pyengine.flows import patching
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


def _run(what: str, patch_name: object) -> WorkflowRun:
    if not isinstance(patch_name, str) or not patch_name:
        raise DBOSException(f"{what} needs the patch's name, a text that is not empty")
    run = current_run()
    if run is None:
        raise DBOSException(f"{what} was called outside the body of a workflow")
    run.check()
    return run
