"""The part of `DBOS` for workflows that never end."""

from __future__ import annotations

from typing import Any, NoReturn

from pyengine.context import current_run
from pyengine.errors import DBOSException
from pyengine.runs import ContinueAsNew


class Continuing:
    """The part of `DBOS` for workflows that never end."""

    @classmethod
    def continue_as_new(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """End this run, and let the workflow begin again with other arguments and without history, in one commit.

        For loops that never end, whose history would grow for ever: do some rounds, then continue as new with what
        the next ones need. The workflow keeps its id, so handles, messages, events, streams, its queue and its
        deadline are as before; who waits for its result waits on. Attempts are counted anew, and the latest version of
        the application runs it. Steps are numbered on; those of the generation before are kept, older ones removed.

        It leaves the body like an exception that `except Exception` does not catch; `finally` blocks run. Works in
        `async def` workflows too, without `await`.

        Args:
            args: The arguments of the workflow, without self or cls.
            kwargs: Its keyword arguments.

        Raises:
            DBOSException: Called outside the body of a workflow.
            DBOSSerializationError: An argument can't be stored.
        """
        run = current_run()
        if run is None:
            raise DBOSException("DBOS.continue_as_new was called outside the body of a workflow")
        run.check()
        raise ContinueAsNew(run.codec.encode_arguments(args, kwargs, run.serialization))
