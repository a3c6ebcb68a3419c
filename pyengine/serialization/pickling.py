"""Pickle, for who asks for it: the only module that can run code a payload chooses.

Whoever may write to the database can then run code in every process that reads it.
"""

from __future__ import annotations

import base64
import pickle
from typing import Any

from pyengine.serialization.serializers import Serializer


class PickleSerializer(Serializer):
    """Stores any picklable value. Unsafe with a database that others may write to."""

    def serialize(self, data: Any) -> str:
        """Pickle a value and give it as base64."""
        return base64.b64encode(pickle.dumps(data)).decode()

    def deserialize(self, serialized_data: str) -> Any:
        """Unpickle what `serialize` gave."""
        pickled = base64.b64decode(serialized_data)
        return pickle.loads(pickled)  # noqa: S301 - this is what was asked for

    def name(self) -> str:
        """Give the tag "py_pickle"."""
        return "py_pickle"
