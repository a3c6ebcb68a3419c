"""The interface of a serializer, and the portable form behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from pyengine.serialization import portable


class Serializer(ABC):
    """A form of one's own for payloads; give an instance as `serializer` in the configuration."""

    @abstractmethod
    def serialize(self, data: Any) -> str:
        """Turn a value into text.

        Args:
            data: A result, message, event, exception, or `{"args": …, "kwargs": …}`.

        Returns:
            Any text that UTF-8 can hold.
        """

    @abstractmethod
    def deserialize(self, serialized_data: str) -> Any:
        """Turn the text back into the value.

        Args:
            serialized_data: What `serialize` gave.

        Returns:
            A value equal to the one that was given.
        """

    def name(self) -> str:
        """Give the tag that is stored beside each payload, different for each serializer."""
        return "custom_serializer"


class DBOSPortableJSONSerializer(Serializer):
    """Stores every payload as plain JSON that other languages read; types become JSON's own."""

    def serialize(self, data: Any) -> str:
        """Turn a value into portable JSON text."""
        if isinstance(data, BaseException):
            return portable.encode_error(data)
        return portable.encode(data, "value")

    def deserialize(self, serialized_data: str) -> Any:
        """Turn JSON text into plain values."""
        return portable.decode(serialized_data)

    def name(self) -> str:
        """Give the tag "portable_json"."""
        return "portable_json"
