"""One pass over a value that turns it into plain JSON values and knows where it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyengine.errors import DBOSSerializationError
from pyengine.serialization.registry import RefusedError, type_name

# Far more than people nest, and few enough that neither this pass nor a JSON parser of another
# language runs out of stack.
MAX_DEPTH = 200

_MAX_PATH = 160


class Walk:
    """The state of one pass.

    Args:
        root: What to call the value in a refusal, such as "result" or "args".
        handler_for: Gives the function that encodes the values of one type.
    """

    def __init__(
        self, root: str, handler_for: Callable[[type], Callable[[Any, Walk], Any]]
    ) -> None:
        self._root = root
        self._handler_for = handler_for
        self._path: list[object] = []
        self.open_errors: set[int] = set()

    def encode(self, value: object) -> Any:
        """Encode the value at the root.

        Args:
            value: Anything.

        Returns:
            Plain JSON values.

        Raises:
            DBOSSerializationError: The value or something in it has no stored form.
        """
        try:
            return self._handler_for(type(value))(value, self)
        except RefusedError as refusal:
            reason, cause = str(refusal), refusal.__cause__
        except RecursionError:
            reason, cause = "it is nested too deeply", None
        raise DBOSSerializationError(f"cannot store {self._place()}: {reason}") from cause

    def child(self, value: object, step: object) -> Any:
        """Encode a part of the value that is being encoded.

        Args:
            value: The part.
            step: Where it is: an index, a `(key,)` of a dictionary, or the text of the step.

        Returns:
            Plain JSON values.

        Raises:
            RefusedError: The part has no stored form. The path stays at the offending part.
        """
        path = self._path
        path.append(step)
        if len(path) > MAX_DEPTH:
            del path[8:]  # enough to find it
            raise RefusedError(
                f"it refers to itself or is nested deeper than {MAX_DEPTH} levels; "
                "store it in a flatter form"
            )
        encoded = self._handler_for(type(value))(value, self)
        path.pop()
        return encoded

    def attempt(self, value: object, step: object) -> tuple[bool, Any]:
        """Encode a part that may be left out.

        Args:
            value: The part.
            step: Where it is, as for `child`.

        Returns:
            Whether it could be encoded, and what it became.
        """
        depth = self.depth
        try:
            return True, self.child(value, step)
        except RefusedError:
            self.return_to(depth)
            return False, None

    @property
    def depth(self) -> int:
        """How many steps below the root the pass is."""
        return len(self._path)

    def return_to(self, depth: int) -> None:
        """Go back to a place whose `depth` was noted, after a refusal below it."""
        del self._path[depth:]

    def _place(self) -> str:
        steps = []
        for step in self._path:
            if isinstance(step, tuple):
                (key,) = step
                shown = (
                    repr(key[:40]) if type(key) is str else f"key of type {type_name(type(key))}"
                )
                steps.append(f"[{shown}]")
            else:
                steps.append(f"[{step}]" if isinstance(step, int) else str(step))
        place = self._root + "".join(steps)
        return place if len(place) <= _MAX_PATH else place[:_MAX_PATH] + "…"
