"""What the engine calls to store values and to read them: one form for each tag."""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

from pyengine.errors import DBOSInvalidArgumentError, DBOSSerializationError
from pyengine.serialization import native, portable
from pyengine.serialization.custom import CustomForm
from pyengine.serialization.serializers import DBOSPortableJSONSerializer, Serializer

NATIVE = "json"
PORTABLE = "portable_json"


class WorkflowSerializationFormat(str, Enum):
    """The form of a workflow's payloads, as given to `@DBOS.workflow(serialization_type=…)`."""

    PORTABLE = "portable"
    NATIVE = "native"
    DEFAULT = "None"


class _Form(Protocol):
    """The conversions of one stored form: two modules and one class have it."""

    @property
    def argument_keys(self) -> tuple[str, str]: ...
    def encode(self, value: object, root: str) -> str: ...
    def decode(self, text: str) -> Any: ...
    def encode_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str: ...
    def encode_error(self, error: BaseException) -> str: ...
    def decode_error(self, text: str) -> BaseException: ...


class Codec:
    """Stores values as JSON text under a tag and reads them back.

    A tag is "json", "portable_json" or the name of the configured serializer. A payload under any
    other tag is never interpreted: in particular nothing is unpickled unless a PickleSerializer is
    configured.

    Args:
        serializer: The application's own; None for the native form.

    Raises:
        DBOSInvalidArgumentError: The serializer's name is that of a built-in form.
    """

    def __init__(self, serializer: Serializer | None = None) -> None:
        self._forms: dict[str, _Form] = {NATIVE: native, PORTABLE: portable}
        self._default = NATIVE
        if isinstance(serializer, DBOSPortableJSONSerializer):
            self._default = PORTABLE
        elif serializer is not None:
            self._default = serializer.name()
            if not self._default or self._default in self._forms:
                raise DBOSInvalidArgumentError(
                    f"serializer: name() must not return {self._default!r}; "
                    "return a name of its own"
                )
            self._forms[self._default] = CustomForm(serializer)

    @property
    def default_tag(self) -> str:
        """The tag that is used where none is asked for."""
        return self._default

    def tag_for(self, serialization_type: WorkflowSerializationFormat | None) -> str:
        """Give the tag of a workflow's payloads.

        Args:
            serialization_type: What the workflow was declared with.

        Returns:
            "json" for NATIVE, "portable_json" for PORTABLE, else `default_tag`.
        """
        if serialization_type is WorkflowSerializationFormat.PORTABLE:
            return PORTABLE
        if serialization_type is WorkflowSerializationFormat.NATIVE:
            return NATIVE
        return self._default

    def encode(self, value: object, tag: str | None = None, *, what: str = "result") -> str:
        """Turn a value into the text to store.

        Args:
            value: Anything.
            tag: The form; None means `default_tag`.
            what: What to call the value in an error, such as "message".

        Returns:
            JSON text.

        Raises:
            DBOSSerializationError: It cannot be stored. The message names the type and the place,
            as in
                `result['items'][3]`, and not the value.
        """
        return self._form(tag).encode(value, what)

    def decode(self, text: str | None, tag: str) -> Any:
        """Turn stored text back into the value.

        Args:
            text: JSON text; None for a column that is null.
            tag: The tag that is stored beside it.

        Returns:
            The value; None for None.

        Raises:
            DBOSSerializationError: The tag is not configured here, the text is damaged, or it
            names a
                type that this process has not imported.
        """
        return None if text is None else self._form(tag).decode(text)

    def encode_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], tag: str | None = None
    ) -> str:
        """Turn the arguments of a call into the text to store.

        Args:
            args: The positional arguments.
            kwargs: The named arguments.
            tag: The form; None means `default_tag`.

        Returns:
            JSON text: an object with "positionalArgs" and "namedArgs", or a serializer's text.

        Raises:
            DBOSSerializationError: As for `encode`; the place begins with `args` or `kwargs`.
        """
        return self._form(tag).encode_arguments(args, kwargs)

    def decode_arguments(
        self, text: str | None, tag: str
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Turn stored text back into the arguments of a call.

        Args:
            text: JSON text; None for a column that is null, which means no arguments.
            tag: The tag that is stored beside it.

        Returns:
            The positional and the named arguments.

        Raises:
            DBOSSerializationError: As for `decode`, or the text does not hold arguments.
        """
        if text is None:
            return (), {}
        form = self._form(tag)
        document = form.decode(text)
        positional_key, named_key = form.argument_keys
        if isinstance(document, dict):
            positional, named = document.get(positional_key, []), document.get(named_key, {})
            if (
                isinstance(positional, (list, tuple))
                and isinstance(named, dict)
                and all(type(name) is str for name in named)
            ):
                return tuple(positional), named
        raise DBOSSerializationError(
            f"the stored arguments must be an object with a list {positional_key!r} "
            f"and an object {named_key!r}"
        )

    def encode_error(self, exc: BaseException, tag: str | None = None) -> str:
        """Turn an exception into the text to store. Whatever it is, text results.

        Args:
            exc: Any exception. Attributes and causes that cannot be stored are left out; if its
                arguments cannot, a plain Exception with the text "{Type}: {message}" is stored.
            tag: The form; None means `default_tag`.

        Returns:
            JSON text.

        Raises:
            DBOSSerializationError: The tag is not configured here.
        """
        return self._form(tag).encode_error(exc)

    def decode_error(self, text: str, tag: str) -> BaseException:
        """Turn stored text back into the exception.

        Args:
            text: JSON text.
            tag: The tag that is stored beside it.

        Returns:
            An exception of its own class if that is imported or registered here, else a
            PortableWorkflowError. It is never one that would end the process, such as SystemExit.

        Raises:
            DBOSSerializationError: The tag is not configured here, or the text is not JSON.
        """
        return self._form(tag).decode_error(text)

    def _form(self, tag: str | None) -> _Form:
        form = self._forms.get(self._default if tag is None else tag)
        if form is None:
            raise DBOSSerializationError(
                f"the payload is stored by the serializer {str(tag)[:100]!r}, which is not "
                "configured here; give that serializer in the configuration to use it"
            )
        return form
