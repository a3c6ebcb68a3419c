"""How one attempt at a transactional step ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyengine.errors import DBOSException
from pyengine.runs import Recorded

PLAIN_JSON = "json"


@dataclass(frozen=True, slots=True)
class Encoded:
    """An output that is json text already; it is stored as it is."""

    text: str

    def recorded(self, name: str) -> Recorded:
        """As the outcome of a step of that name."""
        return Recorded(name, None, PLAIN_JSON, self.text, None)


@dataclass(frozen=True, slots=True)
class Committed:
    """The user's writes and the checkpoint are stored, in one commit."""

    output: Any


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """The function has returned, and the engine's database does not know it yet.

    Either it did nothing in its transaction, or its writes and their checkpoint are in another database.
    """

    output: Any


@dataclass(frozen=True, slots=True)
class Found:
    """The application's database holds the outcome of an earlier attempt."""

    recorded: Recorded


@dataclass(frozen=True, slots=True)
class Failed:
    """Rolled back; the error is the step's outcome."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Repeat:
    """Rolled back, or, if `in_doubt`, nobody knows: run it again after `pause` seconds."""

    pause: float
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """Rolled back: the step has an outcome already."""


Ending = Committed | Unrecorded | Found | Failed | Repeat | Taken


def plain_outcome(ending: Ending) -> Committed | float:
    """How a transaction ended that nothing is recorded of: its output, or the seconds until it is tried again.

    Raises:
        Exception: What the function raised.
        DBOSException: The connection was lost during the commit; nobody knows whether it is done.
    """
    if isinstance(ending, Committed):
        return ending
    if isinstance(ending, Failed):
        raise ending.error
    if not isinstance(ending, Repeat):
        raise AssertionError(f"a plain transaction has no checkpoint, and ended as {ending}")
    if ending.in_doubt:
        raise DBOSException(
            "the connection was lost during the commit of a transaction outside of workflows: look whether its "
            "writes are there before you run it again; in a workflow it would run exactly once"
        )
    return ending.pause
