"""The form of a user's serializer: whatever text it makes, stored as one JSON string."""

from __future__ import annotations

from typing import Any

from pyengine.errors import DBOSSerializationError
from pyengine.serialization.exceptions import message_of, portable_error
from pyengine.serialization.jsontext import dumps, is_utf8, loads, readable
from pyengine.serialization.registry import type_name
from pyengine.serialization.serializers import Serializer


class CustomForm:
    """Stores payloads by a serializer.

    Args:
        serializer: What turns values into text and back.
    """

    argument_keys = ("args", "kwargs")

    def __init__(self, serializer: Serializer) -> None:
        self._serializer = serializer
        self._name = serializer.name()

    def encode(self, value: object, root: str) -> str:
        """Turn a value into JSON text.

        Args:
            value: Anything that the serializer takes.
            root: What to call it in an error.

        Returns:
            The serializer's text as a JSON string.

        Raises:
            DBOSSerializationError: The serializer refused it, or gave something other than text.
        """
        try:
            text: object = self._serializer.serialize(value)
        except Exception as error:
            raise DBOSSerializationError(
                f"cannot store {root}: the serializer {self._name!r} failed on a value of type "
                f"{type_name(type(value))} ({type(error).__name__})"
            ) from error
        if type(text) is not str or not is_utf8(text):
            raise DBOSSerializationError(
                f"cannot store {root}: the serializer {self._name!r} must return text "
                "that UTF-8 can hold"
            )
        return dumps(text)

    def decode(self, text: str) -> Any:
        """Turn JSON text back into the value.

        Args:
            text: What `encode` gave.

        Returns:
            The value.

        Raises:
            DBOSSerializationError: It is not a JSON string, or the serializer failed on it.
        """
        stored = loads(text)
        if not isinstance(stored, str):
            raise DBOSSerializationError(
                f"the stored payload is marked {self._name!r} but is not text of that serializer"
            )
        return self._deserialize(stored)

    def encode_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Turn the arguments of a call into JSON text; errors as for `encode`."""
        return self.encode({"args": args, "kwargs": kwargs}, "the arguments")

    def encode_error(self, error: BaseException) -> str:
        """Turn an exception into JSON text. Nothing is refused.

        An exception that the serializer cannot bring back is stored as a plain Exception with the
        text "{Type}: {message}".

        Args:
            error: Any exception.

        Returns:
            JSON text.
        """
        summary = f"{type(error).__name__}: {message_of(error)}"
        for candidate in (error, Exception(summary)):
            try:
                text = self.encode(candidate, "the error")
                if isinstance(self.decode(text), BaseException):
                    return text
            except DBOSSerializationError:
                continue
        # A serializer without exceptions: the object that every language shares, which is no JSON
        # string.
        return dumps({"name": readable(type(error).__name__), "message": message_of(error)})

    def decode_error(self, text: str) -> BaseException:
        """Turn JSON text back into the exception.

        Args:
            text: What `encode_error` gave.

        Returns:
            The exception.

        Raises:
            DBOSSerializationError: The serializer failed on it.
        """
        stored = loads(text)
        if isinstance(stored, dict):
            return portable_error(stored)
        restored = self._deserialize(stored) if isinstance(stored, str) else None
        if isinstance(restored, BaseException):
            return restored
        return portable_error(restored if isinstance(restored, dict) else {})

    def _deserialize(self, stored: str) -> Any:
        try:
            return self._serializer.deserialize(stored)
        except Exception as error:
            raise DBOSSerializationError(
                f"the serializer {self._name!r} cannot read the stored payload "
                f"({type(error).__name__})"
            ) from error
